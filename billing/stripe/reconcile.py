"""Finding what never arrived: Stripe's own list of events since the last look, and a look at what is still running.

Both only queue the same work as the inbox does, so a repair leaves the same trace as the event would have.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from prometheus_client import Counter

from billing.models import StripeConnection, StripeEvent, Subscription
from billing.stripe.gateway import ConnectedAccount, Json
from billing.stripe.inbox import Told, claim_event, kind_of
from billing.stripe.queue import defer_sync
from billing.stripe.translate import moment
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading, require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

log = logging.getLogger("stackbe.stripe")
MOST_EVENTS = 1000
FIRST_LOOK = 100
STALE = timedelta(minutes=10)
REPAIRS = Counter("stackbe_stripe_repairs_total", "Events that never arrived or were never worked off, and were found.")


@dataclass(frozen=True, slots=True)
class Found:
    """What one look brought to light."""

    missed: int
    stuck: int


def look_for_missed(scope: Scope, account_id: str) -> Found:
    """Queue the events that Stripe has and we do not, and those that we have and never worked off.

    The cursor moves to the newest event once all are queued; a look that breaks off is repeated whole,
    which is harmless. Raises as the gateway does.
    """
    with reading(scope):
        connection = _live(scope, account_id)
        cursor = connection.events_cursor if connection else ""
    if connection is None:
        return Found(0, 0)
    listed = _since(ConnectedAccount(account_id), cursor)
    missed = sum(claim_event(scope, told) for told in _relevant(account_id, listed))
    stuck = _queue_stuck(scope, account_id)
    with change(scope):
        rows = StripeConnection.objects.within(scope).filter(pk=connection.pk)
        if listed:
            rows.update(events_cursor=listed[0]["id"])
        if not missed and not stuck:
            rows.update(in_step_at=wall_clock())
    if missed or stuck:
        REPAIRS.inc(missed + stuck)
        log.warning("stripe events made up for", extra={"missed": missed, "stuck": stuck})
    return Found(missed, stuck)


def sweep_subscriptions(scope: Scope, account_id: str) -> int:
    """Queue a fresh look at every subscription that is not over; return how many."""
    with change(scope):
        return queue_running(scope, account_id)


def queue_running(scope: Scope, account_id: str) -> int:
    """Queue the same in the open change."""
    require_change()
    rows = Subscription.objects.within(scope).filter(stripe_account=account_id)
    running = rows.exclude(status=Subscription.Status.CANCELED).exclude(stripe_subscription_id="")
    found = list(running.values_list("stripe_subscription_id", flat=True))
    for stripe_id in found:
        defer_sync(scope, account_id, "subscription", stripe_id, cause="system:sweep")
    return len(found)


def _live(scope: Scope, account_id: str) -> StripeConnection | None:
    rows = StripeConnection.objects.within(scope).filter(account_id=account_id)
    return rows.filter(status=StripeConnection.Status.CONNECTED).first()


def _since(account: ConnectedAccount, cursor: str) -> list[Json]:
    """Return the events since the cursor, newest first."""
    listed: list[Json] = []
    for event in account.list("event", most=MOST_EVENTS if cursor else FIRST_LOOK):
        if event["id"] == cursor:
            break
        listed.append(event)
    return listed


def _relevant(account_id: str, listed: list[Json]) -> list[Told]:
    """Return the events that the inbox would have taken, oldest first."""
    told = []
    for event in reversed(listed):
        object_id = str(event["data"]["object"].get("id") or "")
        created = moment(event["created"])
        if kind_of(event["type"]) is None or not object_id or created is None:
            continue
        told.append(Told(event["id"], event["type"], account_id, created, bool(event["livemode"]), object_id))
    return told


def _queue_stuck(scope: Scope, account_id: str) -> int:
    """Queue again the events that have waited for longer than any retry should take to begin."""
    with change(scope):
        rows = StripeEvent.objects.within(scope).filter(
            account_id=account_id, state=StripeEvent.State.RECEIVED, received_at__lt=wall_clock() - STALE
        )
        stuck = list(rows.order_by("pk")[:MOST_EVENTS])
        for event in stuck:
            kind = kind_of(event.type)
            if kind is not None:
                defer_sync(scope, account_id, kind, event.object_id, cause=f"stripe:{event.event_id}")
    return len(stuck)
