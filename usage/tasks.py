"""Usage's background work: thresholds become events, overage goes on the bill, what has ended is closed and let go."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import connection

from accounts.models import App
from billing.stripe.scopes import connected_scopes
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import ApiError
from stackbe.kernel.jobs import every_tenant, periodic
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change, reading
from usage.services.overage import report_account
from usage.services.reservations import expire
from usage.services.storage import keep_within_bounds
from usage.services.thresholds import announce

if TYPE_CHECKING:
    from uuid import UUID


log = logging.getLogger("stackbe.usage")
AT_ONCE = 200
ENDED = "select tenant_id, app_id, reservation_id, environment, clock_offset_ms from lookup.ended_holds(%s, %s)"
WAITING = "select distinct tenant_id, app_id from usage_crossing limit 500"


@periodic("usage.announce_thresholds", "* * * * * */3")
def announce_thresholds(timestamp: int) -> None:
    """Tell each app which of its customers passed a threshold of a limit.

    The crossing was written with the count itself, so none is lost; the event and the crossing's
    deletion are one change, so none is told twice.
    """
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        waiting: list[tuple[UUID, UUID]] = cursor.fetchall()
    for tenant_id, app_id in waiting:
        scope = system_scope(tenant_id, app_id, actor_name="usage thresholds")
        with change(scope):
            announce(scope)


@periodic("usage.report_overage", "*/5 * * * *", queue="stripe")
def report_overage(timestamp: int) -> None:
    """Report what was used beyond the allowances, account by account; one that fails does not hold up the others."""
    for scope, account_id in connected_scopes("overage"):
        try:
            report_account(scope, account_id)
        except ApiError as failure:
            log.warning("overage not reported", extra={"account": account_id, "failure": type(failure).__name__})


@periodic("usage.expire_reservations", "* * * * * */20")
def expire_reservations(timestamp: int) -> None:
    """Close the holds whose time has run out; limits forgot them at that very moment."""
    with connection.cursor() as cursor:
        cursor.execute(ENDED, [wall_clock(), AT_ONCE])
        ended = cursor.fetchall()
    for tenant_id, app_id, reservation_id, environment, offset_ms in ended:
        offset = timedelta(milliseconds=offset_ms)
        scope = system_scope(tenant_id, app_id, actor_name="reservations", environment=environment, clock_offset=offset)
        with change(scope):
            expire(scope, reservation_id)


@periodic("usage.keep_within_bounds", "41 2 * * *")
def keep_usage_within_bounds(timestamp: int) -> None:
    """Roll up and let go of old usage, app after app, each in a change of its own."""
    for tenant_id in every_tenant():
        whole = system_scope(tenant_id, actor_name="usage storage")
        with reading(whole):
            apps = list(App.objects.within(whole))
        for app in apps:
            scope = whole.for_app(app.pk, app.environment, app.clock_offset)
            with change(scope):
                keep_within_bounds(scope, app)
