"""Session token → Scope. The only place where a customer's token becomes a right."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import connection
from rest_framework.authentication import BaseAuthentication
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError

from accounts.errors import SessionExpired, SessionInvalid
from accounts.services import proofs
from accounts.services.tokens import Claimed, SessionToken, SessionTokenBackend, claimed
from stackbe.kernel import http, limits
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import RateLimited, Unauthorized
from stackbe.kernel.ids import encode
from stackbe.kernel.scope import Credential, Scope

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request

    from stackbe.kernel.hot import Asked


class Found(NamedTuple):
    """What `lookup.session_token` answers. `public_key` is None where the key is retired or another app's."""

    id: UUID
    tenant_id: UUID
    app_id: UUID
    customer_id: UUID
    organization_id: UUID | None
    expires_at: datetime
    revoked_at: datetime | None
    environment: str
    clock_offset_ms: int
    session_limit: int
    closed: bool
    organization_role: str | None
    public_key: bytes | None


SQL = f"select {', '.join(Found._fields)} from lookup.session_token(%s, %s, %s)"  # noqa: S608  # our own column names


class SessionTokenAuthentication(BaseAuthentication):
    """Reads `Authorization: Bearer <session token>`. Comes after API keys, so every token ends here."""

    def authenticate(self, request: Request) -> tuple[None, Scope] | None:
        """Return the session's scope. Raises 401, or 429 for an address that has failed too often."""
        plain = request._request
        found = verify(presented(plain))
        if found is None:
            refuse(plain, sessions_count=_takes_sessions(request))
            return None
        return None, scope_of(found)

    def authenticate_header(self, request: Request) -> str:
        """Return what a 401 asks for."""
        return "Bearer"


def presented(request: Asked) -> str:
    """Return the token that a request carries, empty where it carries none."""
    return (request.META.get("HTTP_AUTHORIZATION") or "").partition(" ")[2].strip()


def verify(token: str) -> Found | None:
    """Return the session that a token opens now, None for a token that was never ours.

    Signature and claims are checked first; then the session itself, so that signing out bites on the
    next request. Raises `SessionExpired` or `SessionInvalid` for a genuine token of a session that is over.
    """
    named = claimed(token)
    if named is None:
        return None
    found = find(named)
    if found is None or found.public_key is None:
        return None
    public = Ed25519PublicKey.from_public_bytes(bytes(found.public_key))
    backend = SessionTokenBackend(found.app_id, named.key_id, public=public)
    try:
        genuine = SessionToken(backend, token)
    except ExpiredTokenError:
        raise SessionExpired from None
    except TokenError:
        return None
    if genuine.get("sub") != encode("cust", found.customer_id):
        return None
    if found.revoked_at is not None or found.closed:
        raise SessionInvalid
    if found.expires_at <= wall_clock():
        raise SessionExpired("This session has expired. Sign in again.")
    proofs.remember(token, proofs.KnownKey(named.key_id, found.app_id, public))
    return found


def find(named: Claimed) -> Found | None:
    """Return the session that a token names, with the key it says it was signed with, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(SQL, [named.session_id, named.key_id, wall_clock()])
        row: tuple[Any, ...] | None = cursor.fetchone()
    return Found(*row) if row else None


def scope_of(found: Found) -> Scope:
    """Return what a session may do: its own customer's, in its own app."""
    return Scope(
        tenant_id=found.tenant_id,
        app_id=found.app_id,
        credential=Credential.SESSION,
        credential_id=found.customer_id,
        environment=found.environment,
        customer_id=found.customer_id,
        organization_id=found.organization_id if found.organization_role else None,
        organization_role=found.organization_role,
        session_id=found.id,
        clock_offset=timedelta(milliseconds=found.clock_offset_ms),
        api_limit_per_minute=found.session_limit,
        hot_limit_per_minute=found.session_limit,
    )


def _takes_sessions(request: Request) -> bool:
    access = request.parser_context["view"].access_by(request.method)
    return access is not None and Credential.SESSION in access.credentials


def refuse(request: HttpRequest, *, sessions_count: bool) -> None:
    """Raise 401 for a token that opens nothing, or 429 for an address that has tried too many.

    Only where a session would have counted is the caller told to sign in again; elsewhere to send a key.
    """
    allowance = limits.failed_credentials(http.network_of(http.client_address(request)))
    if not allowance.ok:
        raise RateLimited(
            "Too many failed credentials from this address.",
            retry_after_seconds=allowance.retry_after_seconds,
        )
    raise SessionInvalid if sessions_count else Unauthorized
