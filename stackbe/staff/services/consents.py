"""A tenant's leave for staff to look through its dashboard, and the visits that it allows.

A visit reads and never writes, lasts half an hour at most, and every page of it is a row of the tenant's own audit
log before it is shown. Taking the leave back ends it on the next page.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from stackbe.kernel.audit import audit
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.errors import Forbidden, ValidationFailed
from stackbe.kernel.ids import encode
from stackbe.kernel.transactions import change, require_change
from stackbe.staff.models import Consent
from stackbe.staff.notices import tell_owners
from stackbe.staff.roles import Power
from stackbe.staff.services import refuse_without, staff_scope, worded

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from accounts.models import Tenant, User
    from stackbe.kernel.scope import Scope

VISIT = timedelta(minutes=30)
HOURS = (1, 24, 168)
# As much of an address that was refused as goes on record: anything can stand in it.
LONGEST_PAGE = 300


def live_consent(scope: Scope) -> Consent | None:
    """Return the leave that a tenant gives now, None where it gives none. Needs an open change or reading."""
    live = Consent.objects.within(scope).filter(revoked_at__isnull=True, expires_at__gt=wall_clock())
    return live.order_by("-expires_at").first()


def give_consent(scope: Scope, user: User, hours: int) -> Consent:
    """Let staff look through the account for some hours. A leave that is given already is replaced."""
    require_change()
    if hours not in HOURS:
        raise ValidationFailed(fields={"hours": ["Choose for how long."]})
    _end_all(scope)
    leave = Consent(tenant_id=scope.tenant_id, granted_by=user.id, expires_at=wall_clock() + timedelta(hours=hours))
    leave.save(force_insert=True)
    audit(scope, "staff_access.allowed", leave.public_id, detail={"until": render(leave.expires_at)})
    return leave


def take_consent_back(scope: Scope) -> bool:
    """End the leave: the next page of a visit is refused. Returns False where none was given."""
    require_change()
    ended = _end_all(scope)
    if ended:
        audit(scope, "staff_access.revoked")
    return bool(ended)


def begin_visit(user: User, tenant: Tenant, reason: str) -> datetime:
    """Put a visit on record and tell the owners; return until when it lasts. Raises `Forbidden` without a leave."""
    refuse_without(user, Power.VISIT)
    reason = worded(reason)
    with change(staff_scope(user, tenant.pk)) as unit:
        leave = live_consent(unit.scope)
        if leave is None:
            raise Forbidden("The tenant has not allowed it. An owner does so in the dashboard: Settings, Staff access.")
        until = min(wall_clock() + VISIT, leave.expires_at)
        act = audit(
            unit.scope, "staff.visit_began", tenant.public_id, detail={"reason": reason, "until": render(until)}
        )
        tell_owners(unit.scope, act)
    return until


def record_visited(user: User, tenant_id: UUID, app_id: UUID, page: str, *, revealed: bool = False) -> None:
    """Put one page of a visit on record before it is shown. Raises `Forbidden` once the leave has ended."""
    refuse_without(user, Power.VISIT)
    with change(staff_scope(user, tenant_id, app_id)) as unit:
        _refuse_without_leave(unit.scope)
        detail = {"page": page, "people": "revealed" if revealed else "masked"}
        audit(unit.scope, "staff.visited", encode("app", app_id), detail=detail)


def record_refused(user: User, tenant_id: UUID, app_id: UUID | None, page: str, method: str) -> None:
    """Put on record what a visit asked for and was refused: the tenant sees every request of it, not those alone
    that showed something.
    """
    with change(staff_scope(user, tenant_id, app_id)) as unit:
        target = encode("ten", tenant_id) if app_id is None else encode("app", app_id)
        audit(unit.scope, "staff.visit_refused", target, detail={"page": page[:LONGEST_PAGE], "method": method})


def record_end(user: User, tenant_id: UUID) -> None:
    """Put on record that a visit was left."""
    with change(staff_scope(user, tenant_id)) as unit:
        audit(unit.scope, "staff.visit_ended", encode("ten", tenant_id))


def reveal_page(user: User, tenant_id: UUID, app_id: UUID, page: str, reason: str) -> None:
    """Put on record why a page of a visit is shown with the people on it.

    Raises `Forbidden` for a role without the power or once the leave has ended, `ValidationFailed` for no reason worth
    the name.
    """
    refuse_without(user, Power.VISIT)
    refuse_without(user, Power.REVEAL)
    reason = worded(reason)
    with change(staff_scope(user, tenant_id, app_id)) as unit:
        _refuse_without_leave(unit.scope)
        audit(unit.scope, "staff.revealed", encode("app", app_id), detail={"page": page, "reason": reason})


def _refuse_without_leave(scope: Scope) -> None:
    if live_consent(scope) is None:
        raise Forbidden("The tenant no longer allows this visit.")


def _end_all(scope: Scope) -> int:
    live = Consent.objects.within(scope).filter(revoked_at__isnull=True, expires_at__gt=wall_clock())
    return live.update(revoked_at=wall_clock())
