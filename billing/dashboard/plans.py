"""What an app sells: plans, and the features that they grant."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.http import HttpRequest, HttpResponse

from accounts.dashboard.frame import AppPage
from billing.dashboard.forms import KINDS, FeatureForm, PlanForm, initial_of
from billing.models import Feature, Plan, StripeConnection, Subscription
from billing.services.features import archive_feature, create_feature, live_features
from billing.services.plans import archive_plan, create_plan, find_plan, plans_with_contents, update_plan
from stackbe.kernel.transactions import change, reading
from usage.services.metrics import live_metrics


class Plans(AppPage):
    """The app's plans."""

    section = "plans"
    resource = "plans"
    template = "dashboard/plans.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return plans on sale and archived ones, each with its price, contents and subscribers."""
        plans = list(plans_with_contents(self.scope).order_by("pk"))
        names = {feature.key: feature.name for feature in live_features(self.scope)}
        live = Subscription.objects.within(self.scope).exclude(status="canceled")
        subscribers = dict(live.order_by().values_list("plan_id").annotate(number=Count("pk")))
        cards = [card_of(plan, names, subscribers.get(plan.pk, 0)) for plan in plans]
        return {
            "cards": [card for card in cards if card["plan"].active],
            "archived": [card for card in cards if not card["plan"].active],
            "is_connected": StripeConnection.objects.within(self.scope).filter(status="connected").exists(),
        }


class PlanPage(AppPage):
    """A page with a plan's form."""

    section = "plans"
    resource = "plans"
    template = "dashboard/plan.html"

    def form_for(self, *args: Any, plan: Plan | None = None) -> PlanForm:
        """Return the form with this app's features and metrics. Needs an open reading or change."""
        features = list(live_features(self.scope).order_by("pk"))
        metrics = list(live_metrics(self.scope).order_by("name"))
        standing = plan.current_version() if plan else None
        initial = initial_of(plan, standing, features) if plan and standing else None
        return PlanForm(*args, features=features, metrics=metrics, standing=standing, initial=initial)


class NewPlan(PlanPage):
    """A plan to make."""

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return an empty form."""
        return {"form": self.form_for()}

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Make the plan."""
        with reading(self.scope):
            form = self.form_for(request.POST)

        def act() -> HttpResponse:
            with change(self.scope):
                plan = create_plan(self.scope, **form.as_asked())
            return self.done(f"{plan.name} is made.", "dashboard-plans")

        return self.submit(form, act, {"form": form})


class EditPlan(PlanPage):
    """A plan to change."""

    def context(self, plan_id: str) -> dict[str, Any]:
        """Return the form filled with what stands."""
        plan = find_plan(self.scope, plan_id)
        return {"form": self.form_for(plan=plan), "plan": plan}

    def post(self, request: HttpRequest, app_id: str, plan_id: str) -> HttpResponse:
        """Change the plan; subscribers keep the price that they agreed to."""
        with reading(self.scope):
            form = self.form_for(request.POST, plan=find_plan(self.scope, plan_id))

        def act() -> HttpResponse:
            with change(self.scope):
                update_plan(self.scope, plan_id, **form.as_asked())
            return self.done("Saved. Whoever subscribes already keeps their price.", "dashboard-plans")

        return self.submit(form, act, {"form": form, "kwargs": {"plan_id": plan_id}})


class ArchivePlan(AppPage):
    """Taking a plan off sale."""

    resource = "plans"
    home = "dashboard-plans"

    def post(self, request: HttpRequest, app_id: str, plan_id: str) -> HttpResponse:
        """Archive it."""
        self.perform(lambda scope: archive_plan(scope, plan_id))
        return self.done("Archived. Subscribers keep it; nobody new can take it.", "dashboard-plans")


class Features(AppPage):
    """The keys that plans may grant."""

    section = "plans"
    resource = "plans"
    template = "dashboard/features.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return the features with their kinds in words, and a form for another."""
        kinds = {value: words.partition(":")[0] for value, words in KINDS}
        return {
            "features": [(row, kinds.get(row.type, row.type)) for row in live_features(self.scope).order_by("pk")],
            "form": FeatureForm(metrics=list(live_metrics(self.scope).order_by("name"))),
        }

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Add a feature."""
        with reading(self.scope):
            form = FeatureForm(request.POST, metrics=list(live_metrics(self.scope).order_by("name")))

        def act() -> HttpResponse:
            made: Feature = self.perform(lambda scope: create_feature(scope, **form.as_asked()))
            return self.done(f"Plans may grant {made.key} now.", "dashboard-features")

        return self.submit(form, act, {"form": form, "is_adding": True})


class ArchiveFeature(AppPage):
    """Taking a feature away; one that a plan grants stays."""

    resource = "plans"
    home = "dashboard-features"

    def post(self, request: HttpRequest, app_id: str, key: str) -> HttpResponse:
        """Archive it."""
        self.perform(lambda scope: archive_feature(scope, key))
        return self.done("Archived.", "dashboard-features")


def card_of(plan: Plan, names: dict[str, str], subscribers: int) -> dict[str, Any]:
    """Return a plan as the list shows it: price, lines of what it grants, who has it."""
    version = plan.current_version()
    prices = version.live_prices()
    lines = [
        {"is_on": value is not False, "name": names.get(key, key), "value": shown_value(value)}
        for key, value in version.entitlements.items()
    ]
    lines += [
        {"is_on": True, "name": names.get(row["metric"], row["metric"]), "value": shown_value(row.get("included"))}
        for row in version.usage
        if row["metric"] not in version.entitlements
    ]
    lines += [
        {"is_on": True, "name": f"Credits of {row['metric']}", "value": shown_value(row["quantity"])}
        for row in version.credits
    ]
    return {
        "plan": plan,
        "version": version,
        "price": prices[0] if prices else None,
        "further_prices": len(prices[1:]),
        "lines": lines,
        "subscribers": subscribers,
    }


def shown_value(value: Any) -> str:
    """Return an entitlement's value in words; a switch needs none beside its tick."""
    if isinstance(value, bool):
        return ""
    if value is None:
        return "unlimited"
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:,}" if isinstance(value, int | float) else str(value)
