"""Events become deliveries: one for each enabled endpoint that takes their type."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError, connection

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change
from webhooks.models import Event
from webhooks.services.endpoints import endpoints_of
from webhooks.services.events import deliver

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

log = logging.getLogger("stackbe.dispatcher")
ACTOR = "dispatcher"
BATCH = 500
# Which apps have events to fan out, among the oldest. The worker's role may ask this of all tenants.
WAITING = """
select distinct tenant_id, app_id from (
  select tenant_id, app_id from webhooks_event where fanned_out_at is null order by id limit %s
) as oldest
"""


def fan_out_all() -> int:
    """Make the deliveries of events that have none yet; return how many events were handled.

    Safe beside other dispatchers: an event is held while it is fanned out, and marked in the
    same change that queues its deliveries.
    """
    with connection.cursor() as cursor:
        cursor.execute(WAITING, [BATCH])
        apps = cursor.fetchall()
    return sum(_fan_out_safely(system_scope(t, a, actor_name=ACTOR)) for t, a in apps)


def _fan_out_safely(scope: Scope) -> int:
    """Let one app's trouble be its own; the database's is everybody's."""
    try:
        return fan_out(scope)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("fan-out failed", extra={"app": str(scope.app_id)})
        return 0


def fan_out(scope: Scope) -> int:
    """Make the deliveries of one app's new events, in one change."""
    with change(scope):
        fresh = Event.objects.within(scope).filter(fanned_out_at__isnull=True).defer("body")
        held = list(fresh.order_by("id").select_for_update(skip_locked=True)[:BATCH])
        if not held:
            return 0
        endpoints = list(endpoints_of(scope).filter(enabled=True))
        for event in held:
            deliver(event, [e for e in endpoints if e.takes(event.type)])
        handled = Event.objects.within(scope).filter(pk__in=[event.pk for event in held])
        handled.update(fanned_out_at=wall_clock())
    return len(held)
