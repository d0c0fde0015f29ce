"""Who belongs to a tenant, and what they may do there."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from accounts.developer_models import MemberInvitation
from accounts.errors import AlreadyMember, AppNotFound, LastOwner, MemberNotFound, NotYourself, TenantNotFound
from accounts.lookups import known_app
from accounts.models import Membership, User
from accounts.services.users import ensure_user
from stackbe.kernel.audit import audit
from stackbe.kernel.errors import Forbidden
from stackbe.kernel.models import AuditEvent, BrowserSession
from stackbe.kernel.scope import PLATFORM, Credential, Role, Scope
from stackbe.kernel.transactions import current, require_change

if TYPE_CHECKING:
    from stackbe.kernel.tenancy import ScopedQuerySet


class Place(NamedTuple):
    """A developer's place in one tenant, as `lookup.memberships` answers."""

    id: UUID
    tenant_id: UUID
    role: Role
    tenant_name: str


def memberships_of(user_id: UUID) -> list[Place]:
    """Return a developer's places in tenants, oldest first; needs no open change."""
    with connection.cursor() as cursor:
        cursor.execute("select id, tenant_id, role, tenant_name from lookup.memberships(%s)", [user_id])
        rows = cursor.fetchall()
    return [Place(row[0], row[1], Role(row[2]), row[3]) for row in rows]


def member_scope(user: User, tenant_id: UUID, app_id: UUID | None = None) -> Scope:
    """Return what a signed-in developer may do in a tenant, read anew for each request.

    Raises `TenantNotFound` for one they are no member of and `AppNotFound` for an app that is not
    the tenant's or is closed.
    """
    place = next((p for p in memberships_of(user.id) if p.tenant_id == tenant_id), None)
    if place is None:
        raise TenantNotFound
    scope = Scope(
        tenant_id=tenant_id,
        credential=Credential.MEMBER,
        credential_id=place.id,
        scopes=frozenset({"*"}),
        role=place.role,
    )
    if app_id is None:
        return scope
    app = known_app(app_id)
    if app is None or app.tenant_id != tenant_id or app.closed:
        raise AppNotFound
    return scope.for_app(app.id, app.environment, timedelta(milliseconds=app.clock_offset_ms))


def list_members(scope: Scope) -> list[tuple[Membership, User]]:
    """Return the tenant's members with their identities, oldest first."""
    places = list(Membership.objects.within(scope).order_by("id"))
    users = User.objects.in_bulk([place.user_id for place in places])
    current().keys.preload(users, PLATFORM)
    return [(place, users[place.user_id]) for place in places if place.user_id in users]


def mailable_owners(scope: Scope) -> list[tuple[str, UUID]]:
    """Return the address and the id of each of the tenant's owners, oldest first, but for those who were erased."""
    owners = [user for place, user in list_members(scope) if place.role == Role.OWNER]
    return [(user.email, user.id) for user in owners if user.email is not None]


def add_member(scope: Scope, *, email: str, role: str) -> Membership:
    """Give a person a place in the tenant. They sign in with a link, whether or not they are new.

    Nobody gives a role above their own.
    """
    require_change()
    wanted = Role(role)
    refuse_below(scope, Role.ADMIN)
    refuse_above(scope, wanted)
    user = ensure_user(email)
    place = Membership(tenant_id=scope.tenant_id, user_id=user.id, role=wanted.value)
    try:
        with transaction.atomic():
            place.save(force_insert=True)
    except IntegrityError:
        raise AlreadyMember from None
    audit(scope, "member.added", place.public_id, detail={"role": wanted.value})
    return place


def change_role(scope: Scope, member_id: str, *, role: str) -> Membership:
    """Give a member another role; the last owner stays one."""
    require_change()
    wanted = Role(role)
    refuse_below(scope, Role.ADMIN)
    place = _locked(scope).fetch(member_id, MemberNotFound)
    before = Role(place.role)
    refuse_above(scope, wanted)
    refuse_above(scope, before)
    if wanted == before:
        return place
    if before == Role.OWNER:
        _refuse_last_owner(scope, place)
    place.role = wanted.value
    place.save(update_fields=["role"])
    detail = {"from": before.value, "to": wanted.value}
    audit(scope, "member.role_changed", place.public_id, detail=detail)
    return place


def remove_member(scope: Scope, member_id: str) -> None:
    """Take a member's place away; their next click in this tenant finds nothing.

    They are signed out of every browser, and what they offered to others is taken back.
    """
    require_change()
    refuse_below(scope, Role.ADMIN)
    place = _locked(scope).fetch(member_id, MemberNotFound)
    refuse_above(scope, Role(place.role))
    _unseat(scope, place, "member.removed")
    BrowserSession.objects.filter(user_id=place.user_id).delete()


def leave_tenant(scope: Scope) -> None:
    """Give one's own place up; the last owner stays."""
    require_change()
    _unseat(scope, _locked(scope).fetch(scope.actor, MemberNotFound), "member.left")


def transfer_ownership(scope: Scope, member_id: str) -> Membership:
    """Make another member an owner and the caller an admin, in one step, so that there is always one.

    Raises `Forbidden` for who is no owner and `NotYourself` for a transfer to oneself.
    """
    require_change()
    refuse_below(scope, Role.OWNER)
    places = _locked(scope)
    heir = places.fetch(member_id, MemberNotFound)
    giver = places.fetch(scope.actor, MemberNotFound)
    if heir.pk == giver.pk:
        raise NotYourself
    if giver.role != Role.OWNER.value:
        raise Forbidden("Only an owner can transfer the ownership.")
    before = heir.role
    heir.role, giver.role = Role.OWNER.value, Role.ADMIN.value
    heir.save(update_fields=["role"])
    giver.save(update_fields=["role"])
    detail = {"from": giver.public_id, "before": before}
    audit(scope, "tenant.ownership_transferred", heir.public_id, detail=detail)
    return heir


def keys_issued_by(scope: Scope, member_id: str) -> list[str]:
    """Return the public ids of the API keys that a member made, as the audit log tells."""
    rows = AuditEvent.objects.within(scope).filter(action="api_key.issued", actor=member_id)
    return list(rows.order_by("id").values_list("target", flat=True))


def _locked(scope: Scope) -> ScopedQuerySet[Membership]:
    """Hold all of a tenant's places, so that two owners cannot leave at the same moment."""
    list(Membership.objects.within(scope).locked().order_by("id"))
    return Membership.objects.within(scope)


def _unseat(scope: Scope, place: Membership, action: str) -> None:
    if place.role == Role.OWNER.value:
        _refuse_last_owner(scope, place)
    name = place.public_id
    MemberInvitation.objects.within(scope).filter(invited_by=place.pk).delete()
    place.delete()
    audit(scope, action, name, detail={"role": place.role})


def refuse_above(scope: Scope, role: Role) -> None:
    """Raise `Forbidden` where a member would give or take a role above their own."""
    if scope.role is not None and role.rank > scope.role.rank:
        raise Forbidden(f"Nobody gives or takes a role above their own: {role} takes a member who is at least {role}.")


def refuse_below(scope: Scope, role: Role) -> None:
    """Raise `Forbidden` for a member of a lesser role; what acts without a person has none."""
    if scope.role is not None and scope.role.rank < role.rank:
        raise Forbidden(f"That takes the role {role}. An owner or admin can give it to you.")


def _refuse_last_owner(scope: Scope, place: Membership) -> None:
    owners = Membership.objects.within(scope).filter(role=Role.OWNER.value)
    if not owners.exclude(pk=place.pk).exists():
        raise LastOwner
