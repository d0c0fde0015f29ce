"""Invitations to a tenant: asked for by a member, mailed by the worker, taken once by who reads the mail.

Whether the address belongs to anybody here is not looked up when it is invited, so an invitation tells its
sender nothing about strangers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from accounts import opaque
from accounts.developer_models import MemberInvitation
from accounts.errors import (
    AlreadyInvited,
    AlreadyMember,
    InvitationNotFound,
    InvitedSomebodyElse,
    TokenAlreadyUsed,
    TokenExpired,
    TokenInvalid,
)
from accounts.member_mail import INVITATION, mail_member_invitation
from accounts.models import Membership, SpentToken, User
from accounts.services.members import refuse_above, refuse_below
from accounts.services.users import ensure_user, user_index
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import token_digest
from stackbe.kernel.jobs import enqueue
from stackbe.kernel.scope import Credential, Role, Scope, platform_scope, system_scope
from stackbe.kernel.transactions import change, reading, require_change

if TYPE_CHECKING:
    from collections.abc import Callable

LIVES = timedelta(days=7)
ACTOR = "invitation"


class Waiting(NamedTuple):
    """An invitation as it can be found before its tenant is known."""

    id: UUID
    tenant_id: UUID
    tenant_name: str
    role: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Offer:
    """What the page of an invitation says before anything is spent."""

    waiting: Waiting
    masked_email: str
    email_index: bytes


def invite_member(scope: Scope, *, email: str, role: str) -> MemberInvitation:
    """Ask somebody to become a member; the mail goes out once this commits. Good for 7 days.

    Nobody offers a role above their own. Raises `AlreadyMember` or `AlreadyInvited` about the tenant's own
    people, and says nothing about anybody else.
    """
    require_change()
    wanted = Role(role)
    refuse_below(scope, Role.ADMIN)
    refuse_above(scope, wanted)
    index = user_index(email)
    if _is_member(scope, index):
        raise AlreadyMember
    moment = wall_clock()
    MemberInvitation.objects.within(scope).filter(email_index=index, expires_at__lte=moment).delete()
    invitation = MemberInvitation(
        tenant_id=scope.tenant_id,
        email=email,
        email_index=index,
        role=wanted.value,
        invited_by=scope.credential_id if scope.credential is Credential.MEMBER else None,
        created_at=moment,
        expires_at=moment + LIVES,
    )
    try:
        with transaction.atomic():
            invitation.save(force_insert=True)
    except IntegrityError:
        raise AlreadyInvited from None
    _have_mailed(invitation)
    audit(scope, "member.invited", invitation.public_id, detail={"role": wanted.value})
    return invitation


def list_invitations(scope: Scope) -> list[MemberInvitation]:
    """Return the tenant's open invitations, oldest first."""
    return list(MemberInvitation.objects.within(scope).filter(expires_at__gt=wall_clock()).order_by("id"))


def resend_invitation(scope: Scope, invitation_id: str) -> MemberInvitation:
    """Mail an invitation anew with another link; the link of the earlier mail stops working at once."""
    require_change()
    invitation = _held(scope, invitation_id)
    invitation.token_digest = None
    invitation.expires_at = wall_clock() + LIVES
    invitation.save(update_fields=["token_digest", "expires_at"])
    _have_mailed(invitation)
    audit(scope, "member.invitation_resent", invitation.public_id)
    return invitation


def revoke_invitation(scope: Scope, invitation_id: str) -> None:
    """Take an invitation back; its link opens nothing from now on."""
    require_change()
    invitation = _held(scope, invitation_id)
    name = invitation.public_id
    invitation.delete()
    audit(scope, "member.invitation_revoked", name, detail={"role": invitation.role})


def offer_of(token: str) -> Offer:
    """Return what an invitation's link offers, spending nothing.

    Raises `TokenAlreadyUsed`, `TokenExpired` or `TokenInvalid`.
    """
    with connection.cursor() as cursor:
        cursor.execute("select * from lookup.member_invitation(%s)", [token_digest(token)])
        row = cursor.fetchone()
    found = Waiting(*row) if row else None
    if found is None:
        raise _why_not(token)
    if found.expires_at <= wall_clock():
        raise TokenExpired
    scope = system_scope(found.tenant_id, actor_name=ACTOR)
    with reading(scope):
        invitation = MemberInvitation.objects.within(scope).filter(pk=found.id).first()
        if invitation is not None:
            return Offer(found, opaque.masked(invitation.email), bytes(invitation.email_index))
    # Taken or revoked since the look-up: whoever comes a moment late is told which.
    raise _why_not(token)


def offers_to(email_index: bytes) -> list[Waiting]:
    """Return the invitations that wait for an address, oldest first. Needs no open change."""
    with connection.cursor() as cursor:
        cursor.execute("select * from lookup.member_invitations_to(%s, %s)", [email_index, wall_clock()])
        return [Waiting(*row) for row in cursor.fetchall()]


def accept_link(token: str, user: User | None, enter: Callable[[User], None]) -> User:
    """Take the place that an invitation's link offers, once.

    Somebody signed in must have the address that was invited. For a stranger to this browser the link proves
    the address, as a sign-in link does: they are signed in by `enter`, and made if new.
    Raises as `offer_of` does, and `InvitedSomebodyElse`.
    """
    offer = offer_of(token)
    if user is not None and bytes(user.email_index) != offer.email_index:
        raise InvitedSomebodyElse(f"This invitation is for {offer.masked_email}. Sign out and open it again.")
    with change(system_scope(offer.waiting.tenant_id, actor_name=ACTOR)) as unit:
        invitation = _spent(unit.scope, offer.waiting.id, token_digest=token_digest(token))
        person = user or ensure_user(invitation.email)
        if not person.is_active:
            raise TokenInvalid("This account is closed.")
        _seat(unit.scope, invitation, person)
        if user is None:
            audit(platform_scope(ACTOR), "developer.signed_in", person.public_id, subject_id=person.id)
            enter(person)
    return person


def accept_offer(user: User, invitation_id: UUID) -> None:
    """Take a place that is offered to the address that a developer signed in with.

    Raises `InvitationNotFound` for one that is over or somebody else's.
    """
    with change(_scope_of(user, invitation_id)) as unit:
        _seat(unit.scope, _spent(unit.scope, invitation_id, email_index=bytes(user.email_index)), user)


def decline_offer(user: User, invitation_id: UUID) -> None:
    """Refuse a place that is offered to one's address; who asked sees that it is gone."""
    with change(_scope_of(user, invitation_id)) as unit:
        invitation = _spent(unit.scope, invitation_id, email_index=bytes(user.email_index))
        audit(unit.scope, "member.invitation_declined", invitation.public_id)


def _scope_of(user: User, invitation_id: UUID) -> Scope:
    waiting = next((offer for offer in offers_to(bytes(user.email_index)) if offer.id == invitation_id), None)
    if waiting is None:
        raise InvitationNotFound
    return system_scope(waiting.tenant_id, actor_name=ACTOR)


def _held(scope: Scope, invitation_id: str) -> MemberInvitation:
    """Return an open invitation, held until the change ends, that the caller may dispose of."""
    refuse_below(scope, Role.ADMIN)
    rows = MemberInvitation.objects.within(scope).locked().filter(expires_at__gt=wall_clock())
    invitation = rows.fetch(invitation_id, InvitationNotFound)
    refuse_above(scope, Role(invitation.role))
    return invitation


def _spent(scope: Scope, invitation_id: UUID, **proof: bytes) -> MemberInvitation:
    """Delete a live invitation and return what it was. The loser of a race waits here and finds it gone."""
    rows = MemberInvitation.objects.within(scope).locked().filter(pk=invitation_id, **proof)
    invitation = rows.filter(expires_at__gt=wall_clock()).first()
    if invitation is None:
        raise TokenAlreadyUsed
    MemberInvitation.objects.within(scope).filter(pk=invitation_id).delete()
    SpentToken.unscoped.create(id=invitation.pk, expires_at=invitation.expires_at)
    return invitation


def _seat(scope: Scope, invitation: MemberInvitation, user: User) -> None:
    """Give the person the place, unless who offered it no longer may. A member already stays what they are."""
    role = Role(invitation.role)
    if invitation.invited_by is not None:
        host = Membership.objects.within(scope).filter(pk=invitation.invited_by).first()
        if host is None or Role(host.role).rank < max(role.rank, Role.ADMIN.rank):
            raise TokenInvalid("Whoever invited you can no longer do so. Ask for another invitation.")
    place = Membership(tenant_id=scope.tenant_id, user_id=user.id, role=role.value)
    try:
        with transaction.atomic():
            place.save(force_insert=True)
    except IntegrityError:
        return
    detail = {"role": role.value, "invitation": invitation.public_id}
    audit(scope, "member.joined", place.public_id, detail=detail)


def _is_member(scope: Scope, index: bytes) -> bool:
    users = User.objects.filter(email_index=index).values("id")
    return Membership.objects.within(scope).filter(user_id__in=users).exists()


def _have_mailed(invitation: MemberInvitation) -> None:
    enqueue(mail_member_invitation, tenant_id=str(invitation.tenant_id), invitation_id=str(invitation.pk))


def _why_not(token: str) -> TokenInvalid | TokenAlreadyUsed:
    parts = opaque.read(INVITATION, token)
    if parts is None:
        return TokenInvalid()
    with reading(platform_scope(ACTOR)):
        return TokenAlreadyUsed() if SpentToken.unscoped.filter(pk=parts.row_id).exists() else TokenInvalid()
