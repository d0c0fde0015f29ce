"""Members of organizations: added, given another role, removed; ownership handed over.

Only owners change an admin's role, an organization never loses its last owner, and a member may leave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from accounts.models import Customer, Organization, OrganizationMember
from accounts.organization_errors import PlaceNotFound, PlaceTooLow
from accounts.services.customers import find_customer
from accounts.services.organizations_places import (
    ADMIN,
    MEMBER,
    OWNER,
    acting_role,
    calling_customer,
    change_role,
    enter,
    lock_customer,
    places_of,
    require_may_give,
    require_other_owner,
    require_seat,
    seat,
    unseat,
)
from stackbe.kernel import ids
from stackbe.kernel.audit import audit
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.ids import encode
from stackbe.kernel.scope import Credential, Scope
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from stackbe.kernel.tenancy import ScopedQuerySet


def list_members(scope: Scope, organization_id: str) -> ScopedQuerySet[OrganizationMember]:
    """Return who belongs to an organization; every member may see it."""
    return places_of(scope, enter(scope, organization_id).id)


def add_member(scope: Scope, organization_id: str, *, customer_id: str, role: str = MEMBER) -> OrganizationMember:
    """Give a customer a place; an admin may, and only an owner makes another owner.

    Raises `CustomerNotFound`, `AlreadyInside` and `SeatsTaken`.
    """
    require_change()
    organization = enter(scope, organization_id, ADMIN)
    require_may_give(scope, organization, role)
    customer = find_customer(scope, public_id=customer_id)
    lock_customer(scope, customer)
    organization = enter(scope, organization_id, ADMIN, hold=True)
    require_may_give(scope, organization, role)
    if not places_of(scope, organization.id).filter(customer=customer).exists():
        require_seat(scope, organization)
    return seat(scope, organization, customer, role)


def update_member(scope: Scope, organization_id: str, customer_id: str, *, role: str) -> OrganizationMember:
    """Give a member another role. The same role again changes nothing and is not announced.

    Raises `PlaceNotFound`, `PlaceTooLow` and `LastOrganizationOwner`.
    """
    require_change()
    organization = enter(scope, organization_id, ADMIN, hold=True)
    member = _member(scope, organization, customer_id)
    if role == member.role:
        return member
    _require_above(scope, organization, member)
    require_may_give(scope, organization, role)
    require_other_owner(scope, organization, member)
    change_role(scope, organization, member, role)
    return member


def remove_member(scope: Scope, organization_id: str, customer_id: str) -> None:
    """Take a member's place. Anybody may leave; an admin removes members, an owner everybody.

    Raises `PlaceNotFound`, `PlaceTooLow` and `LastOrganizationOwner`.
    """
    require_change()
    organization = enter(scope, organization_id, hold=True)
    member = _member(scope, organization, customer_id)
    if not _is_own(scope, member):
        if acting_role(scope, organization) == MEMBER:
            raise PlaceTooLow("Only an admin or an owner can remove somebody else.")
        _require_above(scope, organization, member)
    require_other_owner(scope, organization, member)
    unseat(scope, organization, member)


def transfer_ownership(
    scope: Scope, organization_id: str, *, customer_id: str, from_customer_id: str | None = None
) -> OrganizationMember:
    """Make a member the owner in place of another, who becomes an admin; return the new owner.

    A session hands over its own ownership. A key names whose where there are several owners.
    Raises `PlaceNotFound`, and `ValidationFailed` where it is not clear who hands over.
    """
    require_change()
    organization = enter(scope, organization_id, OWNER, hold=True)
    heir = _member(scope, organization, customer_id)
    giver = _giver(scope, organization, from_customer_id)
    if giver.pk == heir.pk:
        return heir
    if heir.role != OWNER:
        change_role(scope, organization, heir, OWNER)
    change_role(scope, organization, giver, ADMIN)
    detail = {"from": encode("cust", giver.customer_id), "to": encode("cust", heir.customer_id)}
    audit(scope, "organization.ownership_transferred", organization.public_id, detail=detail)
    return heir


def _giver(scope: Scope, organization: Organization, customer_id: str | None) -> OrganizationMember:
    """Return the owner who hands over."""
    owners = places_of(scope, organization.id).filter(role=OWNER).order_by("id")
    if scope.credential == Credential.SESSION:
        own = owners.get(customer_id=calling_customer(scope))
        if customer_id is not None and customer_id != encode("cust", own.customer_id):
            raise ValidationFailed(fields={"fromCustomerId": ["A session hands over its own ownership."]})
        return own
    found = list(owners)
    if customer_id is not None:
        found = [each for each in found if encode("cust", each.customer_id) == customer_id]
        if not found:
            raise ValidationFailed(fields={"fromCustomerId": ["No owner of this organization has this id."]})
    if len(found) != 1:
        sentence = (
            "There are several owners: name the one who hands over."
            if found
            else "Nobody owns this organization yet. Make a member its owner with PATCH …/members/:customerId."
        )
        raise ValidationFailed(fields={"fromCustomerId": [sentence]})
    return found[0]


def _require_above(scope: Scope, organization: Organization, member: OrganizationMember) -> None:
    """Raise unless the caller may change another's place: an owner anybody's, an admin a member's, all their own."""
    if _is_own(scope, member) or acting_role(scope, organization) == OWNER or member.role == MEMBER:
        return
    raise PlaceTooLow(f"Only an owner can change or remove an {member.role}.")


def _is_own(scope: Scope, member: OrganizationMember) -> bool:
    return scope.credential == Credential.SESSION and scope.customer_id == member.customer_id


def _member(scope: Scope, organization: Organization, customer_id: str) -> OrganizationMember:
    """Return a member by their customer's id; raise `PlaceNotFound`."""
    try:
        identifier: UUID = ids.decode(Customer.id_prefix, customer_id)
    except ids.MalformedId:
        raise PlaceNotFound from None
    member = places_of(scope, organization.id).filter(customer_id=identifier).first()
    if member is None:
        raise PlaceNotFound
    return member
