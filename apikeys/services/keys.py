"""Issue, rotate and revoke API keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from apikeys.authentication import digest_of
from apikeys.errors import ApiKeyNotFound, ApiKeyNotRotatable
from apikeys.models import ApiKey
from apikeys.text import KeyText, generate
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import InsufficientScope, ValidationFailed
from stackbe.kernel.scope import ALL_SCOPES, Credential, Scope
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stackbe.kernel.tenancy import ScopedQuerySet


def list_api_keys(scope: Scope, app_id: UUID | None) -> ScopedQuerySet[ApiKey]:
    """Return an app's keys, revoked ones too, or those of the whole tenant where `app_id` is None."""
    return ApiKey.objects.within(scope).filter(app_id=app_id)


def fetch_api_key(scope: Scope, app_id: UUID | None, key_id: str) -> ApiKey:
    """Return one of them by its public id, or raise `ApiKeyNotFound`."""
    return list_api_keys(scope, app_id).fetch(key_id, ApiKeyNotFound)


def issue_api_key(
    scope: Scope,
    *,
    name: str,
    environment: str,
    app_id: UUID | None,
    scopes: Sequence[str] | None = ("*",),
    expires_at: datetime | None = None,
    allowed_ips: Sequence[str] = (),
) -> tuple[ApiKey, str]:
    """Make a secret key of an app, or of the tenant where `app_id` is None.

    Returns the row and the key itself, which is stored nowhere and cannot be shown again. A key
    never gives a scope that it lacks: `scopes=None` gives all that the maker has.
    """
    unit = require_change()
    given = _given_scopes(scope, scopes)
    if expires_at is not None and expires_at <= wall_clock():
        raise ValidationFailed(fields={"expiresAt": ["Must lie in the future."]})
    text = generate("live" if environment == "live" else "test")
    pepper_id, pepper = unit.keys.named_secret("pepper")
    row = ApiKey(
        tenant_id=scope.tenant_id,
        app_id=app_id,
        environment=environment,
        name=name,
        prefix=text.prefix,
        lookup=text.lookup,
        digest=digest_of(pepper, text.whole),
        pepper_id=pepper_id,
        scopes=given,
        allowed_ips=list(allowed_ips),
        expires_at=expires_at,
    )
    row.save(force_insert=True)
    audit(scope, "api_key.issued", row.public_id, detail={"name": name, "scopes": given})
    return row, text.whole


def issue_publishable_key(scope: Scope, *, app_id: UUID, environment: str) -> ApiKey:
    """Make the key that names an app from a browser. It is public and kept whole."""
    unit = require_change()
    text: KeyText = generate("pub")
    pepper_id, pepper = unit.keys.named_secret("pepper")
    row = ApiKey(
        tenant_id=scope.tenant_id,
        app_id=app_id,
        kind=ApiKey.Kind.PUBLISHABLE,
        environment=environment,
        name="Publishable key",
        prefix=text.prefix,
        lookup=text.lookup,
        digest=digest_of(pepper, text.whole),
        pepper_id=pepper_id,
        text=text.whole,
    )
    row.save(force_insert=True)
    audit(scope, "api_key.issued", row.public_id, detail={"kind": "publishable"})
    return row


def rotate_api_key(scope: Scope, row: ApiKey, *, grace_seconds: int = 0) -> tuple[ApiKey, str]:
    """Replace a key by one with the same rights; the old one works until the grace ends.

    Raises `ApiKeyNotRotatable` for one that is dead or being replaced already: two successors of
    one key would leave one that nobody remembers.
    """
    require_change()
    moment = wall_clock()
    old = ApiKey.objects.within(scope).locked().get(pk=row.pk)
    if old.suspended_at is not None:
        raise ApiKeyNotRotatable("This API key is suspended: a successor would go around that. Issue a new one.")
    if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= moment):
        raise ApiKeyNotRotatable
    successor, text = _successor(scope, old)
    old.revoked_at = moment + timedelta(seconds=grace_seconds)
    old.save(update_fields=["revoked_at"])
    detail = {"successor": successor.public_id, "graceSeconds": grace_seconds}
    audit(scope, "api_key.rotated", old.public_id, detail=detail)
    return successor, text


def revoke_api_key(scope: Scope, row: ApiKey) -> None:
    """Refuse a key from the next request on. Revoking twice is harmless."""
    require_change()
    moment = wall_clock()
    if row.revoked_at is not None and row.revoked_at <= moment:
        return
    row.revoked_at = moment
    row.save(update_fields=["revoked_at"])
    audit(scope, "api_key.revoked", row.public_id, detail={"name": row.name})


def _successor(scope: Scope, old: ApiKey) -> tuple[ApiKey, str]:
    if old.kind == ApiKey.Kind.PUBLISHABLE and old.app_id is not None:
        public = issue_publishable_key(scope, app_id=old.app_id, environment=old.environment)
        return public, public.text
    return issue_api_key(
        scope,
        name=old.name,
        environment=old.environment,
        app_id=old.app_id,
        scopes=old.scopes,
        expires_at=old.expires_at,
        allowed_ips=old.allowed_ips,
    )


def _given_scopes(scope: Scope, wanted: Sequence[str] | None) -> list[str]:
    """Return the scopes to write into a new key, refused where its maker is a key that lacks one."""
    by_key = scope.credential in {Credential.KEY, Credential.TENANT_KEY}
    if wanted is None:
        return sorted(scope.scopes) if by_key else ["*"]
    unknown = sorted(set(wanted) - set(ALL_SCOPES) - {"*"})
    if unknown:
        known = ", ".join(sorted(ALL_SCOPES))
        raise ValidationFailed(fields={"scopes": [f"Unknown scope {name}. Known: *, {known}." for name in unknown]})
    lacking = [name for name in wanted if not scope.allows(name)] if by_key else []
    if lacking:
        names = ", ".join(lacking)
        raise InsufficientScope(f"This API key lacks the scope {names} and so cannot give it.")
    return list(dict.fromkeys(wanted))
