"""Background work of billing: the catalogue's way to Stripe, and Stripe's events' way into our rows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID

from billing.models import PlanMigration
from billing.queue import FOLLOW_SEATS, MIGRATE_SUBSCRIBERS, defer_migration
from billing.services.revenue import take_days
from billing.stripe.catalogue_push import pending_plans, push_plan
from billing.stripe.contacts import TELL_CONTACT, tell_contact
from billing.stripe.errors import AccountLost, StripeNotConnected, StripeRefused
from billing.stripe.migrating import migrate_next
from billing.stripe.queue import (
    DEAUTHORIZED,
    LOOK_AGAIN,
    PUSH_APP,
    PUSH_PLAN,
    QUEUE,
    SYNC_OBJECT,
    defer_look_again,
)
from billing.stripe.reconcile import look_for_missed, sweep_subscriptions
from billing.stripe.scopes import app_scope, connected_scopes
from billing.stripe.seats import follow_seats
from billing.stripe.sync import failed, record_deauthorization, still_waiting, sync_object
from stackbe.kernel.errors import ApiError
from stackbe.kernel.jobs import job, periodic
from stackbe.kernel.scope import Scope
from stackbe.kernel.transactions import change, reading

log = logging.getLogger("stackbe.worker")
PUSHER = "catalogue push"
# So many subscribers of a migration, then other work has its turn.
BATCH = 20


@job(PUSH_PLAN, queue=QUEUE)
def push_plan_job(app_id: str, plan_id: str, *, say_again: bool = False) -> None:
    """Bring one plan to the app's Stripe account; without an account it waits for one."""
    scope = app_scope(app_id, PUSHER)
    if scope is not None:
        _push(scope, UUID(plan_id), say_again=say_again)


@job(TELL_CONTACT, queue=QUEUE)
def tell_contact_job(app_id: str, customer_id: str) -> None:
    """Tell Stripe a customer's address and name as they are now."""
    scope = app_scope(app_id, "contact")
    if scope is not None:
        tell_contact(scope, UUID(customer_id))


@job(PUSH_APP, queue=QUEUE)
def push_catalogue_job(app_id: str) -> None:
    """Bring everything that Stripe does not know yet to the app's account."""
    scope = app_scope(app_id, PUSHER)
    if scope is not None:
        _push_pending(scope)


@job(SYNC_OBJECT, queue=QUEUE)
def sync_stripe_object(
    app_id: str, account_id: str, kind: str, object_id: str, cause: str, *, unless_done: bool = False
) -> None:
    """Fetch what an event told of and follow it. A failure is kept with the event and tried again.

    Where a look at the same object since has shown what the event told, `unless_done` spares another.
    """
    scope = app_scope(app_id, "stripe")
    if scope is None or (unless_done and not still_waiting(scope, account_id, object_id)):
        return
    if kind == DEAUTHORIZED:
        record_deauthorization(scope, account_id, object_id)
        return
    _sync(scope, account_id, kind, object_id, cause)


@job(LOOK_AGAIN, queue=QUEUE)
def look_again(app_id: str, account_id: str, kind: str, object_id: str, cause: str) -> None:
    """See that what was left to the holder of a lease was done: it may have died."""
    scope = app_scope(app_id, "stripe")
    if scope is not None and still_waiting(scope, account_id, object_id):
        _sync(scope, account_id, kind, object_id, cause)


@job(FOLLOW_SEATS, queue=QUEUE)
def follow_seats_job(app_id: str, subscription_id: str) -> None:
    """Bring a subscription's quantity at Stripe to what its organization's members fill now."""
    scope = app_scope(app_id, "seats")
    if scope is not None:
        follow_seats(scope, UUID(subscription_id))


@job(MIGRATE_SUBSCRIBERS, queue=QUEUE)
def migrate_subscribers(app_id: str, migration_id: str) -> None:
    """Take the next subscribers of a plan to its newest version, and leave the rest to a job that follows."""
    scope = app_scope(app_id, f"migration {migration_id}")
    if scope is not None and _migrate_some(scope, UUID(migration_id)):
        with change(scope):
            defer_migration(scope, UUID(migration_id))


@periodic("billing.resume_migrations", "*/10 * * * *", queue=QUEUE)
def resume_migrations(timestamp: int) -> None:
    """Go on with migrations whose job gave up while Stripe was away. Beside one that is at it, it does no harm."""
    for scope, _ in connected_scopes("migration"):
        with reading(scope):
            rows = PlanMigration.objects.within(scope).filter(state=PlanMigration.State.RUNNING)
            running = list(rows.values_list("pk", flat=True))
        for migration_id in running:
            named = app_scope(scope.app, f"migration {migration_id}")
            if named is not None:
                _migrate_some(named, migration_id)


def _migrate_some(scope: Scope, migration_id: UUID) -> bool:
    """Say whether there may be more."""
    return all(migrate_next(scope, migration_id) for _ in range(BATCH))


def _sync(scope: Scope, account_id: str, kind: str, object_id: str, cause: str) -> None:
    try:
        done = sync_object(scope, account_id, kind, object_id, cause=cause)
    except AccountLost as lost:
        # Nothing of the account can be read any more; what it was is told by its deauthorization.
        failed(scope, account_id, object_id, lost)
        return
    except Exception as failure:
        failed(scope, account_id, object_id, failure)
        raise
    if not done:
        with change(scope):
            defer_look_again(scope, account_id, kind, object_id, cause)


@periodic("billing.push_pending", "*/5 * * * *", queue=QUEUE)
def push_pending(timestamp: int) -> None:
    """Push what a lost job left behind, for every connected app."""
    for scope, _ in connected_scopes(PUSHER):
        _push_pending(scope)


@periodic("billing.look_for_missed_events", "*/10 * * * *", queue=QUEUE)
def look_for_missed_events(timestamp: int) -> None:
    """Find the events that never arrived, account by account; one that fails does not hold up the others."""
    _for_each_account(look_for_missed)


@periodic("billing.sweep_subscriptions", "23 3 * * *", queue=QUEUE)
def sweep_all_subscriptions(timestamp: int) -> None:
    """Look at every running subscription once a night."""
    _for_each_account(sweep_subscriptions)


@periodic("billing.take_revenue", "17 * * * *", queue=QUEUE)
def take_revenue(timestamp: int) -> None:
    """Write what each day that is over came to, app by app; one that fails does not hold up the others."""
    for scope, _ in connected_scopes("revenue"):
        try:
            with change(scope):
                take_days(scope)
        except Exception:
            log.exception("a day's revenue was not written", extra={"app": str(scope.app)})


def _for_each_account(work: Callable[[Scope, str], object]) -> None:
    for scope, account_id in connected_scopes("stripe"):
        try:
            work(scope, account_id)
        except ApiError as failure:
            log.warning("account not looked at", extra={"account": account_id, "failure": type(failure).__name__})


def _push_pending(scope: Scope) -> None:
    with reading(scope):
        plans = pending_plans(scope)
    for plan_id in plans:
        _push(scope, plan_id)


def _push(scope: Scope, plan_id: UUID, *, say_again: bool = False) -> None:
    """Push one plan. What Stripe refuses stays with the plan for the dashboard: repeating it is no use."""
    try:
        push_plan(scope, plan_id, say_again=say_again)
    except StripeNotConnected:
        log.info("plan waits for a stripe account", extra={"plan": str(plan_id)})
    except StripeRefused as refused:
        log.warning("stripe refused a plan", extra={"plan": str(plan_id), "stripe_code": refused.stripe_code})
