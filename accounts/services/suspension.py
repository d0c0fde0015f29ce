"""What members are told of an account or app that staff have suspended."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from accounts.errors import AccountSuspended
from accounts.models import App, Tenant
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import reading

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

APPEAL = "Nothing in it is lost. If you think this is a mistake, write to us at /contact."


def refuse_suspended(tenant_id: UUID, app_id: UUID | None = None) -> None:
    """Raise `AccountSuspended`, with the reason that staff gave, where the tenant or the app is. Opens a reading."""
    scope = system_scope(tenant_id, actor_name="dashboard")
    with reading(scope):
        tenant = Tenant.unscoped.filter(pk=tenant_id, suspended_at__isnull=False, erasing_at__isnull=True).first()
        apps = App.objects.within(scope).filter(suspended_at__isnull=False, archived_at__isnull=True)
        app = apps.filter(pk=app_id).first() if app_id else None
        if tenant is not None:
            raise AccountSuspended(_sentence(scope, tenant, "account"))
        if app is not None:
            raise AccountSuspended(_sentence(scope, app, "app"))


def _sentence(scope: Scope, held: Tenant | App, kind: str) -> str:
    day = held.suspended_at
    since = f" since {day.day} {day:%B %Y}" if day else ""
    acts = AuditEvent.objects.within(scope).filter(action__endswith=".suspended", target=held.public_id)
    last = acts.order_by("-id").first()
    reason = str(((last.detail if last else None) or {}).get("reason", ""))
    because = f" Reason given: {reason.rstrip('.')}." if reason else ""
    return f"This {kind} is suspended{since}.{because} {APPEAL}"
