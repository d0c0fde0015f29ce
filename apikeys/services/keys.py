"""Issue, rotate and revoke API keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from apikeys.authentication import digest_of
from apikeys.models import ApiKey
from apikeys.text import KeyText, generate
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import Conflict, ValidationFailed
from stackbe.kernel.scope import ALL_SCOPES, Scope
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from collections.abc import Sequence


def issue_api_key(
    scope: Scope,
    *,
    name: str,
    environment: str,
    app_id: UUID | None,
    scopes: Sequence[str] = ("*",),
    expires_at: datetime | None = None,
    allowed_ips: Sequence[str] = (),
) -> tuple[ApiKey, str]:
    """Make a secret key of an app, or of the tenant where `app_id` is None.

    Returns the row and the key itself, which is stored nowhere and cannot be shown again. A key
    never carries a scope that its maker lacks.
    """
    unit = require_change()
    _refuse_unknown(scopes)
    if scope.scopes and not scope.allows("*") and not set(scopes) <= scope.scopes:
        raise ValidationFailed(fields={"scopes": ["A key cannot give more than it has."]})
    text = generate("live" if environment == "live" else "test")
    row = ApiKey(
        tenant_id=scope.tenant_id,
        app_id=app_id,
        environment=environment,
        name=name,
        prefix=text.prefix,
        lookup=text.lookup,
        digest=digest_of(unit.keys.secret("pepper"), text.whole),
        scopes=list(scopes),
        allowed_ips=list(allowed_ips),
        expires_at=expires_at,
    )
    row.save(force_insert=True)
    audit(scope, "api_key.issued", row.public_id, detail={"name": name, "scopes": list(scopes)})
    return row, text.whole


def issue_publishable_key(scope: Scope, *, app_id: UUID, environment: str) -> ApiKey:
    """Make the key that names an app from a browser. It is public and kept whole."""
    unit = require_change()
    text: KeyText = generate("pub")
    row = ApiKey(
        tenant_id=scope.tenant_id,
        app_id=app_id,
        kind=ApiKey.Kind.PUBLISHABLE,
        environment=environment,
        name="Publishable key",
        prefix=text.prefix,
        lookup=text.lookup,
        digest=digest_of(unit.keys.secret("pepper"), text.whole),
        text=text.whole,
    )
    row.save(force_insert=True)
    audit(scope, "api_key.issued", row.public_id, detail={"kind": "publishable"})
    return row


def rotate_api_key(scope: Scope, row: ApiKey, *, grace_seconds: int = 0) -> tuple[ApiKey, str]:
    """Replace a key by one with the same rights; the old one works until the grace ends."""
    require_change()
    moment = wall_clock()
    if row.revoked_at is not None and row.revoked_at <= moment:
        raise Conflict("This API key is revoked. Issue a new one.")
    successor, text = issue_api_key(
        scope,
        name=row.name,
        environment=row.environment,
        app_id=row.app_id,
        scopes=row.scopes,
        expires_at=row.expires_at,
        allowed_ips=row.allowed_ips,
    )
    row.revoked_at = moment + timedelta(seconds=grace_seconds)
    row.save(update_fields=["revoked_at"])
    audit(scope, "api_key.rotated", row.public_id, detail={"successor": successor.public_id})
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


def _refuse_unknown(scopes: Sequence[str]) -> None:
    unknown = sorted(set(scopes) - set(ALL_SCOPES) - {"*"})
    if unknown:
        raise ValidationFailed(fields={"scopes": [f"Unknown scope {name}." for name in unknown]})
