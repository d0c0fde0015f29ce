"""An app's own copies of its customers' states stay right: whatever changes in one is told, under a greater version.

What billing itself works out is told where it does (billing/services/access.py). Here is the rest that a state shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.models import Customer
from accounts.services.customers import after_customer_changes
from billing.models import Access, DefaultAccess
from billing.queue import defer_announcement
from billing.services.access import AT_ONCE, NOTHING_HELD, announce, earliest, in_force, next_version
from billing.state import next_dates
from stackbe.kernel.clock import now
from stackbe.kernel.ids import NIL
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope


def follow_customers() -> None:
    """Have a customer's state told when what it shows of them changes; called once when the apps are ready."""
    after_customer_changes("state", customer_changed)


def refresh_state(scope: Scope, customer_id: UUID) -> None:
    """Tell the app of a customer whose state changed in a part that is not access, such as credits.

    The state's version grows with it, also for a customer who had none of their own yet.
    """
    require_change()
    moment = now(scope)
    row = Access.objects.within(scope).locked().filter(customer_id=customer_id).first()
    if row is None:
        fresh = Access(**owned_by(scope), customer_id=customer_id, version=0, **NOTHING_HELD)
        Access.unscoped.bulk_create([fresh], ignore_conflicts=True)
        row = Access.objects.within(scope).locked().get(customer_id=customer_id)
    # A date that has passed is left to those who act on it.
    row.changes_at = earliest(row.changes_at, *next_dates(scope, customer_id, moment))
    row.version = next_version(row.version)
    row.updated_at = moment
    row.save(update_fields=["changes_at", "version", "updated_at"])
    announce(scope, customer_id)


def customer_changed(scope: Scope, customer: Customer) -> None:
    """Tell of a customer's name, address or metadata where they have a state: whoever has nothing has no copy."""
    has_one = Access.objects.within(scope).filter(customer_id=customer.pk).exists()
    if has_one or DefaultAccess.objects.within(scope).exists():
        refresh_state(scope, customer.pk)


def announce_default(scope: Scope, after: UUID = NIL) -> None:
    """Tell the app of the next few customers who have the default plan, and queue the ones after them.

    Where there is none any more, its version went with it: theirs grows in its place, past that of every copy.
    """
    require_change()
    moment = now(scope)
    tell = announce if DefaultAccess.objects.within(scope).exists() else refresh_state
    rows = Customer.objects.within(scope).filter(pk__gt=after, deleted_at__isnull=True).order_by("pk")
    customers = list(rows.values_list("pk", flat=True)[: AT_ONCE + 1])
    own = Access.objects.within(scope).filter(customer_id__in=customers)
    subscribed = {row.customer_id for row in own if in_force(row, moment)}
    for customer_id in customers[:AT_ONCE]:
        if customer_id not in subscribed:
            tell(scope, customer_id)
    if len(customers) > AT_ONCE:
        defer_announcement(scope, after=customers[AT_ONCE - 1])


def announce_organization(scope: Scope, organization_id: UUID, after: UUID = NIL) -> None:
    """Tell the app of the next few whom an organization's plan serves, and queue the ones after them."""
    require_change()
    rows = Access.objects.within(scope).filter(organization_id=organization_id, customer_id__gt=after)
    customers = list(rows.order_by("customer_id").values_list("customer_id", flat=True)[: AT_ONCE + 1])
    for customer_id in customers[:AT_ONCE]:
        refresh_state(scope, customer_id)
    if len(customers) > AT_ONCE:
        defer_announcement(scope, organization_id, after=customers[AT_ONCE - 1])
