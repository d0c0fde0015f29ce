"""Events and their deliveries: looking, trying out, sending again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from django.db import connection

from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now, wall_clock
from stackbe.kernel.ids import first_id, new_id
from stackbe.kernel.tenancy import AppOwned
from stackbe.kernel.transactions import current, require_change
from webhooks.catalogue import TEST_TYPE
from webhooks.errors import EndpointDisabled, EventErased, NobodyListens, SampleInLiveApp
from webhooks.models import Attempt, Delivery, Event, WebhookEndpoint
from webhooks.outbox import hint, write_event
from webhooks.samples import sample
from webhooks.services.endpoints import endpoints_of, find_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

M = TypeVar("M", bound=AppOwned)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def events_of(
    scope: Scope,
    *,
    type: str | None = None,  # noqa: A002  # reads as what it is
    customer_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> ScopedQuerySet[Event]:
    """Return the app's events, of one type, about one customer, of a stretch of time where asked."""
    rows = Event.objects.within(scope)
    if type is not None:
        rows = rows.filter(type=type)
    if customer_id is not None:
        rows = rows.filter(subject_id=customer_id)
    return _between(rows, since, until)


def deliveries_of(
    scope: Scope,
    endpoint_id: str | UUID,
    *,
    status: str | None = None,
    type: str | None = None,  # noqa: A002  # likewise
    event_id: UUID | None = None,
    customer_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> ScopedQuerySet[Delivery]:
    """Return what was or will be sent to an endpoint, narrowed where asked; times are those of queueing."""
    endpoint = find_endpoint(scope, endpoint_id)
    rows = Delivery.objects.within(scope).filter(endpoint_id=endpoint.pk)
    if status is not None:
        rows = rows.filter(status=status)
    if type is not None:
        rows = rows.filter(event_type=type)
    if event_id is not None:
        rows = rows.filter(event_id=event_id)
    if customer_id is not None:
        # By way of their events, which an index finds; the deliveries themselves have none for it.
        rows = rows.filter(event_id__in=events_of(scope, customer_id=customer_id).values("pk"))
    return _between(rows, since, until)


def find_delivery(scope: Scope, endpoint_id: str | UUID, delivery_id: str | UUID) -> Delivery:
    """Return one delivery to an endpoint, or the API's 404."""
    return deliveries_of(scope, endpoint_id).fetch(delivery_id)


def attempts_of(scope: Scope, delivery: Delivery) -> list[Attempt]:
    """Return every try of a delivery, first to last, ready to be read."""
    found = list(Attempt.objects.within(scope).filter(delivery_id=delivery.pk).order_by("pk"))
    current().keys.preload([delivery.subject_id] if delivery.subject_id else [])
    return found


def _between(rows: ScopedQuerySet[M], since: datetime | None, until: datetime | None) -> ScopedQuerySet[M]:
    """Narrow rows to those made from `since` up to, not including, `until`: by their keys, which hold the time."""
    if since is not None:
        rows = rows.filter(pk__gte=first_id(max(since, EPOCH)))
    if until is not None:
        rows = rows.filter(pk__lt=first_id(max(until, EPOCH)))
    return rows


def deliver(event: Event, endpoints: Iterable[WebhookEndpoint]) -> list[Delivery]:
    """Queue an event for some endpoints, due now."""
    require_change()
    moment = wall_clock()
    return Delivery.unscoped.bulk_create(
        Delivery(
            tenant_id=event.tenant_id,
            app_id=event.app_id,
            event_id=event.pk,
            endpoint_id=endpoint.pk,
            event_type=event.type,
            subject_id=event.subject_id,
            ordered=endpoint.ordered,
            due_at=moment,
            created_at=moment,
        )
        for endpoint in endpoints
    )


QUEUE = """
insert into webhooks_delivery (id, tenant_id, app_id, event_id, endpoint_id, event_type, subject_id, ordered, status,
  attempts, due_at, error, created_at)
select q.id, %(tenant)s, %(app)s, q.event_id, q.endpoint_id, q.event_type, q.subject_id, q.ordered, 'pending',
  0, %(now)s, '', %(now)s
from unnest(%(ids)s::uuid[], %(events)s::uuid[], %(endpoints)s::uuid[], %(types)s::text[], %(subjects)s::uuid[],
  %(ordered)s::bool[]) as q(id, event_id, endpoint_id, event_type, subject_id, ordered)
"""


def deliver_many(scope: Scope, pairs: Sequence[tuple[Event, WebhookEndpoint]]) -> None:
    """Queue many events for their endpoints in one statement, due now."""
    require_change()
    if not pairs:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            QUEUE,
            {
                "tenant": scope.tenant_id,
                "app": scope.app,
                "now": wall_clock(),
                "ids": [new_id() for _ in pairs],
                "events": [event.pk for event, _ in pairs],
                "endpoints": [endpoint.pk for _, endpoint in pairs],
                "types": [event.type for event, _ in pairs],
                "subjects": [event.subject_id for event, _ in pairs],
                "ordered": [endpoint.ordered for _, endpoint in pairs],
            },
        )


def send_test_event(
    scope: Scope,
    endpoint_id: str | UUID,
    *,
    type: str = TEST_TYPE,  # noqa: A002  # likewise
) -> Delivery:
    """Send one made-up event to this endpoint alone, whatever types it asked for.

    Raises `EndpointDisabled`, and `SampleInLiveApp` for a type that a live app's server would act on.
    """
    require_change()
    endpoint = find_endpoint(scope, endpoint_id)
    if not endpoint.receiving:
        raise EndpointDisabled
    own = {"endpointId": endpoint.public_id} if type == TEST_TYPE else {}
    event = _write_sample(scope, type, own)
    event.fanned_out_at = wall_clock()
    event.save(update_fields=["fanned_out_at"])
    [delivery] = deliver(event, [endpoint])
    audit(scope, "webhook_endpoint.tested", endpoint.public_id, detail={"type": type})
    hint()
    return delivery


def trigger_event(scope: Scope, type: str) -> Event:  # noqa: A002  # likewise
    """Make one made-up event that goes to every endpoint that wants it, in a test app."""
    require_change()
    event = _write_sample(scope, type, {})
    audit(scope, "event.triggered", event.public_id, detail={"type": type})
    hint()
    return event


def _write_sample(scope: Scope, type: str, own: dict[str, str]) -> Event:  # noqa: A002  # likewise
    if scope.environment == "live" and type != TEST_TYPE:
        raise SampleInLiveApp
    return write_event(scope, type, own | sample(type, now(scope)))


def redeliver_event(scope: Scope, event_id: str | UUID, *, endpoint_id: UUID | None = None) -> list[Delivery]:
    """Send an event again, under its own id, to one endpoint or to all that want it.

    A receiver that keeps `webhook-id` sees that it is a repeat. Raises `EventErased`,
    `EndpointDisabled` and `NobodyListens`.
    """
    require_change()
    event = Event.objects.within(scope).fetch(event_id)
    current().keys.preload([event.subject_id] if event.subject_id else [])
    if event.body is None:
        raise EventErased
    if endpoint_id is not None:
        chosen = [find_endpoint(scope, endpoint_id)]
        if not chosen[0].receiving:
            raise EndpointDisabled
    else:
        chosen = [e for e in endpoints_of(scope) if e.wants(event)]
    if not chosen:
        raise NobodyListens
    deliveries = deliver(event, chosen)
    audit(scope, "event.redelivered", event.public_id, subject_id=event.subject_id)
    hint()
    return deliveries
