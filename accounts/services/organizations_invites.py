"""Invitations to organizations: sent, sent again, revoked, accepted.

The request stores an invitation without a token and answers alike for every address; the worker mints
and mails (organizations_mail.py). Accepting is `DELETE … RETURNING` in the change that makes the member,
so an invitation works once whoever races. The token, which went to the address alone, is the proof that
whoever accepts reads mail there; somebody signed in under another address is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from accounts import opaque
from accounts.models import (
    Customer,
    CustomerSession,
    Organization,
    OrganizationMember,
    SpentToken,
    email_index,
)
from accounts.organization_errors import (
    AlreadyInside,
    AlreadyInvited,
    InviteExpired,
    InviteInvalid,
    InviteNotFound,
    InviteUsed,
    NotTheInvited,
)
from accounts.organization_models import OrganizationInvite
from accounts.services import pending_sign_ins
from accounts.services.customer_factors import BY_MAIL, SEVERAL, is_due
from accounts.services.customers import customer_by_email, get_or_create_customer, index_key, live_customers
from accounts.services.entry import Way, lead_on, redirect_target
from accounts.services.organizations_mail import mail_invite
from accounts.services.organizations_places import (
    ADMIN,
    MEMBER,
    calling_customer,
    enter,
    live_organizations,
    lock_customer,
    pending_invites,
    places_of,
    require_enabled,
    require_may_give,
    require_seat,
    seat,
)
from accounts.services.sessions import Opened, start_session
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import token_digest
from stackbe.kernel.jobs import enqueue
from stackbe.kernel.scope import Credential
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading, require_change
from stackbe.mail import outgoing

if TYPE_CHECKING:
    from accounts.errors import TokenAlreadyUsed, TokenExpired, TokenInvalid
    from accounts.lookups import KnownApp
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

INVITE_LIVES = timedelta(days=7)
ACTOR = "invitation"
SPEND = (
    "delete from accounts_organizationinvite where app_id = %s and token_digest = %s and expires_at > %s returning *"
)


class _Lost(Exception):
    """Somebody else spent, revoked or replaced the invitation a moment ago."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Who has which place now, and where the invitation's page leads from here."""

    organization: Organization
    organization_name: str
    member: OrganizationMember
    customer: Customer
    redirect_url: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What an invitation's page says before anything is spent."""

    masked_email: str
    organization: str


def list_invites(scope: Scope, organization_id: str) -> ScopedQuerySet[OrganizationInvite]:
    """Return the invitations that nobody has accepted; an admin may see them."""
    organization = enter(scope, organization_id, ADMIN)
    return OrganizationInvite.objects.within(scope).filter(organization_id=organization.id)


def find_invite(scope: Scope, organization_id: str, invite_id: str) -> OrganizationInvite:
    """Return one of them; raise `InviteNotFound`."""
    return list_invites(scope, organization_id).fetch(invite_id, InviteNotFound)


def invite(
    scope: Scope,
    app: KnownApp,
    organization_id: str,
    *,
    email: str,
    role: str = MEMBER,
    redirect_url: str | None = None,
) -> OrganizationInvite:
    """Invite whoever reads mail at an address; an admin may, and only an owner invites owners.

    An invitation holds a seat while it is pending. Raises `AlreadyInside`, `AlreadyInvited`, `SeatsTaken`,
    and `RedirectNotAllowed` for a URL that the app has not registered letter by letter.
    """
    require_change()
    target = _target(app, redirect_url)
    organization = enter(scope, organization_id, ADMIN, hold=True)
    require_may_give(scope, organization, role)
    known = customer_by_email(scope, email)
    if known is not None and places_of(scope, organization.id).filter(customer=known).exists():
        raise AlreadyInside
    index = email_index(index_key(scope), email)
    if pending_invites(scope, organization.id).filter(email_index=index).exists():
        raise AlreadyInvited
    require_seat(scope, organization)
    OrganizationInvite.objects.within(scope).filter(organization_id=organization.id, email_index=index).delete()
    moment = wall_clock()
    row = OrganizationInvite(
        **owned_by(scope),
        organization=organization,
        email=email,
        email_index=index,
        role=role,
        redirect_url=target,
        invited_by=scope.actor,
        created_at=moment,
        expires_at=moment + INVITE_LIVES,
    )
    row.save(force_insert=True)
    _send(scope, row)
    audit(scope, "organization.invited", organization.public_id, detail={"invite": row.public_id, "role": role})
    return row


def resend(scope: Scope, organization_id: str, invite_id: str) -> OrganizationInvite:
    """Have an invitation mailed anew; the link that went out before is dead now, and the time begins again.

    One that had expired takes a seat again. Raises `InviteNotFound` and `SeatsTaken`.
    """
    require_change()
    organization = enter(scope, organization_id, ADMIN, hold=True)
    rows = OrganizationInvite.objects.within(scope).locked().filter(organization_id=organization.id)
    row = rows.fetch(invite_id, InviteNotFound)
    require_may_give(scope, organization, row.role)
    if row.expires_at <= wall_clock():
        require_seat(scope, organization)
    row.token_digest, row.sent_at = None, None
    row.sendings += 1
    row.expires_at = wall_clock() + INVITE_LIVES
    row.save(update_fields=["token_digest", "sent_at", "sendings", "expires_at"])
    _send(scope, row)
    audit(scope, "organization.invite_resent", organization.public_id, detail={"invite": row.public_id})
    return row


def revoke(scope: Scope, organization_id: str, invite_id: str) -> None:
    """Take an invitation back: its link is dead and its seat free. Raises `InviteNotFound`."""
    require_change()
    organization = enter(scope, organization_id, ADMIN, hold=True)
    rows = OrganizationInvite.objects.within(scope).locked().filter(organization_id=organization.id)
    row = rows.fetch(invite_id, InviteNotFound)
    require_may_give(scope, organization, row.role)
    audit(scope, "organization.invite_revoked", organization.public_id, detail={"invite": row.public_id})
    outgoing.settle(scope, row.id, outgoing.Status.LATE)
    row.delete()


def preview(app: KnownApp, token: str) -> Preview:
    """Return whom an invitation is for, masked, and to what; spends nothing. Raises why not."""
    scope = app.system_scope(ACTOR)
    with reading(scope):
        row = _live(scope, token)
        if row is None:
            raise _why_not(scope, token)
        return Preview(opaque.masked(row.email), row.organization.name)


def accept(app: KnownApp, token: str, *, caller: Scope | None, user_agent: str) -> tuple[Opened, Joined]:
    """Take the place that an invitation holds and return a session that acts in the organization.

    The customer is made if the app has none at the address. Raises `InviteInvalid`, `InviteExpired`,
    `InviteUsed`, `SeatsTaken` where the plan has shrunk meanwhile, and `NotTheInvited` for a `caller` who
    is signed in under another address: nothing is spent then. Where a second factor is due the place is taken and
    `SecondFactorRequired` says how to get to the session.
    """
    scope = app.system_scope(ACTOR)
    try:
        with change(scope):
            joined = _join(scope, token, caller)
            amr = _proven_by(scope, caller)
            if SEVERAL in amr.split() or not is_due(scope, app, joined.customer):
                opened = start_session(
                    scope, joined.customer, organization_id=joined.organization.id, user_agent=user_agent, amr=amr
                )
                return opened, joined
            way: Way = {"redirect_url": joined.redirect_url, "organization_id": joined.organization.id}
            factor = pending_sign_ins.begin(scope, app, joined.customer, **way)
        raise pending_sign_ins.required(factor)
    except _Lost:
        with reading(scope):
            raise _why_not(scope, token) from None


def accept_in_browser(app: KnownApp, token: str) -> tuple[str, Joined]:
    """Take the place and return where the page leads: the app's callback with a one-time code, or nowhere.

    The app's backend redeems the code at /auth/verify, as after a magic link, and gets the session.
    """
    scope = app.system_scope(ACTOR)
    try:
        with change(scope):
            joined = _join(scope, token, None)
            if not joined.redirect_url:
                return "", joined
            target = lead_on(
                scope, app, joined.customer, redirect_url=joined.redirect_url, organization_id=joined.organization.id
            )
            return target, joined
    except _Lost:
        with reading(scope):
            raise _why_not(scope, token) from None


def _join(scope: Scope, token: str, caller: Scope | None) -> Joined:
    """Spend the token and give its place. It is read first: customer, organization, invitation are locked in turn."""
    require_enabled(scope)
    found = _live(scope, token)
    if found is None:
        raise _Lost
    _refuse_another(scope, found, caller)
    customer, _ = get_or_create_customer(scope, email=found.email)
    lock_customer(scope, customer)
    organization = live_organizations(scope).locked().filter(pk=found.organization_id).first()
    rows = OrganizationInvite.objects.within(scope).raw(SPEND, [scope.app, token_digest(token), wall_clock()])
    spent = next(iter(rows), None)
    if spent is None or organization is None:
        raise _Lost
    SpentToken.unscoped.create(id=spent.id, expires_at=spent.expires_at)
    audit(scope, "organization.invite_accepted", organization.public_id, subject_id=customer.id)
    member = places_of(scope, organization.id).filter(customer=customer).first()
    if member is None:
        require_seat(scope, organization)
        member = seat(scope, organization, customer, spent.role)
    return Joined(organization, organization.name, member, customer, spent.redirect_url)


def _proven_by(scope: Scope, caller: Scope | None) -> str:
    """Return how whoever accepts was proven: as in the session that they call with, else by the mail alone."""
    if caller is None or caller.session_id is None:
        return BY_MAIL
    session = CustomerSession.objects.within(scope).filter(pk=caller.session_id).first()
    return BY_MAIL if session is None else session.amr or BY_MAIL


def _refuse_another(scope: Scope, found: OrganizationInvite, caller: Scope | None) -> None:
    """Raise where the caller is another app's, or signed in under another address."""
    if caller is None:
        return
    if (caller.tenant_id, caller.app_id or scope.app) != (scope.tenant_id, scope.app):
        raise InviteInvalid
    if caller.credential == Credential.SESSION:
        own = live_customers(scope).filter(pk=calling_customer(caller)).first()
        if own is None or bytes(own.email_index) != bytes(found.email_index):
            raise NotTheInvited


def _live(scope: Scope, token: str) -> OrganizationInvite | None:
    rows = OrganizationInvite.objects.within(scope).filter(token_digest=token_digest(token))
    return rows.filter(expires_at__gt=wall_clock()).select_related("organization").first()


def _why_not(scope: Scope, token: str) -> TokenInvalid | TokenExpired | TokenAlreadyUsed:
    parts = opaque.read(opaque.INVITE, token)
    if parts is None or parts.app_id != scope.app:
        return InviteInvalid()
    if OrganizationInvite.objects.within(scope).filter(token_digest=token_digest(token)).exists():
        return InviteExpired()
    return InviteUsed() if SpentToken.unscoped.filter(pk=parts.row_id).exists() else InviteInvalid()


def _target(app: KnownApp, wanted: str | None) -> str:
    """Return where the page leads after joining; an app without a callback needs none."""
    if wanted is None and not app.settings.callback_urls:
        return ""
    return redirect_target(app, wanted)


def _send(scope: Scope, row: OrganizationInvite) -> None:
    outgoing.forget(scope, row.id)
    outgoing.record_asked(scope, row.id, "invite", bytes(row.email_index), asked_at=wall_clock())
    enqueue(
        mail_invite,
        tenant_id=str(scope.tenant_id),
        app_id=str(scope.app),
        invite_id=str(row.id),
        sending=row.sendings,
    )
