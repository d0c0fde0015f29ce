"""The job that mints an invitation's token and mails it.

The token comes into being here and leaves in the mail; only its hash stays. A job that is tried again
mints anew, and one of an earlier asking does nothing, so the newest mail is the one that works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

from accounts import opaque
from accounts.lookups import KnownApp, known_app
from accounts.models import Customer
from accounts.organization_models import OrganizationInvite
from accounts.services.logos import brand_of
from stackbe.kernel import ids
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import token_digest
from stackbe.kernel.ids import encode
from stackbe.kernel.jobs import job
from stackbe.kernel.transactions import change
from stackbe.mail import outgoing
from stackbe.mail.sending import Message, write

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

INVITE_PAGE = "/auth/invite"


@job("accounts.mail_invite")
def mail_invite(tenant_id: str, app_id: str, invite_id: str, sending: int) -> None:
    """Mint an invitation's link and mail it in the app's name. Does nothing for one that was revoked or replaced."""
    app = known_app(UUID(app_id))
    if app is None or app.closed or app.tenant_id != UUID(tenant_id):
        return
    scope = app.system_scope("mail")
    with change(scope):
        rows = OrganizationInvite.objects.within(scope).locked().filter(pk=UUID(invite_id), sendings=sending)
        invite = rows.filter(expires_at__gt=wall_clock()).select_related("organization").first()
        message = None if invite is None else _message(scope, app, invite)
    if message is not None:
        outgoing.deliver(scope, UUID(invite_id), message)


def _message(scope: Scope, app: KnownApp, invite: OrganizationInvite) -> Message | None:
    if outgoing.bounce_of(scope, bytes(invite.email_index)) is not None:
        outgoing.settle(scope, invite.id, outgoing.Status.SKIPPED)
        return None
    token = opaque.mint(opaque.INVITE, invite.id, app_id=app.id)
    invite.token_digest = token_digest(token)
    invite.sent_at = wall_clock()
    invite.save(update_fields=["token_digest", "sent_at"])
    brand = brand_of(app)
    context = {
        "link": _url(app, token),
        "organization": invite.organization.name,
        "role": invite.role,
        "inviter": _inviter(scope, invite),
        "days": max(1, round((invite.expires_at - wall_clock()).total_seconds() / 86400)),
        "brand": brand,
    }
    # A caught copy goes with the organization that it names, or with whoever has the address.
    subject_id = invite.organization_id
    return write("invite", invite.email, context, from_name=brand["name"], subject_id=subject_id)


def _inviter(scope: Scope, invite: OrganizationInvite) -> str:
    """Return the name, or else the address, of the customer who invites; empty where the app itself does."""
    try:
        identifier = ids.decode(Customer.id_prefix, invite.invited_by)
    except ids.MalformedId:
        return ""
    customer = Customer.objects.within(scope).filter(pk=identifier, deleted_at__isnull=True).first()
    return "" if customer is None else customer.name or customer.email


def _url(app: KnownApp, token: str) -> str:
    """Return where the mail points: our page, the token in its fragment, or the page that the app hosts."""
    own_page = app.settings.verification_url
    if own_page:
        return f"{own_page}{'&' if '?' in own_page else '?'}invite={token}"
    return f"{settings.BASE_URL}{INVITE_PAGE}?app={encode('app', app.id)}#token={token}"
