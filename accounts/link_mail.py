"""The jobs that mint sign-in links and mail them.

Whoever asks for a link stores a row without a token. Token and code come into being here, in the
worker, and leave in the mail; only their hashes stay. A job that is tried again mints anew, so no
token ever waits in a queue, and a dump taken before the click signs nobody in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

from accounts import opaque
from accounts.lookups import KnownApp, known_app
from accounts.models import Customer, DeveloperLink, MagicLink
from accounts.services.logos import brand_of
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import Keyring, token_digest
from stackbe.kernel.ids import encode
from stackbe.kernel.jobs import job
from stackbe.kernel.scope import PLATFORM, Scope, platform_scope
from stackbe.kernel.transactions import change, current
from stackbe.mail import outgoing
from stackbe.mail.sending import Message, write

if TYPE_CHECKING:
    from datetime import datetime

DEVELOPER_CONFIRM = "/auth/developer/confirm"
CUSTOMER_CONFIRM = "/auth/confirm"


@job("accounts.mail_developer_link")
def mail_developer_link(link_id: str) -> None:
    """Mint a developer's link and mail it. Does nothing for one that was replaced or has expired."""
    scope = platform_scope("mail")
    with change(scope):
        rows = DeveloperLink.unscoped.select_for_update().filter(pk=UUID(link_id), expires_at__gt=wall_clock())
        link = rows.first()
        if link is None:
            outgoing.settle(scope, UUID(link_id), outgoing.Status.LATE)
        message = None if link is None else _developer_message(scope, link)
    if message is not None:
        outgoing.deliver(scope, UUID(link_id), message)


@job("accounts.mail_magic_link")
def mail_magic_link(tenant_id: str, app_id: str, link_id: str) -> None:
    """Mint a customer's link and mail it in the app's name.

    Nothing is sent to an address that is no customer's where the app does not create customers: that
    is decided here and not in the request, so that the request tells nobody who is a customer.
    """
    app = known_app(UUID(app_id))
    if app is None or app.closed or app.tenant_id != UUID(tenant_id):
        return
    scope = app.system_scope("mail")
    with change(scope):
        rows = MagicLink.objects.within(scope).locked().filter(pk=UUID(link_id), expires_at__gt=wall_clock())
        link = rows.first()
        if link is None:
            outgoing.settle(scope, UUID(link_id), outgoing.Status.LATE)
        message = None if link is None else _customer_message(scope, app, link)
    if message is not None:
        outgoing.deliver(scope, UUID(link_id), message)


def mint_developer_token(link: DeveloperLink) -> tuple[str, str]:
    """Give a link its token and code and keep their hashes; the caller saves nothing more."""
    token, code = opaque.mint(opaque.DEVELOPER_LINK, link.id), opaque.mint_code()
    link.token_digest = token_digest(token)
    link.code_digest = opaque.code_digest(Keyring(PLATFORM).secret("pepper"), link.id, code)
    link.tries_left = opaque.TRIES
    link.save(update_fields=["token_digest", "code_digest", "tries_left"])
    return f"{settings.BASE_URL}{DEVELOPER_CONFIRM}#token={token}", code


def _developer_message(scope: Scope, link: DeveloperLink) -> Message | None:
    if not outgoing.is_recorded(scope, link.id):
        outgoing.record_asked(scope, link.id, "sign_in", bytes(link.email_index), asked_at=link.created_at)
    if _bounced(scope, link):
        return None
    url, code = mint_developer_token(link)
    context = {"link": url, "code": code, "minutes": _minutes(link.expires_at, link.created_at)}
    return write("sign_in", link.email, context, code=code, subject_id=link.user_id)


def _customer_message(scope: Scope, app: KnownApp, link: MagicLink) -> Message | None:
    customer = Customer.objects.within(scope).filter(email_index=link.email_index, deleted_at__isnull=True).first()
    if customer is None and not app.settings.auto_create_customer:
        outgoing.forget(scope, link.id)
        link.delete()
        return None
    if _bounced(scope, link):
        return None
    token, code = opaque.mint(opaque.MAGIC_LINK, link.id, app_id=app.id), opaque.mint_code()
    link.token_digest = token_digest(token)
    link.code_digest = opaque.code_digest(current().keys.secret("pepper"), link.id, code)
    link.tries_left = opaque.TRIES
    link.save(update_fields=["token_digest", "code_digest", "tries_left"])
    brand = brand_of(app)
    context = {
        "link": _customer_url(app, token),
        "code": code,
        "minutes": _minutes(link.expires_at, link.created_at),
        "brand": brand,
    }
    subject_id = None if customer is None else customer.id
    return write("magic_link", link.email, context, from_name=brand["name"], code=code, subject_id=subject_id)


def _bounced(scope: Scope, link: MagicLink | DeveloperLink) -> bool:
    """Let go of a link to an address that takes no mail, and say whether it is one."""
    if outgoing.bounce_of(scope, bytes(link.email_index)) is None:
        return False
    outgoing.settle(scope, link.id, outgoing.Status.SKIPPED)
    link.delete()
    return True


def _customer_url(app: KnownApp, token: str) -> str:
    """Return where the mail points: our page, the token in its fragment, or the page that the app hosts."""
    own_page = app.settings.verification_url
    if own_page:
        return f"{own_page}{'&' if '?' in own_page else '?'}token={token}"
    return f"{settings.BASE_URL}{CUSTOMER_CONFIRM}?app={encode('app', app.id)}#token={token}"


def _minutes(until: datetime, since: datetime) -> int:
    return round((until - since).total_seconds() / 60)
