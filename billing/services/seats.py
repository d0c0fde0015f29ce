"""The seats that an organization's plan holds, and what follows when somebody comes or goes.

A plan is *per seat* where its price is charged by quantity and it says how many `seats` a unit holds: its
quantity at Stripe then follows the members, so nothing is ever full. Any other plan has the seats that its
entitlements say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q

from accounts.models import OrganizationMember
from accounts.organization_errors import OrganizationNotFound, PlaceTooLow
from accounts.services.organizations_places import ADMIN, RANK, enter, role_of
from billing.events import invoice_as_event, subscription_as_event
from billing.models import DefaultAccess, InvoiceReference, PlanVersion, Price, Subscription
from billing.queue import defer_follow_seats
from billing.services.access import refresh_access
from billing.services.grants import Catalogue
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

SEATS = "seats"
OVER = (Subscription.Status.CANCELED, Subscription.Status.INCOMPLETE)


def run_by(scope: Scope, organization_id: str | UUID, customer_id: UUID) -> UUID:
    """Return an organization that a customer runs as owner or admin, and hold it until the change ends.

    Raises `OrganizationNotFound`, also where they are no member, and `PlaceTooLow` where they are one and no more.
    """
    organization = enter(scope, organization_id, ADMIN, hold=True)
    role = role_of(scope, organization.id, customer_id)
    if role is None:
        raise OrganizationNotFound
    if RANK[role] < RANK[ADMIN]:
        raise PlaceTooLow("Only an owner or an admin decides what the organization is subscribed to.")
    return organization.id


def seat_limit(scope: Scope, organization_id: UUID) -> int | None:
    """Return how many may belong to an organization, None for no limit.

    Without a subscription of its own the app's default plan counts, as for a customer.
    """
    row = subscription_of(scope, organization_id)
    if row is None:
        default = DefaultAccess.objects.within(scope).first()
        return _whole(default.entitlements.get(SEATS)) if default else None
    if is_per_seat(row.plan_version, row.price):
        return None
    return _whole(Catalogue(scope).grants_of(row.plan_version, row.quantity).entitlements.get(SEATS))


def subscription_of(scope: Scope, organization_id: UUID) -> Subscription | None:
    """Return the subscription that an organization has now, rather than what was bought beside it."""
    moment = now(scope)
    rows = Subscription.objects.within(scope).filter(organization_id=organization_id).exclude(status__in=OVER)
    begun = Q(access_from__isnull=True) | Q(access_from__lte=moment)
    going_on = Q(access_until__isnull=True) | Q(access_until__gt=moment)
    found = rows.filter(begun & going_on).select_related("plan", "plan_version", "price")
    return found.order_by("beside_another", "-id").first()


def is_per_seat(version: PlanVersion, price: Price | None) -> bool:
    """Say whether a plan is paid by the seat."""
    return bool(version.seats) and price is not None and price.scheme != Price.Scheme.FLAT


def quantity_for(scope: Scope, organization_id: UUID, version: PlanVersion) -> int:
    """Return how many units of a plan that is per seat the members of an organization fill, at least one."""
    members = OrganizationMember.objects.within(scope).filter(organization_id=organization_id).count()
    return max(1, -(-members // (version.seats or 1)))


def quantity_bought(scope: Scope, organization_id: UUID | None, version: PlanVersion, price: Price) -> int:
    """Return how many units a checkout is for unless its caller says: as many as an organization's members fill."""
    if organization_id is None or not is_per_seat(version, price):
        return 1
    return quantity_for(scope, organization_id, version)


def wanted_quantity(scope: Scope, row: Subscription) -> int | None:
    """Return the quantity that a subscription should have at Stripe, None where it follows nobody."""
    if row.organization_id is None or not row.stripe_subscription_id or row.status in OVER:
        return None
    if not is_per_seat(row.plan_version, row.price):
        return None
    return quantity_for(scope, row.organization_id, row.plan_version)


def members_changed(scope: Scope, organization_id: UUID, customer_ids: Iterable[UUID]) -> None:
    """Work out anew what those may do who came to an organization or left it; have its quantity follow."""
    require_change()
    _hand_over(scope, organization_id)
    for customer_id in customer_ids:
        refresh_access(scope, customer_id)
    follow(scope, organization_id)


def _hand_over(scope: Scope, organization_id: UUID) -> None:
    """Give what a customer who is being deleted bought for an organization to the owner of the longest standing.

    Otherwise it would end with the buyer, or go on with nobody whom events could tell of.
    """
    owners = OrganizationMember.objects.within(scope).filter(organization_id=organization_id, role="owner")
    heir = owners.order_by("id").first()
    rows = Subscription.objects.within(scope).locked().filter(organization_id=organization_id)
    for row in rows.filter(customer__deleted_at__isnull=False).exclude(status=Subscription.Status.CANCELED):
        if heir is not None:
            row.customer_id = heir.customer_id
            row.save(update_fields=["customer"])
            audit(scope, "subscription.handed_over", row.public_id, subject_id=heir.customer_id)


def follow(scope: Scope, organization_id: UUID) -> None:
    """Queue in the open change that the quantities of an organization's plans follow its members."""
    rows = Subscription.objects.within(scope).filter(organization_id=organization_id).exclude(status__in=OVER)
    for row in rows.select_related("plan_version", "price"):
        if wanted_quantity(scope, row) is not None:
            defer_follow_seats(scope, row.id)


def catch_up(scope: Scope, row: Subscription) -> None:
    """Queue likewise for one that has fewer units than its members fill: some joined while it was being bought.

    More than they fill were bought on purpose, and stay until somebody comes or goes.
    """
    wanted = wanted_quantity(scope, row)
    if wanted is not None and wanted > row.quantity:
        defer_follow_seats(scope, row.id)


def export_organization(scope: Scope, organization_id: UUID) -> dict[str, Any]:
    """Return an organization's subscriptions and the references to their invoices, oldest first."""
    moment = now(scope)
    rows = list(Subscription.objects.within(scope).filter(organization_id=organization_id).order_by("id"))
    invoices = InvoiceReference.objects.within(scope).filter(subscription__in=rows).order_by("id")
    return {
        "subscriptions": [subscription_as_event(row, moment) for row in rows],
        "invoices": [invoice_as_event(row) for row in invoices],
    }


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
