"""The way of somebody who has proven who they are back to the app: a one-time code on a registered callback.

However a customer was proven (a link, its digits, an invitation), they leave our pages through `lead_on`. Where
the app wants a second factor it leads to our page for that first, and from there to the callback.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import urlencode
from uuid import UUID

from accounts import opaque
from accounts.errors import RedirectNotAllowed
from accounts.models import Customer, OneTimeCode
from accounts.services import pending_sign_ins
from accounts.services.customer_factors import BY_MAIL, is_due
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import token_digest
from stackbe.kernel.ids import new_id
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from accounts.lookups import KnownApp
    from stackbe.kernel.scope import Scope

CODE_LIVES = timedelta(seconds=60)


class Way(TypedDict):
    """Where somebody was going when they began to sign in."""

    redirect_url: str | None
    organization_id: UUID | None


def redirect_target(app: KnownApp, wanted: str | None, *, use_dev: bool = False) -> str:
    """Return where a customer goes after signing in: only ever to what the app has registered.

    URLs are compared whole. Without one the first registered is taken; an app that hosts the
    confirmation page itself needs none. Raises `RedirectNotAllowed`, which names URL and setting.
    """
    known = app.settings
    if use_dev:
        if known.dev_callback_url is None:
            raise RedirectNotAllowed("useDev needs a URL in settings.devCallbackUrl, and none is registered.")
        wanted = wanted or known.dev_callback_url
    if wanted is None:
        if known.callback_urls:
            return known.callback_urls[0]
        if known.verification_url:
            return ""
        raise RedirectNotAllowed("No callback URL is registered. Add one to settings.callbackUrls of the app.")
    if wanted not in known.callback_urls and wanted != known.dev_callback_url:
        sentence = f"{wanted} is not registered. Add exactly this URL to settings.callbackUrls of the app."
        raise RedirectNotAllowed(sentence)
    return wanted


def lead_on(
    scope: Scope,
    app: KnownApp,
    customer: Customer,
    *,
    redirect_url: str | None,
    organization_id: UUID | None,
    came_by: str = BY_MAIL,
) -> str:
    """Return where the browser of a customer who was proven goes: the callback with a one-time code on it, or our
    page that asks for the second factor.

    `came_by` names the proof in words of RFC 8176. Leave with `pages.customers.see_other`, which keeps the token of
    the second out of the address. Raises `RedirectNotAllowed` where the callback is no longer registered, or the
    app has none.
    """
    require_change()
    callback_target(app, redirect_url)
    way: Way = {"redirect_url": redirect_url, "organization_id": organization_id}
    if is_due(scope, app, customer):
        waiting = pending_sign_ins.begin(scope, app, customer, **way, came_by=came_by)
        return str(waiting["url"])
    return callback(scope, app, customer, **way, amr=came_by)


def callback(
    scope: Scope,
    app: KnownApp,
    customer: Customer,
    *,
    redirect_url: str | None,
    organization_id: UUID | None,
    amr: str,
) -> str:
    """Make a one-time code for a customer who has given all that is wanted, and return the URL that carries it.

    An app without a callback, which hosts the page of its links itself, gets the code there.
    """
    require_change()
    target = redirect_target(app, redirect_url or None)
    text = opaque.mint(opaque.ONE_TIME_CODE, code_id := new_id())
    OneTimeCode(
        **owned_by(scope),
        id=code_id,
        customer_id=customer.id,
        digest=token_digest(text),
        redirect_url=target,
        organization_id=organization_id,
        amr=amr,
        expires_at=wall_clock() + CODE_LIVES,
    ).save(force_insert=True)
    return with_token(target or app.settings.verification_url or "", text)


def callback_target(app: KnownApp, wanted: str | None) -> str:
    """Return where a proven customer goes, as `redirect_target` does, and refuse an app that registers nothing."""
    target = redirect_target(app, wanted)
    if not target:
        raise RedirectNotAllowed("No callback URL is registered. Add one to settings.callbackUrls of the app.")
    return target


def with_token(url: str, token: str) -> str:
    """Return a callback with `token` added to its query."""
    return with_query(url, token=token)


def with_query(url: str, **parameters: str) -> str:
    """Return a callback with parameters added to its query."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(parameters)}"
