"""API key → Scope. The only place where a key becomes a right."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from django.db import connection
from rest_framework.authentication import BaseAuthentication

from accounts.errors import AppNotFound
from apikeys.models import ApiKey
from apikeys.text import KeyText, read
from stackbe.kernel import crypto, http, ids, limits
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import Forbidden, RateLimited, Unauthorized, ValidationFailed
from stackbe.kernel.scope import Credential, Scope, system_scope
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request

TOUCH_AFTER = timedelta(minutes=1)


class Found(NamedTuple):
    """What `lookup.api_key` answers."""

    id: UUID
    tenant_id: UUID
    app_id: UUID | None  # the key's own, or the one that a tenant key names
    of_tenant: bool
    kind: str
    environment: str
    digest: bytes
    scopes: list[str]
    allowed_ips: list[str]
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    suspended: bool
    app_found: bool
    app_environment: str | None
    clock_offset_ms: int | None
    api_limit: int | None
    hot_limit: int | None
    pepper: bytes | None
    tenant_key_id: UUID | None
    tenant_key: bytes | None
    pepper_replaced: bool | None


SQL = f"select {', '.join(Found._fields)} from lookup.api_key(%s, %s)"  # noqa: S608  # our own column names


def bearer(request: HttpRequest) -> str | None:
    """Return the bearer token of a request, None where the header is absent."""
    header: str | None = request.META.get("HTTP_AUTHORIZATION")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def refuse(request: HttpRequest, message: str | None = None) -> None:
    """Raise 401, or 429 for an address that has failed too often."""
    allowance = limits.failed_credentials(http.network_of(http.client_address(request)))
    if not allowance.ok:
        raise RateLimited(
            "Too many failed credentials from this address.",
            retry_after_seconds=allowance.retry_after_seconds,
        )
    raise Unauthorized(message)


class ApiKeyAuthentication(BaseAuthentication):
    """Reads `Authorization: Bearer sbk_…`; leaves other tokens to the next authenticator."""

    def authenticate(self, request: Request) -> tuple[None, Scope] | None:
        """Return the key's scope. Raises 401, 403 (address or browser) or 429."""
        plain = request._request
        token = bearer(plain)
        if token is None:
            refuse(plain, "Send a credential as `Authorization: Bearer …`.")
        if token and not token.startswith("sbk_"):
            return None
        text = read(token or "")
        if text is None:
            refuse(plain)
            return None
        found = find(text, self._wanted_app(plain))
        if found is None or not genuine(text, found):
            refuse(plain)
            return None
        self._refuse_dead(plain, found)
        self._refuse_place(plain, found)
        touch(found)
        renew_digest(text, found)
        return None, scope_of(found)

    def authenticate_header(self, request: Request) -> str:
        """Return what a 401 asks for."""
        return "Bearer"

    def _wanted_app(self, request: HttpRequest) -> UUID | None:
        named = request.META.get("HTTP_X_STACKBE_APP")
        if named is None:
            return None
        try:
            return ids.decode("app", named)
        except ids.MalformedId:
            raise ValidationFailed(fields={"X-StackBE-App": ["Must be an id such as app_…."]}) from None

    def _refuse_dead(self, request: HttpRequest, found: Found) -> None:
        moment = wall_clock()
        if found.revoked_at is not None and found.revoked_at <= moment:
            refuse(request, "This API key was revoked.")
        if found.expires_at is not None and found.expires_at <= moment:
            refuse(request, "This API key has expired.")
        if found.suspended:
            refuse(request, "This API key is suspended.")
        if not found.app_found and not found.of_tenant and "HTTP_X_STACKBE_APP" not in request.META:
            refuse(request, "The app of this API key is out of service.")
        if not found.app_found:
            raise AppNotFound

    def _refuse_place(self, request: HttpRequest, found: Found) -> None:
        if found.kind == "secret" and request.META.get("HTTP_ORIGIN"):
            raise Forbidden("A secret key was sent from a browser. Revoke it, and use a publishable key there.")
        if found.allowed_ips:
            caller = ipaddress.ip_address(http.client_address(request))
            if not any(caller in ipaddress.ip_network(n) for n in found.allowed_ips):
                raise Forbidden("This API key may not be used from this address.")


def find(text: KeyText, wanted_app: UUID | None = None) -> Found | None:
    """Return the row behind a key's lookup part, with all it takes to judge it, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(SQL, [text.lookup, wanted_app])
        row: tuple[Any, ...] | None = cursor.fetchone()
    return Found(*row) if row else None


def pepper_of(found: Found) -> bytes | None:
    """Return the pepper that the key's digest was made with, in the clear."""
    if found.pepper is None or found.tenant_key is None or found.tenant_key_id is None:
        return None
    tenant_key = crypto.open_tenant_key(bytes(found.tenant_key), found.tenant_id, found.tenant_key_id)
    context = crypto.secret_context(found.tenant_id, None, "pepper")
    return crypto.open_secret(bytes(found.pepper), tenant_key, context)


def genuine(text: KeyText, found: Found) -> bool:
    """Say whether the key is the one that was issued, under the tenant's pepper."""
    pepper = pepper_of(found)
    if pepper is None:
        return False
    return crypto.equal(digest_of(pepper, text.whole), bytes(found.digest))


def digest_of(pepper: bytes, key: str) -> bytes:
    """Return what is stored of a key."""
    return crypto.keyed_hash(pepper, "api-key", key)


def renew_digest(text: KeyText, found: Found) -> Found:
    """Hash a genuine key anew where the pepper it was made with has been replaced; return what is known of it then.

    Only now, with the key at hand, can it be done. Who asked beside us has done it already; both are right.
    """
    if not found.pepper_replaced:
        return found
    scope = system_scope(found.tenant_id, actor_name="peppers")
    with change(scope) as unit:
        pepper_id, pepper = unit.keys.named_secret("pepper")
        mine = ApiKey.objects.within(scope).filter(pk=found.id, digest=found.digest)
        mine.update(digest=digest_of(pepper, text.whole), pepper_id=pepper_id)
    return find(text) or found


def touch(found: Found) -> None:
    """Note that a key was used, at most once a minute."""
    moment = wall_clock()
    if found.last_used_at is None or found.last_used_at < moment - TOUCH_AFTER:
        with connection.cursor() as cursor:
            cursor.execute("select lookup.key_used(%s, %s)", [found.id, moment])


def scope_of(found: Found) -> Scope:
    """Return what a genuine key may do, and to whose rows."""
    if found.kind == "publishable":
        credential = Credential.PUBLISHABLE
    else:
        credential = Credential.TENANT_KEY if found.of_tenant else Credential.KEY
    return Scope(
        tenant_id=found.tenant_id,
        app_id=found.app_id,
        credential=credential,
        credential_id=found.id,
        scopes=frozenset(found.scopes),
        environment=found.app_environment or found.environment,
        clock_offset=timedelta(milliseconds=found.clock_offset_ms or 0),
        api_limit_per_minute=found.api_limit or 1000,
        hot_limit_per_minute=found.hot_limit or 60_000,
    )
