"""Who may do what in an organization, and the only way in and out of it.

Every change of who belongs to an organization holds its row first, so seats and owners are counted
exactly however many ask at once. Whoever also locks a customer does that before: one order of locks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from accounts import seats
from accounts.events import member_as_event, organization_as_event
from accounts.models import (
    App,
    Customer,
    CustomerSession,
    OneTimeCode,
    Organization,
    OrganizationMember,
)
from accounts.organization_errors import (
    AlreadyInside,
    LastOrganizationOwner,
    OrganizationNotFound,
    OrganizationsDisabled,
    PlaceTooLow,
    SeatsTaken,
)
from accounts.organization_models import OrganizationInvite
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now, wall_clock
from stackbe.kernel.ids import encode
from stackbe.kernel.scope import Credential, Scope
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change
from webhooks.outbox import emit

if TYPE_CHECKING:
    from stackbe.kernel.tenancy import ScopedQuerySet

OWNER, ADMIN, MEMBER = (OrganizationMember.Role.OWNER, OrganizationMember.Role.ADMIN, OrganizationMember.Role.MEMBER)
RANK: dict[str, int] = {MEMBER: 0, ADMIN: 1, OWNER: 2}


def require_enabled(scope: Scope) -> None:
    """Raise `OrganizationsDisabled` where the app does not use organizations."""
    if not App.objects.within(scope).get(pk=scope.app).config.organizations_enabled:
        raise OrganizationsDisabled


def live_organizations(scope: Scope) -> ScopedQuerySet[Organization]:
    """Return the app's organizations without those whose deletion was asked for."""
    return Organization.objects.within(scope).filter(deleted_at__isnull=True)


def enter(scope: Scope, organization_id: str | UUID, least: str = MEMBER, *, hold: bool = False) -> Organization:
    """Return an organization in which the caller may do what a `least` may; `hold` its row until the change ends.

    A key may do anything; a session acts with its customer's role as it is now, not as its token says.
    Raises `OrganizationNotFound`, also for who is no member, and `PlaceTooLow` naming the role it takes.
    """
    require_enabled(scope)
    rows = live_organizations(scope)
    organization = (rows.locked() if hold else rows).fetch(organization_id, OrganizationNotFound)
    if scope.credential == Credential.SESSION:
        role = role_of(scope, organization.id, scope.customer_id)
        if role is None:
            raise OrganizationNotFound
        if RANK[role] < RANK[least]:
            raise PlaceTooLow(f"Your role in this organization is {role}; this takes {_article(least)}.")
    return organization


def acting_role(scope: Scope, organization: Organization) -> str:
    """Return the role with which the caller acts: the customer's for a session, else an owner's."""
    if scope.credential != Credential.SESSION:
        return OWNER
    return role_of(scope, organization.id, scope.customer_id) or MEMBER


def role_of(scope: Scope, organization_id: UUID, customer_id: UUID | None) -> str | None:
    """Return a customer's role in an organization, None for who is no member."""
    if customer_id is None:
        return None
    rows = OrganizationMember.objects.within(scope).filter(organization_id=organization_id, customer_id=customer_id)
    return rows.values_list("role", flat=True).first()


def calling_customer(scope: Scope) -> UUID:
    """Return whose session calls; only sessions have a customer."""
    if scope.customer_id is None:
        raise RuntimeError("a session without a customer")
    return scope.customer_id


def require_may_give(scope: Scope, organization: Organization, role: str) -> None:
    """Raise unless the caller may give the role: an admin gives any but owner's."""
    if role == OWNER and acting_role(scope, organization) != OWNER:
        raise PlaceTooLow("Only an owner can make somebody an owner.")


def places_of(scope: Scope, organization_id: UUID) -> ScopedQuerySet[OrganizationMember]:
    """Return an organization's members, each with their customer at hand."""
    rows = OrganizationMember.objects.within(scope).filter(organization_id=organization_id)
    return rows.select_related("customer")


def pending_invites(scope: Scope, organization_id: UUID) -> ScopedQuerySet[OrganizationInvite]:
    """Return the invitations that can still be accepted."""
    rows = OrganizationInvite.objects.within(scope).filter(organization_id=organization_id)
    return rows.filter(expires_at__gt=wall_clock())


def seats_of(scope: Scope, organization: Organization) -> dict[str, int | None]:
    """Return how many seats there are (None: no limit) and who fills them."""
    return {
        "limit": seats.seat_limit(scope, organization.id),
        "members": places_of(scope, organization.id).count(),
        "pendingInvites": pending_invites(scope, organization.id).count(),
    }


def require_seat(scope: Scope, organization: Organization) -> None:
    """Raise `SeatsTaken` unless one more fits. Call it with the organization held: then it is exact."""
    require_change()
    counted = seats_of(scope, organization)
    limit, taken = counted["limit"], (counted["members"] or 0) + (counted["pendingInvites"] or 0)
    if limit is not None and taken >= limit:
        sentence = (
            f"All {limit} seats of the organization's plan are taken, pending invitations included."
            " Remove a member, revoke an invitation, or change the plan."
        )
        raise SeatsTaken(sentence, extra={"seats": counted})


def lock_customer(scope: Scope, customer: Customer) -> None:
    """Hold a customer before an organization: who is erased meanwhile does not join."""
    Customer.objects.within(scope).select_for_update(no_key=True).only("id").get(pk=customer.pk)


def seat(scope: Scope, organization: Organization, customer: Customer, role: str) -> OrganizationMember:
    """Give a customer a place in an organization that is held; access and the plan's quantity follow.

    Raises `AlreadyInside` for a member.
    """
    require_change()
    if role_of(scope, organization.id, customer.id) is not None:
        raise AlreadyInside
    member = OrganizationMember(
        **owned_by(scope), organization=organization, customer=customer, role=role, created_at=now(scope)
    )
    member.save(force_insert=True)
    data = {"organization": organization_as_event(organization), "member": member_as_event(member)}
    emit(scope, "organization.member_added", data, subject=customer.id)
    detail = {"customerId": customer.public_id, "role": role}
    audit(scope, "organization.member_added", organization.public_id, subject_id=customer.id, detail=detail)
    seats.tell_changed(scope, organization.id, [customer.id])
    return member


def unseat(scope: Scope, organization: Organization, member: OrganizationMember) -> None:
    """Take a member's place in an organization that is held; their sessions act in none from now on."""
    require_change()
    shown = member_as_event(member)
    customer_id = member.customer_id
    member.delete()
    forget_in_sessions(scope, organization.id, customer_id)
    data = {"organization": organization_as_event(organization), "member": shown}
    emit(scope, "organization.member_removed", data, subject=customer_id)
    detail = {"customerId": shown["customerId"], "role": member.role}
    audit(scope, "organization.member_removed", organization.public_id, subject_id=customer_id, detail=detail)
    seats.tell_changed(scope, organization.id, [customer_id])


def forget_in_sessions(scope: Scope, organization_id: UUID, customer_id: UUID | None = None) -> None:
    """Have sessions that act in an organization act in none, one customer's or everybody's."""
    require_change()
    for model in (CustomerSession, OneTimeCode):
        rows = model.objects.within(scope).filter(organization_id=organization_id)
        if customer_id is not None:
            rows = rows.filter(customer_id=customer_id)
        rows.update(organization_id=None)


def require_other_owner(scope: Scope, organization: Organization, member: OrganizationMember) -> None:
    """Raise `LastOrganizationOwner` where a member is the only owner of an organization that is held."""
    if member.role == OWNER:
        owners = places_of(scope, organization.id).filter(role=OWNER).exclude(pk=member.pk)
        if not owners.exists():
            raise LastOrganizationOwner


def change_role(scope: Scope, organization: Organization, member: OrganizationMember, role: str) -> None:
    """Write a member's new role and tell of it. The rules are the caller's to apply."""
    require_change()
    before, member.role = member.role, role
    member.save(update_fields=["role"])
    data = {"organization": organization_as_event(organization), "member": member_as_event(member)}
    emit(scope, "organization.updated", data, subject=member.customer_id)
    detail = {"customerId": encode("cust", member.customer_id), "role": {"from": before, "to": role}}
    audit(scope, "organization.role_changed", organization.public_id, subject_id=member.customer_id, detail=detail)


def _article(role: str) -> str:
    return f"an {role}" if role in {OWNER, ADMIN} else f"a {role}"
