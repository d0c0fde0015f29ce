"""A customer's visits to our page on which they look after their second factors, opened by the app as Stripe's
portal is: the app asks for a URL, which works once and for five minutes, and leads the customer there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings

from accounts import opaque
from accounts.app_settings import OFF
from accounts.customer_factor_models import SecurityVisit
from accounts.errors import RedirectNotAllowed, TokenAlreadyUsed, TokenExpired, TokenInvalid
from accounts.models import Customer, SpentToken
from accounts.services.customer_factors import CustomerFactors
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import token_digest
from stackbe.kernel.errors import Forbidden
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from accounts.lookups import KnownApp
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

URL_LIVES = timedelta(minutes=5)
VISIT_LIVES = timedelta(minutes=30)
FRESH = timedelta(minutes=10)
PAGE = "/auth/security"


def require_on(app: KnownApp) -> None:
    """Raise `Forbidden` where the app has no second factors."""
    if app.settings.second_factors == OFF:
        raise Forbidden("This app has no second factors. Set settings.secondFactors to optional or required.")


def return_target(app: KnownApp, wanted: str) -> str:
    """Return where the page leads back to: a registered callback or an allowed origin, letter by letter."""
    known = app.settings
    exact = {*known.callback_urls, *filter(None, [known.dev_callback_url])}
    if wanted in exact or wanted.removesuffix("/") in known.allowed_origins:
        return wanted
    sentence = f"{wanted} is not registered. Add it to settings.callbackUrls, or its origin to settings.allowedOrigins."
    raise RedirectNotAllowed(sentence)


def begin(
    scope: Scope, app: KnownApp, customer: Customer, *, return_url: str, session_id: UUID | None = None
) -> tuple[str, datetime]:
    """Return a URL that opens the page once, and when it stops to. Raises `RedirectNotAllowed` and `Forbidden`."""
    require_change()
    require_on(app)
    target = return_target(app, return_url)
    text = opaque.mint(opaque.SECURITY, visit_id := new_id(), app_id=app.id)
    expires_at = wall_clock() + URL_LIVES
    SecurityVisit(
        **owned_by(scope),
        id=visit_id,
        customer_id=customer.id,
        session_id=session_id,
        digest=token_digest(text),
        return_url=target,
        expires_at=expires_at,
    ).save(force_insert=True)
    audit(scope, "security_visit.begun", customer.public_id, subject_id=customer.id)
    return f"{settings.BASE_URL}{PAGE}?app={encode('app', app.id)}#token={text}", expires_at


def enter(scope: Scope, app: KnownApp, token: str) -> str:
    """Open a URL's visit and return the token that the browser holds from now on; the URL's own is spent.

    Raises why it opens nothing.
    """
    require_change()
    visit = _live(scope, token).filter(opened_at__isnull=True).locked().first()
    if visit is None:
        raise why_not(scope, token)
    moment = wall_clock()
    SpentToken.unscoped.create(id=visit.id, expires_at=moment + VISIT_LIVES)
    text = opaque.mint(opaque.SECURITY, visit.id, app_id=app.id)
    visit.digest, visit.opened_at, visit.expires_at = token_digest(text), moment, moment + VISIT_LIVES
    visit.save(update_fields=["digest", "opened_at", "expires_at"])
    return text


def opened(scope: Scope, token: str) -> SecurityVisit:
    """Return the visit that a browser is on, locked. Raises why it is over."""
    require_change()
    visit = _live(scope, token).filter(opened_at__isnull=False).locked().first()
    if visit is None:
        raise why_not(scope, token)
    return visit


def is_open(visit: SecurityVisit, factors: CustomerFactors) -> bool:
    """Say whether factors may be looked after: there is none yet, or one was given within ten minutes."""
    fresh = visit.proven_at is not None and wall_clock() - visit.proven_at <= FRESH
    return fresh or not factors.has_factor()


def note_proof(visit: SecurityVisit) -> None:
    """Remember that a factor was given at this visit now."""
    require_change()
    visit.proven_at = wall_clock()
    visit.save(update_fields=["proven_at"])


def end(visit: SecurityVisit) -> None:
    """Let a visit be over: its browser opens nothing any more."""
    require_change()
    visit.delete()


def why_not(scope: Scope, token: str) -> TokenInvalid | TokenExpired | TokenAlreadyUsed:
    """Return why a token opens no visit."""
    parts = opaque.read(opaque.SECURITY, token)
    if parts is None or parts.app_id != scope.app:
        return TokenInvalid("This page is not open. Open it again where you came from.")
    if SecurityVisit.objects.within(scope).filter(digest=token_digest(token)).exists():
        return TokenExpired("This page was open for too long. Open it again where you came from.")
    if SpentToken.unscoped.filter(pk=parts.row_id).exists():
        return TokenAlreadyUsed("This address has been opened already, and works once.")
    return TokenInvalid("This page is not open. Open it again where you came from.")


def _live(scope: Scope, token: str) -> ScopedQuerySet[SecurityVisit]:
    rows = SecurityVisit.objects.within(scope).filter(digest=token_digest(token), expires_at__gt=wall_clock())
    return rows.filter(customer__deleted_at__isnull=True).select_related("customer")
