"""A plan's versions: what each costs, who has it, and taking them to the newest one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Count
from django.http import HttpRequest, HttpResponse

from accounts.dashboard.frame import AppPage
from billing.dashboard.subscriptions import priced_as
from billing.models import Plan, PlanMigration, PlanVersion, Subscription
from billing.services.migrations import (
    migrations_of,
    older_subscribers,
    outlook,
    start_migration,
    stop_migration,
)
from billing.services.plans import find_plan
from stackbe.kernel.transactions import current, reading

WHEN = [("period_end", "With each one's next period"), ("now", "Now, prorated")]
LAST_RUNS = 5


class MigrationForm(forms.Form):
    """Whom to take to the newest version, and when."""

    from_version = forms.ChoiceField(label="Who", required=False)
    when = forms.ChoiceField(label="When", choices=WHEN)

    def __init__(self, *args: Any, versions: list[tuple[str, str]], **kwargs: Any) -> None:
        """Offer the older versions that somebody has."""
        super().__init__(*args, **kwargs)
        self.fields["from_version"].choices = versions  # type: ignore[attr-defined]  # a ChoiceField

    def as_asked(self) -> dict[str, Any]:
        """Return the arguments of `start_migration`."""
        chosen = self.cleaned_data["from_version"]
        return {"from_version": int(chosen) if chosen else None, "when": self.cleaned_data["when"]}


class PlanVersions(AppPage):
    """All versions of a plan, and what a migration would do."""

    section = "plans"
    resource = "subscriptions"
    template = "dashboard/plan_versions.html"

    def context(self, plan_id: str, asked: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the versions, the latest runs, and a page of who would be migrated, what they pay and would pay."""
        plan = find_plan(self.scope, plan_id)
        cards = self.versions_of(plan)
        chosen = asked or {"from_version": None, "when": "period_end"}
        older = older_subscribers(self.scope, plan, chosen["from_version"])
        found = self.page_of(older, when=chosen["when"], from_version=str(chosen["from_version"] or ""))
        current().keys.preload([row.customer_id for row in found["rows"]])
        runs = list(migrations_of(self.scope, plan.pk).order_by("-pk")[:LAST_RUNS])
        return {
            "plan": plan,
            "versions": cards,
            "runs": runs,
            "is_running": any(run.state == PlanMigration.State.RUNNING for run in runs),
            "outlooks": [outlook(self.scope, row, chosen["when"]) for row in found["rows"]],
            "form": self.form_for(cards),
            **found,
        }

    def versions_of(self, plan: Plan) -> list[dict[str, Any]]:
        """Return each version with its prices in words and how many have it, newest first."""
        live = Subscription.objects.within(self.scope).filter(plan=plan).exclude(status="canceled")
        held = dict(live.order_by().values_list("plan_version_id").annotate(number=Count("pk")))
        rows = PlanVersion.objects.within(self.scope).filter(plan=plan).prefetch_related("prices")
        return [
            {
                "version": row,
                "prices": [priced_as(price) for price in row.live_prices()],
                "subscribers": held.get(row.pk, 0),
                "is_newest": row.number == plan.version,
            }
            for row in rows.order_by("-number")
        ]

    def form_for(self, cards: list[dict[str, Any]], *args: Any) -> MigrationForm:
        """Return the form with the older versions that somebody has."""
        held = [card["version"].number for card in cards if card["subscribers"] and not card["is_newest"]]
        choices = [("", "Everybody on an older version"), *((str(n), f"Those on version {n}") for n in held)]
        return MigrationForm(*args, versions=choices)

    def post(self, request: HttpRequest, app_id: str, plan_id: str) -> HttpResponse:
        """Show what a migration would do, or start it."""
        with reading(self.scope):
            form = self.form_for(self.versions_of(find_plan(self.scope, plan_id)), request.POST)

        def act() -> HttpResponse:
            asked = form.as_asked()
            if "preview" in request.POST:
                with reading(self.scope):
                    return self.show({**self.context(plan_id, asked), "form": form, "is_previewed": True})
            self.perform(lambda scope: start_migration(scope, plan_id, **asked))
            return self.done("They are being migrated, one after the other.", "dashboard-plan-versions", plan_id)

        return self.submit(form, act, {"form": form, "kwargs": {"plan_id": plan_id}})


class StopMigration(AppPage):
    """The end of a run before its time."""

    resource = "subscriptions"
    home = "dashboard-plans"

    def post(self, request: HttpRequest, app_id: str, plan_id: str, migration_id: str) -> HttpResponse:
        """Stop it."""
        self.perform(lambda scope: stop_migration(scope, plan_id, migration_id))
        return self.done("Stopped. Who was migrated stays so.", "dashboard-plan-versions", plan_id)
