"""Master, tenant and subject keys: each is stored wrapped by the one above, and is wrapped anew by its successor."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.db import connection

from stackbe.kernel import crypto
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.models import SubjectKey, TenantKey, TenantSecret
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from stackbe.kernel.scope import Scope

AT_ONCE = 200
ONE_AT_A_TIME = "select pg_advisory_xact_lock(hashtextextended(%s, 23))"


def under_another_master(scope: Scope) -> int:
    """Return how many of a tenant's keys are not wrapped by the current master key."""
    with reading(scope):
        return sum(_is_foreign(row) for row in TenantKey.objects.within(scope))


def rewrap_under_master(scope: Scope) -> int:
    """Wrap a tenant's keys by the current master key, replaced ones too; return how many that took."""
    moved = 0
    with change(scope):
        for row in TenantKey.objects.within(scope).locked().order_by("id"):
            if _is_foreign(row):
                key = crypto.open_tenant_key(bytes(row.wrapped), scope.tenant_id, row.id)
                row.wrapped = crypto.wrap_with_master(key, scope.tenant_id, row.id)
                row.save(update_fields=["wrapped"])
                moved += 1
    return moved


def _is_foreign(row: TenantKey) -> bool:
    current = next(iter(crypto.master_keys())).encode().ljust(16, b"\0")
    return crypto.key_id_of(bytes(row.wrapped)) != current


def key_is_older(scope: Scope, moment: datetime) -> bool:
    """Say whether the key that new values of a tenant are sealed under was made before a moment."""
    with reading(scope):
        newest = TenantKey.objects.within(scope).filter(retired_at__isnull=True).order_by("-id").first()
        return newest is not None and newest.created_at < moment


def replace_tenant_key(scope: Scope, moment: datetime) -> bool:
    """Give a tenant a new key, unless its newest was made after a moment; say whether it got one.

    Whoever comes second waits, and then finds the first one's key young enough.
    """
    with change(scope) as unit:
        with connection.cursor() as cursor:
            cursor.execute(ONE_AT_A_TIME, [str(scope.tenant_id)])
        newest = TenantKey.objects.within(scope).filter(retired_at__isnull=True).order_by("-id").first()
        if newest is None or newest.created_at >= moment:
            return False
        unit.keys.create_tenant_key(scope.tenant_id)
        audit(scope, "tenant_key.replaced", detail={"before": str(newest.id)})
        return True


def current_and_older(scope: Scope) -> tuple[UUID | None, list[bytes]]:
    """Return the id of a tenant's newest key, and the ids of all others as values name them. Needs an open reading."""
    keys = TenantKey.objects.within(scope).order_by("-id")
    newest = next((key.id for key in keys if key.retired_at is None), None)
    return newest, [key.id.bytes for key in keys if key.id != newest]


def wrapped_by(scope: Scope, model: type[SubjectKey | TenantSecret], keys: list[bytes] | None = None) -> int:
    """Return how many of a tenant's rows are wrapped by some of its keys, by default all but the newest."""
    with reading(scope):
        wanted = set(current_and_older(scope)[1] if keys is None else keys)
        rows = model.objects.within(scope).values_list("wrapped", flat=True)
        return sum(crypto.key_id_of(bytes(wrapped)) in wanted for wrapped in rows.iterator())


def all_keys(scope: Scope) -> list[bytes]:
    """Return the ids of all of a tenant's keys as values name them."""
    with reading(scope):
        return [key.id.bytes for key in TenantKey.objects.within(scope)]


def rewrap_subject_keys(scope: Scope) -> int:
    """Wrap people's keys by the tenant's newest; return how many that took."""
    return _rewrap(scope, SubjectKey)


def rewrap_secrets(scope: Scope) -> int:
    """Wrap peppers, keys of blind indexes and the like by the tenant's newest key; return how many that took."""
    return _rewrap(scope, TenantSecret)


def retire_older(scope: Scope) -> int:
    """Mark the keys that were replaced and that nothing lies under any more but what is never changed."""
    with change(scope):
        newest, _ = current_and_older(scope)
        rows = TenantKey.objects.within(scope).filter(retired_at__isnull=True)
        return 0 if newest is None else rows.exclude(pk=newest).update(retired_at=wall_clock())


def _rewrap(scope: Scope, model: type[SubjectKey | TenantSecret]) -> int:
    """Go through a tenant's rows in batches; one that somebody holds is passed over, so that nobody waits in a ring."""
    moved, last = 0, None
    while True:
        with change(scope) as unit:
            rows = model.objects.within(scope).order_by("id").select_for_update(skip_locked=True)
            found = (rows.filter(pk__gt=last) if last else rows)[:AT_ONCE]
            batch = cast("list[SubjectKey | TenantSecret]", list(found))
            for row in batch:
                key_id, key = unit.keys.tenant_key()
                sealed = bytes(row.wrapped)
                if crypto.key_id_of(sealed) != key_id.bytes:
                    place = _place(row)
                    plain = crypto.unseal(unit.keys.key(crypto.key_id_of(sealed)), sealed, place)
                    row.wrapped = crypto.seal(key, key_id.bytes, plain, place)
                    row.save(update_fields=["wrapped"])
                    moved += 1
        if len(batch) < AT_ONCE:
            return moved
        last = batch[-1].pk


def _place(row: SubjectKey | TenantSecret) -> str:
    if isinstance(row, SubjectKey):
        return crypto.subject_context(row.tenant_id, row.subject_id, row.id)
    return crypto.secret_context(row.tenant_id, row.app_id, row.kind)
