"""Sign-ins that have their first proof and wait for a second factor.

The token that names one is worth nothing without the factor. It lives ten minutes and works once: completing
the sign-in deletes the row in the change that makes the session, or the one-time code on the app's callback.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts import opaque
from accounts.customer_factor_models import PendingSignIn
from accounts.errors import SecondFactorRequired, TokenAlreadyUsed, TokenExpired, TokenInvalid
from accounts.models import Customer, SpentToken
from accounts.services.customer_factors import BY_MAIL, CustomerFactors
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.crypto import token_digest
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from accounts.lookups import KnownApp
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

LIVES = timedelta(minutes=10)
MOST_AT_ONCE = 10
PAGE = "/auth/factor"


def begin(
    scope: Scope,
    app: KnownApp,
    customer: Customer,
    *,
    redirect_url: str | None,
    organization_id: UUID | None,
    came_by: str = BY_MAIL,
) -> dict[str, Any]:
    """Have a sign-in wait for its factor; return what the app is told of it: token, methods, page and end.

    Of a customer's only the newest ten wait. `methods` is empty for who has no factor yet and adds one on the page.
    """
    require_change()
    text = opaque.mint(opaque.FACTOR, pending_id := new_id(), app_id=app.id)
    expires_at = wall_clock() + LIVES
    PendingSignIn(
        **owned_by(scope),
        id=pending_id,
        customer_id=customer.id,
        digest=token_digest(text),
        redirect_url=redirect_url or "",
        organization_id=organization_id,
        came_by=came_by,
        expires_at=expires_at,
    ).save(force_insert=True)
    rows = PendingSignIn.objects.within(scope).filter(customer_id=customer.id)
    newest = list(rows.order_by("-id").values_list("pk", flat=True)[:MOST_AT_ONCE])
    rows.exclude(pk__in=newest).delete()
    return _told(app, text, expires_at, CustomerFactors(scope, customer).methods())


def without_factor(app: KnownApp, token: str, pending: PendingSignIn) -> SecondFactorRequired:
    """Return the refusal for who has no factor to give: on our page they add one."""
    told = _told(app, token, pending.expires_at, [])
    return SecondFactorRequired(
        "This customer has no second factor yet. Lead them to factor.url, where they add one.", extra={"factor": told}
    )


def required(factor: dict[str, Any]) -> SecondFactorRequired:
    """Return the refusal that tells an app how its customer gets on; raise it once the change is committed."""
    return SecondFactorRequired(extra={"factor": factor})


def waiting(scope: Scope, token: str) -> ScopedQuerySet[PendingSignIn]:
    """Return the sign-in that a token names, as rows that may be locked: one, or none that can go on."""
    rows = PendingSignIn.objects.within(scope).filter(digest=token_digest(token), expires_at__gt=wall_clock())
    return rows.filter(customer__deleted_at__isnull=True).select_related("customer")


def spend(pending: PendingSignIn) -> None:
    """Let a locked sign-in wait no longer."""
    require_change()
    SpentToken.unscoped.create(id=pending.id, expires_at=pending.expires_at)
    pending.delete()


def _told(app: KnownApp, token: str, expires_at: datetime, methods: list[str]) -> dict[str, Any]:
    return {
        "token": token,
        "methods": methods,
        "url": f"{settings.BASE_URL}{PAGE}?app={encode('app', app.id)}#token={token}",
        "expiresAt": render(expires_at),
    }


def why_not(scope: Scope, token: str) -> TokenInvalid | TokenExpired | TokenAlreadyUsed:
    """Return why a token names no sign-in that waits, as far as that can be told without keeping tokens."""
    parts = opaque.read(opaque.FACTOR, token)
    if parts is None or parts.app_id != scope.app:
        return TokenInvalid("This sign-in is not waiting for anything. Sign in again.")
    if PendingSignIn.objects.within(scope).filter(digest=token_digest(token)).exists():
        return TokenExpired("This sign-in waited for more than ten minutes. Sign in again.")
    if SpentToken.unscoped.filter(pk=parts.row_id).exists():
        return TokenAlreadyUsed("This sign-in is complete already. Sign in again to open another session.")
    return TokenInvalid("This sign-in is not waiting for anything. Sign in again.")
