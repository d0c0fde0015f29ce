"""Finding what never arrived: Stripe's own list of events since the last look, and a look at what is still running.

Both end in the same work as the inbox's, so a repair leaves the same trace as the event would have.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from prometheus_client import Counter

from billing.errors import IllegalTransition, UnknownStripeReference
from billing.facts import StripeSubscriptionFacts
from billing.models import StripeConnection, StripeEvent, SubscriptionTransition
from billing.services.subscriptions import step_to
from billing.stripe.gateway import ConnectedAccount, Json
from billing.stripe.inbox import Told, claim_event, kind_of
from billing.stripe.queue import defer_sync
from billing.stripe.running import SWEEP, running_on
from billing.stripe.sync import complete_subscription, sync_until_done
from billing.stripe.translate import is_ours, moment, subscription_facts
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

log = logging.getLogger("stackbe.stripe")
MOST_EVENTS = 1000
FIRST_LOOK = 100
# Mostly there is nothing new, and an event comes with the whole object that it tells of.
FIRST_PAGE = 10
MOST_SUBSCRIPTIONS = 1_000_000
STALE = timedelta(minutes=10)
REPAIRS = Counter("stackbe_stripe_repairs_total", "Events that never arrived or were never worked off, and were found.")


@dataclass(frozen=True, slots=True)
class Found:
    """What one look brought to light."""

    missed: int
    stuck: int


def look_for_missed(scope: Scope, account_id: str, *, expected: bool = False) -> Found:
    """Queue the events that Stripe has and we do not, and those that we have and never worked off.

    Where they are `expected`, since somebody has just moved a clock, having to look for them is no repair.

    The cursor moves to the newest event once all are queued; a look that breaks off is repeated whole,
    which is harmless. Raises as the gateway does.
    """
    with reading(scope):
        connection = _live(scope, account_id)
        cursor = connection.events_cursor if connection else ""
    if connection is None:
        return Found(0, 0)
    listed = _since(ConnectedAccount(account_id), cursor)
    missed = sum(claim_event(scope, told, recovered=not expected) for told in _unknown(scope, account_id, listed))
    stuck = _queue_stuck(scope, account_id)
    with change(scope):
        rows = StripeConnection.objects.within(scope).filter(pk=connection.pk)
        if listed:
            rows.update(events_cursor=listed[0]["id"])
        if not missed and not stuck:
            rows.update(in_step_at=wall_clock())
    repaired = stuck + (0 if expected else missed)
    if repaired:
        REPAIRS.inc(repaired)
        log.warning("stripe events made up for", extra={"missed": missed, "stuck": stuck})
    return Found(missed, stuck)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A subscription on which the two sides disagree. `subject` is our id, empty where we have no row."""

    stripe_id: str
    subject: str
    what: str

    @property
    def sentence(self) -> str:
        """Return it in words."""
        return f"{self.subject or 'unknown here'} ({self.stripe_id}): {self.what}"


def compare(scope: Scope, account_id: str) -> list[Mismatch]:
    """Return where our subscriptions and Stripe's differ, live ones of either side. Nothing is changed.

    Raises as the gateway does.
    """
    account = ConnectedAccount(account_id)
    with reading(scope):
        running = {row.stripe_subscription_id: row.public_id for row in running_on(scope, account_id)}
    found, seen = [], set()
    for body in account.list("subscription", most=MOST_SUBSCRIPTIONS):
        if body["id"] not in running and not is_ours(scope, body):
            continue
        seen.add(body["id"])
        began = wall_clock()
        facts = subscription_facts(account_id, complete_subscription(account, body), began)
        with reading(scope):
            what = _difference(scope, facts)
        if what:
            found.append(Mismatch(body["id"], running.get(body["id"], ""), what))
    gone = [stripe_id for stripe_id in running if stripe_id not in seen]
    return [*found, *(Mismatch(each, running[each], "runs here and has ended at Stripe") for each in gone)]


def repair_mismatch(scope: Scope, account_id: str, mismatch: Mismatch) -> None:
    """Make our side follow Stripe's, where it can. The history names the sweep as its cause."""
    with suppress(UnknownStripeReference):
        sync_until_done(scope, account_id, "subscription", mismatch.stripe_id, cause=SWEEP)


def sweep_subscriptions(scope: Scope, account_id: str) -> int:
    """Compare every live subscription and repair what differs; return how many did."""
    mismatches = compare(scope, account_id)
    for each in mismatches:
        log.warning("subscription was out of step", extra={"stripe_id": each.stripe_id, "what": each.what})
        repair_mismatch(scope, account_id, each)
    REPAIRS.inc(len(mismatches))
    with change(scope):
        rows = StripeConnection.objects.within(scope).filter(account_id=account_id)
        rows.filter(status=StripeConnection.Status.CONNECTED).update(in_step_at=wall_clock())
    return len(mismatches)


def repairs_since(scope: Scope, moment: datetime) -> int:
    """Return how much had to be made up for since a moment: events looked for, subscriptions put right."""
    events = StripeEvent.objects.within(scope).filter(recovered=True, received_at__gte=moment).count()
    steps = SubscriptionTransition.objects.within(scope).filter(cause=SWEEP, occurred_at__gte=moment)
    return events + steps.count()


@dataclass(frozen=True, slots=True)
class Repair:
    """Something that was put right: an event that had to be looked for, or a step that the sweep took."""

    at: datetime
    what: str
    about: str
    subscription: str


def latest_repairs(scope: Scope, most: int) -> list[Repair]:
    """Return what was put right last, newest first. Runs inside reading() or change()."""
    events = StripeEvent.objects.within(scope).filter(recovered=True).order_by("-pk")[:most]
    steps = SubscriptionTransition.objects.within(scope).filter(cause=SWEEP).select_related("subscription")
    found = [Repair(row.received_at, f"{row.type} had not been worked off", row.object_id, "") for row in events]
    found += [
        Repair(row.occurred_at, f"the nightly look took the step {row.name}", "", row.subscription.public_id)
        for row in steps.order_by("-pk")[:most]
    ]
    return sorted(found, key=lambda repair: repair.at, reverse=True)[:most]


def _difference(scope: Scope, facts: StripeSubscriptionFacts) -> str:
    try:
        row, step = step_to(scope, facts)
    except UnknownStripeReference:
        return "is at Stripe and belongs to nobody known here"
    except IllegalTransition:
        return f"has ended here and is {facts.status} at Stripe"
    if row is None:
        return "is at Stripe and not known here"
    changed = step.changed if step else {}
    return ", ".join(f"{name} is {was} here and {now} at Stripe" for name, (was, now) in sorted(changed.items()))


def _live(scope: Scope, account_id: str) -> StripeConnection | None:
    rows = StripeConnection.objects.within(scope).filter(account_id=account_id)
    return rows.filter(status=StripeConnection.Status.CONNECTED).first()


def _since(account: ConnectedAccount, cursor: str) -> list[Json]:
    """Return the events since the cursor, newest first."""
    listed: list[Json] = []
    most, first = (MOST_EVENTS, FIRST_PAGE) if cursor else (FIRST_LOOK, FIRST_LOOK)
    for event in account.list("event", most=most, first=first):
        if event["id"] == cursor:
            break
        listed.append(event)
    return listed


def _unknown(scope: Scope, account_id: str, listed: list[Json]) -> list[Told]:
    """Return those of the events that we have not heard of: mostly all of them have come, and none need be claimed."""
    told = _relevant(account_id, listed)
    if not told:
        return []
    with reading(scope):
        rows = StripeEvent.objects.within(scope).filter(account_id=account_id, event_id__in=[each.id for each in told])
        known = set(rows.values_list("event_id", flat=True))
    return [each for each in told if each.id not in known]


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
        rows.filter(pk__in=[event.pk for event in stuck]).update(recovered=True)
        for event in stuck:
            kind = kind_of(event.type)
            if kind is not None:
                cause = f"stripe:{event.event_id}"
                defer_sync(scope, account_id, kind, event.object_id, cause=cause, unless_done=True)
    return len(stuck)
