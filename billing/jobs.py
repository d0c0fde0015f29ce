"""Work on access that needs no request: the rest of a large refresh, and what the clock changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db import connection

from accounts.lookups import known_app
from billing.queue import ANNOUNCE_DEFAULT, REFRESH_ACCESS
from billing.services.access import refresh_batch
from billing.services.copies import announce_default, announce_organization
from billing.services.reminders import remind
from billing.services.subscriptions import pass_date
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import job, periodic
from stackbe.kernel.scope import Scope, system_scope
from stackbe.kernel.transactions import change

MOST = 500
ROUNDS = 20
log = logging.getLogger("stackbe.billing")


@job(REFRESH_ACCESS)
def refresh_access_job(app_id: str, plan_id: str | None, after: str) -> None:
    """Refresh the next customers of a plan, or of a whole app."""
    app = known_app(UUID(app_id))
    if app is None:
        return
    scope = app.system_scope("access")
    with change(scope):
        refresh_batch(scope, UUID(plan_id) if plan_id else None, UUID(after))


@job(ANNOUNCE_DEFAULT)
def announce_default_job(app_id: str, after: str, organization_id: str | None = None) -> None:
    """Tell an app of the next customers whose default plan changed, or whose organization has another name."""
    app = known_app(UUID(app_id))
    if app is None:
        return
    scope = app.system_scope("access")
    with change(scope):
        if organization_id is None:
            announce_default(scope, UUID(after))
        else:
            announce_organization(scope, UUID(organization_id), UUID(after))


@periodic("billing.pass_dates", "* * * * *")
def pass_dates_job(timestamp: int) -> None:
    """Announce access that the clock has changed. Checks saw it at the very moment; apps hear of it here."""
    _round_after_round(pass_dates)


@periodic("billing.send_reminders", "* * * * *")
def send_reminders_job(timestamp: int) -> None:
    """Tell customers of trials that end and of payments that are due, by each app's clock."""
    _round_after_round(send_reminders)


def pass_dates() -> int:
    """Refresh customers whose access has reached one of its dates; return for how many it was done."""
    asked = "select tenant_id, app_id, customer_id, environment, clock_offset_ms from lookup.changing_access(%s, %s)"
    return _for_each_due(asked, pass_date, "a date could not be passed")


def send_reminders() -> int:
    """Tell what is due; return for how many subscriptions it was done."""
    asked = "select tenant_id, app_id, subscription_id, environment, clock_offset_ms from lookup.reminders_due(%s, %s)"
    return _for_each_due(asked, remind, "a reminder could not be sent")


def _round_after_round(work: Callable[[], int]) -> None:
    for _ in range(ROUNDS):
        if work() < MOST:
            return


def _for_each_due(asked: str, work: Callable[[Scope, UUID], object], complaint: str) -> int:
    """Do something for each row that is due, of whichever app, in a change of its own; return for how many.

    One that fails is logged and left for the next minute: it must not hold up the others.
    """
    with connection.cursor() as cursor:
        cursor.execute(asked, [wall_clock(), MOST])
        rows = cursor.fetchall()
    done = 0
    for tenant_id, app_id, target_id, environment, offset_ms in rows:
        offset = timedelta(milliseconds=offset_ms)
        scope = system_scope(tenant_id, app_id, actor_name="clock", environment=environment, clock_offset=offset)
        try:
            with change(scope):
                work(scope, target_id)
        except Exception:
            log.exception(complaint, extra={"app": str(app_id)})
        else:
            done += 1
    return done
