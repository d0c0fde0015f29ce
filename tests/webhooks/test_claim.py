"""The queue: what one claim takes, and who may write down what came of it."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection, transaction

from accounts.models import App
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading
from tests.cast import Company, found_company
from webhooks.dispatch.fanout import fan_out_all
from webhooks.dispatch.opening import open_claims
from webhooks.dispatch.queue import Claimed, Parcel, Room, claim
from webhooks.dispatch.record import Sent, record, release
from webhooks.models import Attempt, Delivery, Event
from webhooks.outbox import emit
from webhooks.sending import Answer, SendError
from webhooks.services.endpoints import create_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

ROOM = Room(places=100, per_endpoint=16, per_tenant=64)
URL = "https://hooks.example.com/in"
OK = Answer(status=200, error=SendError.NONE, duration_ms=12, excerpt="ok")
DOWN = Answer(status=500, error=SendError.BAD_STATUS, duration_ms=12)


def listen(company: Company, endpoints: int = 1) -> list[UUID]:
    """Give a company some endpoints; return their ids."""
    with change(company.scope):
        return [create_endpoint(company.scope, url=URL).pk for _ in range(endpoints)]


def announce(company: Company, count: int = 1) -> None:
    """Emit some events and queue their deliveries."""
    with change(company.scope):
        for _ in range(count):
            emit(company.scope, "customer.created", {})
    fan_out_all()


def delivery_of(company: Company) -> Delivery:
    with reading(company.scope):
        return Delivery.objects.within(company.scope).get()


def sent(claimed: Claimed, answer: Answer = OK) -> Sent:
    [parcel] = open_claims([claimed])
    assert isinstance(parcel, Parcel)
    return Sent(parcel, answer, wall_clock())


def test_fan_out_happens_once(as_worker: None, acme: Company) -> None:
    listen(acme, 3)

    announce(acme, 2)

    assert fan_out_all() == 0
    with reading(acme.scope):
        assert Delivery.objects.within(acme.scope).count() == 6
        assert not Event.objects.within(acme.scope).filter(fanned_out_at=None).exists()


def test_a_claim_is_not_claimed_again_before_its_lease_ends(as_worker: None, acme: Company) -> None:
    listen(acme)
    announce(acme)

    [first] = claim(ROOM, {}, {}, lease=timedelta(seconds=60))

    assert claim(ROOM, {}, {}) == []
    assert delivery_of(acme).lease == first.lease


def test_every_lane_is_served_however_much_waits_in_another(as_worker: None, acme: Company, globex: Company) -> None:
    [crowded] = listen(acme)
    [quiet] = listen(globex)
    announce(acme, 200)
    announce(globex)

    taken = Counter(c.endpoint_id for c in claim(ROOM, {}, {}))

    assert taken == {crowded: 16, quiet: 1}


def test_what_is_under_way_counts_against_the_room(as_worker: None, acme: Company) -> None:
    [endpoint] = listen(acme)
    announce(acme, 30)

    assert claim(ROOM, {endpoint: 16}, {acme.tenant_id: 16}) == []
    assert len(claim(ROOM, {endpoint: 13}, {acme.tenant_id: 13})) == 3


def test_one_tenant_takes_no_more_than_its_share(as_worker: None, acme: Company, globex: Company) -> None:
    listen(acme, 10)
    listen(globex)
    announce(acme, 30)
    announce(globex)

    taken = Counter(c.tenant_id for c in claim(Room(500, 16, 64), {}, {}))

    assert taken == {acme.tenant_id: 64, globex.tenant_id: 1}


def test_a_full_dispatcher_takes_from_random_lanes(as_worker: None, acme: Company) -> None:
    listen(acme, 12)
    announce(acme, 1)

    seen: set[UUID] = set()
    for _ in range(12):
        claims = claim(Room(1, 16, 64), {}, {})
        seen |= {c.endpoint_id for c in claims}
        release(claims)

    assert len(seen) > 2


def test_a_lease_that_passed_on_leaves_no_trace_of_its_first_holder(as_worker: None, acme: Company) -> None:
    listen(acme)
    announce(acme)
    [late] = claim(ROOM, {}, {}, lease=timedelta(seconds=-1))
    [now] = claim(ROOM, {}, {})

    record([sent(late, DOWN)])
    assert delivery_of(acme).attempts == 0
    record([sent(now)])
    record([sent(now)])

    delivery = delivery_of(acme)
    assert (delivery.status, delivery.attempts) == ("delivered", 1)
    with reading(acme.scope):
        assert Attempt.objects.within(acme.scope).count() == 1


def test_releasing_makes_it_due_at_once(as_worker: None, acme: Company) -> None:
    listen(acme)
    announce(acme)

    release(claim(ROOM, {}, {}))

    assert len(claim(ROOM, {}, {})) == 1


def test_an_answer_about_a_person_erased_meanwhile_is_not_kept(as_worker: None, acme: Company) -> None:
    person = acme.app_id
    listen(acme)
    with change(acme.scope):
        emit(acme.scope, "customer.updated", {"name": "Ada"}, subject=person)
    fan_out_all()
    under_way = sent(claim(ROOM, {}, {})[0])
    with change(acme.scope) as unit:
        unit.keys.destroy_subject(person)

    record([under_way])

    with reading(acme.scope):
        attempt = Attempt.objects.within(acme.scope).get()
        assert attempt.answer is None
    assert delivery_of(acme).status == "delivered"


def test_the_worker_sees_queues_of_all_tenants_but_no_endpoint(as_worker: None, acme: Company, globex: Company) -> None:
    listen(acme)
    listen(globex)
    announce(acme)
    announce(globex)

    with connection.cursor() as cursor:
        counts = []
        for table in ("delivery", "event", "webhookendpoint", "attempt"):
            cursor.execute(f"select count(*) from webhooks_{table}")
            counts.append(cursor.fetchone()[0])

    assert counts == [2, 2, 0, 0]


def test_two_claims_at_once_share_nothing_and_wait_for_nothing(committed: None) -> None:
    acme = found_company("Acme")
    listen(acme)
    with change(acme.scope):
        for _ in range(20):
            emit(acme.scope, "customer.created", {})
    in_thread(fan_out_all)
    claimed, done = threading.Event(), threading.Event()
    found: list[list[Claimed]] = []

    def hold() -> None:
        with transaction.atomic():
            found.append(claim(ROOM, {}, {}))
            claimed.set()
            done.wait(10)

    holder = threading.Thread(target=as_worker_of_its_own, args=(hold,))
    holder.start()
    try:
        assert claimed.wait(10)
        in_thread(lambda: found.append(claim(ROOM, {}, {})))
    finally:
        done.set()
        holder.join()

    first, second = ({c.id for c in claims} for claims in found)
    assert len(first) == 16
    assert len(second) == 4
    assert not first & second


def as_worker_of_its_own(work: Callable[[], object]) -> None:
    """Run on this thread's own connection with the worker's rights; do not wait for locks."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("set role stackbe_worker")
            cursor.execute("set lock_timeout = '2s'")
        work()
    finally:
        connection.close()


def in_thread(work: Callable[[], object]) -> None:
    """Run on another connection, and wait for it."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            as_worker_of_its_own(work)
        except BaseException as failure:  # noqa: BLE001  # raised again below
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("gone", ["endpoint", "event", "a rival's endpoint", "a rival's event"])
def test_what_has_lost_its_endpoint_or_event_is_not_sent(
    as_worker: None, acme: Company, globex: Company, gone: str
) -> None:
    [endpoint_of_rival] = listen(globex)
    announce(globex)
    [of_rival] = claim(ROOM, {}, {})
    listen(acme)
    announce(acme)
    [ours] = claim(ROOM, {}, {})
    lost = {
        "endpoint": {"endpoint_id": acme.app_id},
        "event": {"event_id": acme.app_id},
        "a rival's endpoint": {"endpoint_id": endpoint_of_rival},
        "a rival's event": {"event_id": of_rival.event_id},
    }[gone]
    spoilt = Claimed(**{name: getattr(ours, name) for name in Claimed.__slots__} | lost)

    [refused] = open_claims([spoilt])
    assert not isinstance(refused, Parcel)
    record([refused])

    assert delivery_of(acme).status == "canceled"
    assert delivery_of(acme).error in {"ENDPOINT_DELETED", "EVENT_EXPIRED"}


@pytest.mark.parametrize("field", ["archived_at", "suspended_at"])
def test_a_closed_apps_hooks_are_dead_with_it(as_worker: None, acme: Company, field: str) -> None:
    listen(acme)
    announce(acme)
    with change(acme.scope):
        App.objects.within(acme.scope).filter(pk=acme.app_id).update(**{field: wall_clock()})

    [refused] = open_claims(claim(ROOM, {}, {}))

    assert not isinstance(refused, Parcel)
    assert refused.reason == "APP_CLOSED"
