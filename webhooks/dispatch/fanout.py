"""Events become deliveries: one for each enabled endpoint that takes their type."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError, connection

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import SealBroken
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change
from webhooks.models import Event
from webhooks.services.endpoints import endpoints_of
from webhooks.services.events import deliver_many

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet
    from webhooks.models import WebhookEndpoint

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
    """Make the deliveries of one app's new events, in one change.

    One dispatcher at a time does it for an app: of two, the second could queue a later event first.
    """
    with change(scope) as unit:
        fresh = Event.objects.within(scope).filter(fanned_out_at__isnull=True).order_by("id")
        if not _is_ours(fresh):
            return 0
        held = list(fresh.defer("body").select_for_update()[:BATCH])
        endpoints = list(endpoints_of(scope).filter(enabled=True))
        readable = _with_bodies(scope, held, [e for e in endpoints if e.filter])
        unit.keys.preload({event.subject_id for event in readable.values() if event.subject_id is not None})
        deliver_many(
            scope, [(event, e) for event in held for e in endpoints if _wants(e, readable.get(event.pk, event))]
        )
        handled = Event.objects.within(scope).filter(pk__in=[event.pk for event in held])
        handled.update(fanned_out_at=wall_clock())
    return len(held)


def _is_ours(fresh: ScopedQuerySet[Event]) -> bool:
    """Hold the app's oldest new event; say no where another dispatcher has it."""
    first = fresh.values_list("pk", flat=True).first()
    return first is not None and bool(fresh.filter(pk=first).defer("body").select_for_update(skip_locked=True))


def _with_bodies(scope: Scope, held: list[Event], filtering: list[WebhookEndpoint]) -> dict[UUID, Event]:
    """Return those events whose body decides where they go, with it."""
    decided = [event.pk for event in held if any(e.takes(event.type) for e in filtering)]
    return Event.objects.within(scope).in_bulk(decided) if decided else {}


def _wants(endpoint: WebhookEndpoint, event: Event) -> bool:
    """Ask the endpoint; a body that does not open is in no filter."""
    try:
        return endpoint.wants(event)
    except SealBroken:
        log.exception("sealed value does not open", extra={"event": event.public_id})
        return False
