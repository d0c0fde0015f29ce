"""Many at once, on connections of their own: limits hold and nothing is lost."""

from __future__ import annotations

from collections import Counter as Tally
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.transactions import change, reading
from tests.cast import Api, found_company
from tests.usage.stage import add_metric, make_subscriber, yesterdays_end
from tests.usage.waiting import begun, until_waiting
from usage.models import Counter

AT_ONCE = 6


@pytest.fixture
def ada(committed):
    return make_subscriber(found_company("Acme"))


def together(*calls):
    """Run the calls at the same moment and return what they answered."""
    start = Barrier(len(calls))

    def run(call):
        try:
            start.wait(timeout=20)
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def tracker(ada, *events, path="/usage/track"):
    """Return a call that tracks events one after the other and returns the statuses."""

    def call():
        api = Api(ada.company.key)
        return [api.post(path, event).status_code for event in events]

    return call


def counted(ada):
    with reading(ada.company.scope):
        return sum(Counter.objects.within(ada.company.scope).values_list("used", flat=True))


def test_racers_never_pass_a_hard_limit_and_use_all_of_it(ada):
    answers = together(*[tracker(ada, *[ada.event()] * 4)] * AT_ONCE)

    assert Tally(status for each in answers for status in each) == {200: 10, 409: 4 * AT_ONCE - 10}
    assert counted(ada) == 10


def test_a_credit_that_is_granted_while_two_count_lets_neither_wait_for_the_other(ada):
    scope, api = ada.company.scope, Api(ada.company.key)
    statuses = []

    def grant(priority):
        body = {"metric": "api_calls", "quantity": 5, "reason": "x", "priority": priority}
        return api.post(f"/customers/{ada.id}/credits", body).status_code

    def track():
        statuses.extend(tracker(ada, ada.event())())

    assert tracker(ada, ada.event(quantity=10))() == [200]
    assert grant(50) == 201
    with change(scope):
        Counter.objects.within(scope).locked().get()
        # The first has the credit in hand and waits for the counter, the second waits for the credit.
        first = begun(track)
        until_waiting(1, first)
        assert together(lambda: grant(1)) == [201]
        second = begun(track)
        until_waiting(2, first, second)
    first.join()
    second.join()

    assert statuses == [200, 200]
    left = {row["priority"]: row["remaining"] for row in api.get(f"/customers/{ada.id}/credits").json()["ledger"]}
    assert left == {1: 4, 50: 4}


def test_racers_lose_nothing_by_whatever_way_they_come(ada):
    ada.change_access(limits={})
    dated = ada.event(quantity=2, timestamp=render(wall_clock()))
    batch = {"events": [ada.event(), ada.event("exports"), ada.event()]}

    answers = together(
        *[tracker(ada, *[ada.event()] * 5)] * 2,
        *[tracker(ada, *[dated] * 5)] * 2,
        *[tracker(ada, *[batch] * 5, path="/usage/track/batch")] * 2,
    )

    assert {status for each in answers for status in each} == {200}
    assert counted(ada) == 2 * 5 + 2 * 10 + 2 * 15


def test_a_key_counts_once_whoever_comes_first(ada):
    keyed = [ada.event(idempotencyKey=f"k{n}") for n in range(4)]

    answers = together(*[tracker(ada, *keyed)] * AT_ONCE)

    assert {status for each in answers for status in each} == {200}
    assert counted(ada) == 4


def test_a_key_counts_once_on_both_sides_of_a_periods_end(ada):
    add_metric(ada.company, name="daily", resets="day")
    yesterday = render(yesterdays_end())
    keys = [f"k{n}" for n in range(8)]
    before = [ada.event("daily", idempotencyKey=key, timestamp=yesterday) for key in keys]
    after = [ada.event("daily", idempotencyKey=key, timestamp=render(wall_clock())) for key in keys]

    answers = together(*[tracker(ada, *before), tracker(ada, *after)] * (AT_ONCE // 2))

    assert {status for each in answers for status in each} == {200}
    assert counted(ada) == len(keys)


def test_batches_in_opposite_orders_never_wait_in_a_ring(ada):
    add_metric(ada.company, name="daily", resets="day")
    ada.change_access(limits={})
    today, yesterday = (ada.event("daily", timestamp=render(at)) for at in (wall_clock(), yesterdays_end()))
    keyed = [ada.event("exports", idempotencyKey=f"k{n}") for n in range(AT_ONCE)]
    forth = [{"events": [today, key, yesterday, ada.event()]} for key in keyed]
    back = [{"events": [ada.event(), yesterday, today, key]} for key in keyed]
    singles = [ada.event("daily", idempotencyKey=f"s{n}") for n in range(AT_ONCE)]

    answers = together(
        *[tracker(ada, *forth, path="/usage/track/batch")] * 2,
        *[tracker(ada, *back, path="/usage/track/batch")] * 2,
        tracker(ada, *singles),
    )

    assert {status for each in answers for status in each} == {200}
    assert counted(ada) == 4 * AT_ONCE * 3 + AT_ONCE + len(singles)
