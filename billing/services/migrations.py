"""Taking a plan's subscribers to its newest version: who they are, what each would pay, and how far a run has come.

A changed price reaches nobody who subscribes, until a run is started here. What a run does with each of them is
billing/stripe/migrating.py's; it goes through the same decisions as any change of plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.errors import MigrationNotFound, MigrationRunning, NobodyToMigrate, PlanArchived, PlanNotFound
from billing.models import Plan, PlanMigration, PlanVersion, Price, Subscription
from billing.queue import defer_migration
from billing.services.amounts import charge_cents
from billing.services.changes import NOW, decide_migration
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now
from stackbe.kernel.errors import ApiError, ValidationFailed
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

RUNNING, DONE, STOPPED = PlanMigration.State.RUNNING, PlanMigration.State.DONE, PlanMigration.State.STOPPED
MOST_REFUSALS = 200


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a migration would do with one subscription, before discounts and taxes.

    `problem` says in words why it would stay where it is; empty where it would not.
    """

    row: Subscription
    to_version: int
    cents_now: int | None
    cents_then: int | None
    price: Price | None
    effective_at: datetime | None
    problem: str


def older_subscribers(scope: Scope, plan: Plan, from_version: int | None = None) -> ScopedQuerySet[Subscription]:
    """Return a plan's live subscriptions to any older version, or to the one that is given."""
    rows = Subscription.objects.within(scope).select_related("plan", "plan_version", "price", "customer")
    rows = rows.filter(plan=plan, plan_version__number__lt=plan.version).exclude(status=Subscription.Status.CANCELED)
    return rows if from_version is None else rows.filter(plan_version__number=from_version)


def migratable_plan(scope: Scope, plan_id: str | UUID, from_version: int | None = None) -> Plan:
    """Return a plan on sale whose subscribers can be migrated.

    Raises `PlanNotFound`, `PlanArchived`, and `ValidationFailed` for a version that is not an older one.
    """
    plan = Plan.objects.within(scope).fetch(plan_id, PlanNotFound)
    if not plan.active:
        raise PlanArchived
    if from_version is not None and not 1 <= from_version < plan.version:
        sentence = f"The plan's newest version is {plan.version}. Name an older one, or none for all of them."
        raise ValidationFailed(fields={"fromVersion": [sentence]})
    return plan


def outlook(scope: Scope, row: Subscription, when: str) -> Outlook:
    """Return what a migration would do with a subscription. Nothing is held and nobody is asked."""
    current = None if row.price is None else charge_cents(row.price, row.quantity)
    to_version = row.plan.version
    try:
        decision = decide_migration(scope, row, when)
    except ApiError as refused:
        return Outlook(row, to_version, current, None, None, None, sentence_of(refused))
    price = decision.price
    then = None if price is None else charge_cents(price, decision.quantity)
    at = now(scope) if decision.when == NOW else (row.trial_end or row.current_period_end)
    return Outlook(row, to_version, current, then, price, at, "")


def start_migration(
    scope: Scope,
    plan_id: str | UUID,
    *,
    from_version: int | None = None,
    when: str = "period_end",
    prorate: bool = True,
) -> PlanMigration:
    """Start a run over a plan's older subscribers and return it; the worker goes through them.

    Raises as `migratable_plan` does, `NobodyToMigrate`, and `MigrationRunning` beside a run of the same plan.
    """
    require_change()
    plan = migratable_plan(scope, plan_id, from_version)
    Plan.objects.within(scope).locked().get(pk=plan.pk)
    if PlanMigration.objects.within(scope).filter(plan=plan, state=RUNNING).exists():
        raise MigrationRunning
    count = older_subscribers(scope, plan, from_version).count()
    if not count:
        raise NobodyToMigrate
    row = PlanMigration(
        **owned_by(scope),
        plan=plan,
        from_version=from_version,
        to_version=plan.version,
        price_ids=_price_ids(scope, plan),
        when=when,
        prorate=prorate,
        subscribers=count,
        started_by=scope.actor,
        created_at=now(scope),
    )
    row.save(force_insert=True)
    detail = {"from": from_version, "to": plan.version, "when": when, "subscribers": count}
    audit(scope, "plan.migration_started", plan.public_id, detail=detail)
    defer_migration(scope, row.pk)
    return row


def stop_migration(scope: Scope, plan_id: str | UUID, migration_id: str | UUID) -> PlanMigration:
    """Stop a run after the subscription in hand. Who was moved stays moved. Stopping twice is harmless."""
    require_change()
    row = find_migration(scope, plan_id, migration_id, hold=True)
    if row.state == RUNNING:
        _finish(scope, row, STOPPED)
        audit(scope, "plan.migration_stopped", row.plan.public_id, detail={"migration": row.public_id})
    return row


def migrations_of(scope: Scope, plan_id: str | UUID) -> ScopedQuerySet[PlanMigration]:
    """Return a plan's runs; raise `PlanNotFound`."""
    plan = Plan.objects.within(scope).fetch(plan_id, PlanNotFound)
    return PlanMigration.objects.within(scope).select_related("plan").filter(plan=plan)


def find_migration(scope: Scope, plan_id: str | UUID, migration_id: str | UUID, *, hold: bool = False) -> PlanMigration:
    """Return one of a plan's runs, held where asked; raise `PlanNotFound` or `MigrationNotFound`."""
    rows = migrations_of(scope, plan_id)
    return (rows.locked() if hold else rows).fetch(migration_id, MigrationNotFound)


def next_in_line(scope: Scope, migration_id: UUID) -> tuple[PlanMigration, Subscription | None, bool] | None:
    """Take the next subscription of a run in hand; None once the run is over.

    Returns the run, the subscription, and whether it was in hand already when a worker was cut off. A run whose plan
    was edited since its preview is stopped; one that has nobody left is done.
    """
    require_change()
    runs = PlanMigration.objects.within(scope).locked().select_related("plan")
    run = runs.filter(pk=migration_id, state=RUNNING).first()
    if run is None:
        return None
    if run.plan.version != run.to_version or _price_ids(scope, run.plan) != run.price_ids or not run.plan.active:
        _finish(scope, run, STOPPED)
        return None
    rows = older_subscribers(scope, run.plan, run.from_version).order_by("pk")
    if run.in_hand is not None:
        # Whether or not it was moved before the worker died, it is looked at once more.
        again = Subscription.objects.within(scope).select_related("plan", "plan_version", "customer")
        return run, again.filter(pk=run.in_hand).first(), True
    row = (rows.filter(pk__gt=run.cursor) if run.cursor else rows).first()
    if row is None:
        _finish(scope, run, DONE)
        return None
    run.in_hand = row.pk
    run.save(update_fields=["in_hand"])
    return run, row, False


def note(scope: Scope, migration_id: UUID, subscription_id: UUID, *, why: str = "") -> None:
    """Record what became of the subscription in hand: where it stands now, or why it stays where it is."""
    require_change()
    run = PlanMigration.objects.within(scope).locked().get(pk=migration_id)
    if run.in_hand != subscription_id:
        return
    row = Subscription.objects.within(scope).select_related("plan_version").filter(pk=subscription_id).first()
    if why:
        run.refused += 1
        if row is not None and len(run.refusals) < MOST_REFUSALS:
            run.refusals = [*run.refusals, {"subscription": row.public_id, "why": why[:300]}]
    elif row is not None and run.when != NOW and row.plan_version.number < run.to_version:
        run.scheduled += 1
    else:
        run.moved += 1
    run.cursor, run.in_hand = subscription_id, None
    run.save(update_fields=["refused", "refusals", "scheduled", "moved", "cursor", "in_hand"])


def sentence_of(refused: ApiError) -> str:
    """Return a refusal in words, its fields' included."""
    details = [sentence for sentences in (refused.fields or {}).values() for sentence in sentences]
    return " ".join(details) or str(refused)


def _price_ids(scope: Scope, plan: Plan) -> list[str]:
    version = PlanVersion.objects.within(scope).get(plan=plan, number=plan.version)
    return [str(price.pk) for price in version.live_prices()]


def _finish(scope: Scope, run: PlanMigration, state: str) -> None:
    run.state, run.in_hand, run.finished_at = state, None, now(scope)
    run.save(update_fields=["state", "in_hand", "finished_at"])
