"""The way of somebody who has proven who they are back to the app: a one-time code on a registered callback.

However a customer was proven (a link, its digits, an invitation), they leave our pages through `lead_on`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from uuid import UUID

from accounts import opaque
from accounts.errors import RedirectNotAllowed
from accounts.models import Customer, OneTimeCode
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import token_digest
from stackbe.kernel.ids import new_id
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from accounts.lookups import KnownApp
    from stackbe.kernel.scope import Scope

CODE_LIVES = timedelta(seconds=60)


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
    scope: Scope, app: KnownApp, customer: Customer, *, redirect_url: str | None, organization_id: UUID | None
) -> str:
    """Make a one-time code for a customer, and return the callback that carries it.

    Raises `RedirectNotAllowed` where the callback is no longer registered, or the app has none.
    """
    require_change()
    target = callback_target(app, redirect_url)
    text = opaque.mint(opaque.ONE_TIME_CODE, code_id := new_id())
    OneTimeCode(
        **owned_by(scope),
        id=code_id,
        customer_id=customer.id,
        digest=token_digest(text),
        redirect_url=target,
        organization_id=organization_id,
        expires_at=wall_clock() + CODE_LIVES,
    ).save(force_insert=True)
    return with_token(target, text)


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
