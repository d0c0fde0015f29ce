"""Random secrets that digests and signatures are made with: a new one is used from now on, the old one is kept.

An API key is hashed under the new pepper when it is next used, since only then is it at hand; codes are looked for
under both. The public half of a replaced signing key stays published, for what it has signed.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import connection

from apikeys.models import ApiKey
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.models import TenantSecret
from stackbe.kernel.transactions import change, reading
from stackbe.trust.services.rotation.keys import ONE_AT_A_TIME

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

PEPPER = "pepper"


def is_old(scope: Scope, kind: str, moment: datetime) -> bool:
    """Say whether a tenant's live secret of a kind was made before a moment."""
    with reading(scope):
        return _live(scope, kind).filter(created_at__lt=moment).exists()


def replace_secret(scope: Scope, kind: str, moment: datetime) -> bool:
    """Retire a tenant's live secret of a kind, where it was made before a moment, and make its successor."""
    with change(scope) as unit:
        with connection.cursor() as cursor:
            cursor.execute(ONE_AT_A_TIME, [str(scope.tenant_id)])
        old = _live(scope, kind).filter(created_at__lt=moment).first()
        if old is None:
            return False
        if kind == PEPPER:
            # From now on it takes a name to tell which pepper a key was made with.
            ApiKey.objects.within(scope).filter(pepper_id__isnull=True).update(pepper_id=old.id)
        old.retired_at = wall_clock()
        old.save(update_fields=["retired_at"])
        new, _ = unit.keys.named_secret(kind)
        audit(scope, "secret.replaced", detail={"kind": kind, "before": str(old.id), "after": str(new)})
        return True


def waiting_for_use(scope: Scope, before: datetime | None = None) -> int:
    """Return how many API keys that work were made with a pepper which has been replaced (before a moment)."""
    with reading(scope):
        return _hanging(scope, before or wall_clock()).count()


def drop_peppers(scope: Scope, before: datetime) -> int:
    """Forget peppers that were replaced before a moment, and revoke the API keys that were not used since.

    Recovery codes from before then are refused too. Returns how many peppers are gone.
    """
    with change(scope):
        revoked = _hanging(scope, before).update(revoked_at=wall_clock())
        gone, _ = _replaced(scope, before).delete()
        if gone:
            audit(scope, "pepper.dropped", detail={"peppers": gone, "revokedKeys": revoked})
        return gone


def _live(scope: Scope, kind: str) -> ScopedQuerySet[TenantSecret]:
    return TenantSecret.objects.within(scope).filter(kind=kind, app_id__isnull=True, retired_at__isnull=True)


def _replaced(scope: Scope, before: datetime) -> ScopedQuerySet[TenantSecret]:
    return TenantSecret.objects.within(scope).filter(kind=PEPPER, app_id__isnull=True, retired_at__lt=before)


def _hanging(scope: Scope, before: datetime) -> ScopedQuerySet[ApiKey]:
    old = list(_replaced(scope, before).values_list("id", flat=True))
    return ApiKey.objects.within(scope).filter(pepper_id__in=old, revoked_at__isnull=True)
