"""How a step in a subscription's life is written: the row, its history, what it grants, the event."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from accounts.events import customer_as_event
from accounts.models import Customer, Organization, OrganizationMember
from billing.events import plan_as_event, subscription_as_event
from billing.lifecycle import access_window
from billing.models import Price, Subscription, SubscriptionTransition
from billing.services import access
from billing.services.due import REMINDED, next_reminder, settings_of
from billing.states import COLUMNS, Transition
from stackbe.kernel.clock import now, render
from stackbe.kernel.ids import encode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change
from webhooks.outbox import emit

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

CANCELED = Subscription.Status.CANCELED
CAUSE_LENGTH = 300


def lock_customer(scope: Scope, customer_id: UUID) -> None:
    """Hold a customer before any subscription of theirs: one order of locks, so that none wait in a ring."""
    rows = Customer.objects.within(scope).select_for_update(no_key=True)
    rows.only("id").get(pk=customer_id)


def live_of(scope: Scope, customer_id: UUID, organization_id: UUID | None) -> ScopedQuerySet[Subscription]:
    """Return what runs for a customer, or for an organization where one is given, and hold it."""
    rows = Subscription.objects.within(scope).locked().select_related("plan", "plan_version", "customer")
    rows = rows.exclude(status=CANCELED)
    if organization_id is not None:
        return rows.filter(organization_id=organization_id)
    return rows.filter(customer_id=customer_id, organization_id__isnull=True)


def take(scope: Scope, row: Subscription, step: Transition, moment: datetime, cause: str) -> Subscription:
    """Write a step and return the row: its place in the history, what it grants, and the event with it."""
    require_change()
    for name in COLUMNS:
        setattr(row, name, getattr(step.after, name))
    if not step.event:
        row.save(update_fields=["facts_at"])
        return row
    row.access_from, row.access_until = access_window(step.after, row.created_at)
    if step.before is None or step.before.past_due_since != step.after.past_due_since:
        row.dunned = 0
    row.remind_at = next_reminder(row, settings_of(scope)) if step.after.status in REMINDED else None
    row.updated_at = moment
    row.save()
    row = Subscription.objects.within(scope).select_related("plan", "plan_version").get(pk=row.pk)
    SubscriptionTransition.unscoped.create(
        **owned_by(scope),
        subscription=row,
        name=step.name,
        from_status=step.before.status if step.before else "",
        to_status=step.after.status,
        cause=cause[:CAUSE_LENGTH],
        occurred_at=moment,
        detail={name: [plain_value(b), plain_value(a)] for name, (b, a) in step.changed.items()},
    )
    if row.customer.deleted_at is None:
        emit(scope, step.event, event_data(scope, row), subject=row.customer_id)
    if row.status == CANCELED:
        _promote(scope, row)
    for customer_id in served(scope, row):
        access.refresh_access(scope, customer_id, changed=row.id)
    return row


def event_data(scope: Scope, row: Subscription) -> dict[str, Any]:
    """Return `{subscription, customer, plan}` as the events about a subscription carry it."""
    return {
        "subscription": subscription_as_event(row, now(scope)),
        "customer": customer_as_event(row.customer),
        "plan": plan_as_event(row.plan, row.plan_version),
    }


def _promote(scope: Scope, ended: Subscription) -> None:
    """Let the oldest one beside an ended subscription take its place."""
    live = live_of(scope, ended.customer_id, ended.organization_id).order_by("id")
    live = live.exclude(price__in=one_time_prices(scope))
    if live.filter(beside_another=False).exists():
        return
    oldest = live.first()
    if oldest is not None:
        oldest.beside_another = False
        oldest.save(update_fields=["beside_another"])


def one_time_prices(scope: Scope) -> ScopedQuerySet[Price]:
    """Return the prices that are paid once: what was bought at one of them lasts, beside any subscription."""
    return Price.objects.within(scope).filter(interval=Price.Interval.ONE_TIME)


def served(scope: Scope, row: Subscription) -> list[UUID]:
    """Return the customers whose access hangs on a subscription, in the order in which to lock them.

    The organization is held: who joins at this moment is either among them or reads what is written here.
    """
    if row.organization_id is None:
        return [row.customer_id]
    Organization.objects.within(scope).select_for_update(no_key=True).only("id").filter(pk=row.organization_id).first()
    places = OrganizationMember.objects.within(scope).filter(organization_id=row.organization_id)
    members = set(places.values_list("customer_id", flat=True))
    return sorted(members | {row.customer_id})


def plain_value(value: Any) -> Any:
    """Return a column's value as the history keeps it."""
    if isinstance(value, datetime):
        return render(value)
    return encode("row", value) if isinstance(value, UUID) else value
