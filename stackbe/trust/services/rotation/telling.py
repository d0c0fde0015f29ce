"""Owners are told of a rotation: once for each, by mail and in their log, whatever number of rows it took.

What is told is read from the log, where every replacement is a row of its own change: so a run that was killed before
it could tell is told of by the run that takes it up, and one that replaced nothing tells nothing. Values that only lie
under another key than before (the master key's turn, people's keys wrapped anew) are nothing to an owner: no secret of
theirs has changed and nothing is for them to do.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection

from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import encode, first_id
from stackbe.kernel.jobs import enqueue
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.scope import PLATFORM
from stackbe.kernel.transactions import change
from stackbe.trust.rotation_mail import mail_rotated_keys
from stackbe.trust.services.rotation.keys import ONE_AT_A_TIME

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

TOLD = "keys.rotated"
REPLACEMENTS = (
    "tenant_key.replaced",
    "secret.replaced",
    "pepper.dropped",
    "signing_key.rotated",
    "webhook_endpoint.secret_rotated",
)
# Further back than any run takes, and near enough for an index to be quick.
WINDOW = timedelta(days=30)


def tell_owners(scope: Scope) -> bool:
    """Tell a tenant's owners what the operator replaced since they were last told; say whether there was anything."""
    if scope.tenant_id == PLATFORM:
        return False
    with change(scope):
        with connection.cursor() as cursor:
            cursor.execute(ONE_AT_A_TIME, [str(scope.tenant_id)])
        rows = AuditEvent.objects.within(scope).filter(pk__gt=first_id(wall_clock() - WINDOW), actor=scope.actor)
        last = rows.filter(action=TOLD).order_by("-pk").first()
        fresh = rows.filter(action__in=REPLACEMENTS).order_by("pk")
        found = list(fresh if last is None else fresh.filter(pk__gt=last.pk))
        if not found:
            return False
        told = audit(scope, TOLD, encode("ten", scope.tenant_id), detail=_summed_up(found))
        enqueue(mail_rotated_keys, tenant_id=str(scope.tenant_id), act_id=str(told.pk))
        return True


def _summed_up(rows: list[AuditEvent]) -> dict[str, Any]:
    """Return what was replaced: which, where an owner has to do something about it, and else that it was."""
    by_action: dict[str, list[AuditEvent]] = {}
    for row in rows:
        by_action.setdefault(row.action, []).append(row)
    dropped = [row.detail or {} for row in by_action.get("pepper.dropped", [])]
    pairs = by_action.get("signing_key.rotated", [])
    apps = [encode("app", row.app_id) for row in pairs if row.app_id is not None]
    return {
        "tenantKey": "tenant_key.replaced" in by_action,
        "pepper": "secret.replaced" in by_action,
        "signingKeysOf": sorted(set(apps)),
        "olderTokensRefused": any((row.detail or {}).get("atOnce") for row in pairs),
        "webhookEndpoints": sorted({row.target for row in by_action.get("webhook_endpoint.secret_rotated", [])}),
        "revokedApiKeys": sum(int(detail.get("revokedKeys", 0)) for detail in dropped),
    }
