"""Sending again what an endpoint did not get, or all of a stretch of time."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connection

from stackbe.kernel.audit import audit
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.crypto import SealBroken
from stackbe.kernel.ids import first_id, moment_of
from stackbe.kernel.jobs import enqueue, job
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change, current, require_change
from webhooks.catalogue import EVERY_TYPE
from webhooks.errors import EndpointDisabled
from webhooks.models import Delivery, Event, WebhookEndpoint
from webhooks.outbox import hint
from webhooks.services.endpoints import endpoints_of, find_endpoint, update_endpoint
from webhooks.services.events import EPOCH, deliver_many

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from stackbe.kernel.scope import Scope

AT_ONCE = 1000


class Which(StrEnum):
    """Which events of the stretch to send again."""

    MISSED = "missed"  # what the endpoint wants and was never delivered to it: failed, canceled, or never queued
    FAILED = "failed"  # what was tried or queued, and given up
    DELIVERED = "delivered"
    ALL = "all"


# What is on its way already is never queued twice, and neither is what this replay has queued before: a job that is
# killed and starts anew goes on. `wanted` says how an event fared at the endpoint.
CANDIDATES = """
from webhooks_event e
left join lateral (
  select bool_or(status = 'pending' or created_at >= %(asked_at)s) as under_way,
    bool_or(status = 'delivered') as delivered, count(*) > 0 as known
  from webhooks_delivery d
  where d.app_id = e.app_id and d.event_id = e.id and d.endpoint_id = %(endpoint)s
) as fared on true
where e.tenant_id = %(tenant)s and e.app_id = %(app)s and e.id >= %(first)s and e.id < %(before)s
  and e.fanned_out_at is not null
  and (%(types)s::text[] is null or e.type = any(%(types)s::text[]))
  and not coalesce(fared.under_way, false)
  and case %(which)s
    when 'missed' then not coalesce(fared.delivered, false)
    when 'failed' then fared.known and not fared.delivered
    when 'delivered' then coalesce(fared.delivered, false)
    else true
  end
"""


def replay(
    scope: Scope,
    endpoint_id: str | UUID,
    *,
    since: datetime,
    until: datetime | None = None,
    status: str = Which.MISSED,
    types: Iterable[str] | None = None,
) -> int:
    """Queue again, oldest first and under their own ids, the events from `since` up to `until` that the endpoint wants.

    The count of them is returned. The first thousand are queued at once and the rest by a job; where an endpoint
    has a filter the rest are counted before it is asked. Raises `EndpointDisabled`.
    """
    require_change()
    endpoint = find_endpoint(scope, endpoint_id)
    if not endpoint.receiving:
        raise EndpointDisabled
    moment = wall_clock()
    asked = {
        "first": first_id(max(since, EPOCH)),
        "before": first_id(max(until or moment + timedelta(seconds=1), EPOCH)),
        "which": str(status),
        "types": sorted(types) if types else None,
        "asked_at": moment,
    }
    queued, following = queue_some(scope, endpoint, asked)
    if following is not None:
        asked["first"] = following
        queued += _count(scope, endpoint, asked)
        plain = {name: str(value) if isinstance(value, UUID) else value for name, value in asked.items()}
        enqueue(
            go_on_replaying,
            tenant_id=str(scope.tenant_id), app_id=str(scope.app), endpoint_id=str(endpoint.pk),
            asked=plain | {"asked_at": moment.isoformat()},
        )  # fmt: skip
    detail = {"since": render(since), "until": render(until), "status": str(status), "count": queued}
    audit(scope, "webhook_endpoint.replayed", endpoint.public_id, detail=detail)
    hint()
    return queued


@job("webhooks.go_on_replaying")
def go_on_replaying(tenant_id: str, app_id: str, endpoint_id: str, asked: dict[str, Any]) -> None:
    """Queue the rest of a long replay, a thousand events in a change. Run twice it queues nothing twice."""
    scope = system_scope(UUID(tenant_id), UUID(app_id), actor_name="replay")
    following: UUID | None = UUID(asked["first"])
    while following is not None:
        with change(scope):
            endpoint = endpoints_of(scope).filter(pk=endpoint_id, enabled=True).first()
            if endpoint is None:
                return
            _, following = queue_some(scope, endpoint, asked | {"first": following})
            hint()


def change_endpoint(
    scope: Scope, endpoint_id: str | UUID, *, replay_missed: bool | None = None, **changes: Any
) -> WebhookEndpoint:
    """Change an endpoint as `update_endpoint` does; one that is switched on gets what it missed where asked.

    Unless told, it does where we had switched it off, and not where it was off by request.
    """
    require_change()
    before = endpoints_of(scope).locked().fetch(endpoint_id)
    since = None if before.enabled else _off_since(scope, before)
    if replay_missed is None:
        replay_missed = before.disabled_reason != WebhookEndpoint.DisabledReason.BY_REQUEST
    endpoint = update_endpoint(scope, endpoint_id, **changes)
    if since is not None and endpoint.enabled and replay_missed:
        replay(scope, endpoint_id, since=since)
    return endpoint


def _off_since(scope: Scope, endpoint: WebhookEndpoint) -> datetime:
    """Return from when on an endpoint that is off may have missed events.

    That is when it began to fail, or was switched off, or when the oldest event was made that still waited then or
    was given up in that moment: the one that was answered 410.
    """
    off_since = endpoint.disabled_at or endpoint.updated_at
    lost = Delivery.objects.within(scope).filter(
        endpoint_id=endpoint.pk,
        status__in=[Delivery.Status.CANCELED, Delivery.Status.FAILED],
        finished_at__gte=off_since,
    )
    oldest: UUID | None = lost.order_by("event_id").values_list("event_id", flat=True).first()
    moments = [off_since, endpoint.failing_since or off_since, *([moment_of(oldest)] if oldest else [])]
    return min(moments)


def queue_some(scope: Scope, endpoint: WebhookEndpoint, asked: dict[str, Any]) -> tuple[int, UUID | None]:
    """Queue the next thousand; return how many the endpoint wanted, and where to go on."""
    require_change()
    with connection.cursor() as cursor:
        limited = f"select e.id {CANDIDATES} order by e.id limit {AT_ONCE + 1}"
        cursor.execute(limited, _parameters(scope, endpoint, asked))
        found = [row[0] for row in cursor.fetchall()]
    following = found[AT_ONCE] if len(found) > AT_ONCE else None
    events = list(Event.objects.within(scope).filter(pk__in=found[:AT_ONCE]).order_by("pk"))
    current().keys.preload({event.subject_id for event in events if event.subject_id is not None})
    wanted = [event for event in events if _can_take(endpoint, event)]
    deliver_many(scope, [(event, endpoint) for event in wanted])
    return len(wanted), following


def _can_take(endpoint: WebhookEndpoint, event: Event) -> bool:
    """Say whether the endpoint wants the event and there is still something to send."""
    try:
        return event.body is not None and endpoint.wants(event)
    except SealBroken:
        return False


def _count(scope: Scope, endpoint: WebhookEndpoint, asked: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"select count(*) {CANDIDATES}", _parameters(scope, endpoint, asked))
        return int(cursor.fetchone()[0])


def _parameters(scope: Scope, endpoint: WebhookEndpoint, asked: dict[str, Any]) -> dict[str, Any]:
    types = asked["types"]
    if EVERY_TYPE not in endpoint.events:
        types = sorted(set(endpoint.events) & set(endpoint.events if types is None else types))
    return asked | {
        "types": types,
        "tenant": scope.tenant_id,
        "app": scope.app,
        "endpoint": endpoint.pk,
    }
