"""An endpoint that asks for order gets one event after the other, in the order in which they happened."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from stackbe.kernel.transactions import change
from tests.webhooks.conftest import Desk, dispatching
from tests.webhooks.receiver import Call, Receiver, Reply
from tests.webhooks.test_claim import ROOM, announce, delivery_of, sent
from tests.webhooks.test_deliver import until
from webhooks.dispatch.fanout import fan_out
from webhooks.dispatch.queue import claim
from webhooks.dispatch.record import record
from webhooks.models import Delivery
from webhooks.sending import Answer, SendError
from webhooks.services.endpoints import create_endpoint

if TYPE_CHECKING:
    from tests.cast import Api, Company

URL = "https://hooks.example.com/in"
DOWN = Answer(status=500, error=SendError.BAD_STATUS, duration_ms=12)


def listen_in_order(company: Company) -> None:
    with change(company.scope):
        create_endpoint(company.scope, url=URL, ordered=True)


def test_only_the_first_that_waits_is_taken_and_nothing_while_it_is_on_its_way(as_worker: None, acme: Company) -> None:
    listen_in_order(acme)
    announce(acme, 3)

    [first] = claim(ROOM, {}, {})
    assert claim(ROOM, {}, {}) == []
    record([sent(first)])
    [second] = claim(ROOM, {}, {})

    assert second.event_id > first.event_id


def test_one_that_waits_for_its_retry_holds_up_what_comes_after_it(as_worker: None, acme: Company) -> None:
    listen_in_order(acme)
    announce(acme, 2)
    [first] = claim(ROOM, {}, {})

    record([sent(first, DOWN)])

    assert claim(ROOM, {}, {}) == []


def test_one_that_is_given_up_lets_the_next_go(as_worker: None, acme: Company) -> None:
    listen_in_order(acme)
    announce(acme, 1)
    with change(acme.scope):
        Delivery.objects.within(acme.scope).update(status="failed", attempts=10)
    announce(acme, 1)

    assert len(claim(ROOM, {}, {})) == 1


def test_endpoints_that_do_not_ask_are_not_held_up_by_one_that_does(as_worker: None, acme: Company) -> None:
    listen_in_order(acme)
    with change(acme.scope):
        create_endpoint(acme.scope, url=URL)
    announce(acme, 5)

    assert len(claim(ROOM, {}, {})) == 6


def test_ordered_is_shown_and_changed_and_counts_for_what_comes(acme: Company, acme_api: Api) -> None:
    made = acme_api.post("/webhook-endpoints", {"url": URL}).json()
    path = f"/webhook-endpoints/{made['id']}"
    assert made["ordered"] is False
    assert acme_api.patch(path, {"ordered": True}).json()["ordered"] is True

    acme_api.post("/customers", {"email": "ada@example.com"})
    fan_out(acme.scope)

    assert delivery_of(acme).ordered is True


@pytest.mark.parametrize("dispatchers", [2])
def test_order_holds_through_failures_and_with_dispatchers_side_by_side(
    acme_committed: Company, dispatchers: int
) -> None:
    desk, lock, seen = Desk(acme_committed), threading.Lock(), set[str]()

    def fail_each_third_once(call: Call) -> Reply:
        with lock:
            is_new = call.id not in seen
            seen.add(call.id)
            return Reply(503) if is_new and len(seen) % 3 == 0 else Reply()

    with Receiver(fail_each_third_once) as receiver:
        with change(desk.scope):
            create_endpoint(desk.scope, url=receiver.url, ordered=True)
        with dispatching(), dispatching():
            for _ in range(6):
                desk.emit(2)

            def all_arrived() -> bool:
                desk.make_due()
                return len(desk.deliveries(status="delivered")) == 12

            until(all_arrived)

    ids = [call.id for call in receiver.calls]
    assert len(ids) == 16
    assert ids == sorted(ids)
