"""Events and their deliveries: looking, trying out, sending again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import require_change
from webhooks.catalogue import TEST_TYPE
from webhooks.errors import EndpointDisabled, EventErased, NobodyListens
from webhooks.models import Delivery, Event, WebhookEndpoint
from webhooks.outbox import hint, write_event
from webhooks.services.endpoints import endpoints_of, find_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet


def events_of(
    scope: Scope,
    *,
    type: str | None = None,  # noqa: A002  # reads as what it is
    customer_id: UUID | None = None,
) -> ScopedQuerySet[Event]:
    """Return the app's events, of one type or about one customer where asked."""
    rows = Event.objects.within(scope)
    if type is not None:
        rows = rows.filter(type=type)
    if customer_id is not None:
        rows = rows.filter(subject_id=customer_id)
    return rows


def deliveries_of(scope: Scope, endpoint_id: str | UUID, *, status: str | None = None) -> ScopedQuerySet[Delivery]:
    """Return what was or will be sent to an endpoint, of one status where asked."""
    endpoint = find_endpoint(scope, endpoint_id)
    rows = Delivery.objects.within(scope).filter(endpoint_id=endpoint.pk)
    return rows if status is None else rows.filter(status=status)


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
            due_at=moment,
            created_at=moment,
        )
        for endpoint in endpoints
    )


def send_test_event(scope: Scope, endpoint_id: str | UUID) -> Delivery:
    """Send one `webhook.test` to this endpoint alone, whatever types it asked for."""
    require_change()
    endpoint = find_endpoint(scope, endpoint_id)
    if not endpoint.receiving:
        raise EndpointDisabled
    event = write_event(scope, TEST_TYPE, {"endpointId": endpoint.public_id, "message": "It works."})
    event.fanned_out_at = wall_clock()
    event.save(update_fields=["fanned_out_at"])
    [delivery] = deliver(event, [endpoint])
    audit(scope, "webhook_endpoint.tested", endpoint.public_id)
    hint()
    return delivery


def redeliver_event(scope: Scope, event_id: str | UUID, *, endpoint_id: UUID | None = None) -> list[Delivery]:
    """Send an event again, under its own id, to one endpoint or to all that take its type.

    A receiver that keeps `webhook-id` sees that it is a repeat. Raises `EventErased`,
    `EndpointDisabled` and `NobodyListens`.
    """
    require_change()
    event = Event.objects.within(scope).fetch(event_id)
    if event.body is None:
        raise EventErased
    if endpoint_id is not None:
        chosen = [find_endpoint(scope, endpoint_id)]
        if not chosen[0].receiving:
            raise EndpointDisabled
    else:
        chosen = [e for e in endpoints_of(scope) if e.takes(event.type)]
    if not chosen:
        raise NobodyListens
    deliveries = deliver(event, chosen)
    audit(scope, "event.redelivered", event.public_id, subject_id=event.subject_id)
    hint()
    return deliveries
