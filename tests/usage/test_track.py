"""POST /v1/usage/track"""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.models import App
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.transactions import change
from tests.cast import Api
from tests.refusals import CARD, assert_needs_credential, assert_needs_scope, assert_refuses_each, never
from tests.usage.stage import add_metric, grant_default, make_customer, make_subscriber, yesterdays_end
from usage.models import Counter
from usage.services.track import run_track
from usage.tasks import announce

HOUR = timedelta(hours=1)
WAYS = pytest.mark.parametrize("way", [{}, {"Accept": "application/json, text/plain"}], ids=["quick", "ordinary"])


def track(api, event, **headers):
    return api.post("/usage/track", event, **headers)


def used(api, customer, metric="api_calls"):
    figures = api.get(f"/usage?customerId={customer.id}").json()["metrics"]
    return next(f["currentUsage"] for f in figures if f["metric"] == metric)


@WAYS
def test_a_call_is_counted_and_the_figures_come_back(acme_api, ada, way):
    response = track(acme_api, ada.event(quantity=3), **way)

    assert response.status_code == 200, response.content
    body = response.json()
    assert (body["success"], body["allowed"], body["currentUsage"], body["remaining"]) == (True, True, 3, 7)
    assert (body["metric"], body["limit"], body["resetsAt"]) == ("api_calls", 10, body["billingPeriod"]["end"])
    assert response["X-RateLimit-Limit"] == "60000"


@WAYS
def test_over_a_hard_limit_nothing_is_counted(acme_api, ada, way):
    track(acme_api, ada.event(quantity=9))

    response = track(acme_api, ada.event(quantity=2), **way)

    assert (response.status_code, response.json()["code"]) == (409, "USAGE_LIMIT_EXCEEDED")
    assert response.json()["usage"]["currentUsage"] == 9
    assert used(acme_api, ada) == 9
    assert track(acme_api, ada.event(), **way).json()["remaining"] == 0


@WAYS
def test_a_soft_limit_is_passed(acme_api, ada, way):
    body = track(acme_api, ada.event("exports", quantity=8), **way).json()

    assert (body["allowed"], body["currentUsage"], body["remaining"], body["resetsAt"]) == (True, 8, 0, None)


def test_an_idempotency_key_counts_once_per_customer_and_metric(acme, acme_api, ada):
    bob = make_customer(acme, "bob@example.com")
    grant_default(acme)
    for _ in range(3):
        assert track(acme_api, ada.event(quantity=2, idempotencyKey="k1")).json()["currentUsage"] == 2

    assert track(acme_api, bob.event(quantity=2, idempotencyKey="k1")).json()["currentUsage"] == 2
    assert track(acme_api, ada.event("exports", idempotencyKey="k1")).json()["currentUsage"] == 1


def test_a_key_is_the_same_by_either_way(acme_api, ada):
    track(acme_api, ada.event(idempotencyKey="k1"))
    track(acme_api, ada.event(idempotencyKey="k1", timestamp=render(wall_clock())))
    assert used(acme_api, ada) == 1

    for spaced in (" k1", "k1 "):  # each is a key of its own, and nothing else is one
        track(acme_api, ada.event(idempotencyKey=spaced))
        track(acme_api, ada.event(idempotencyKey=spaced, timestamp=render(wall_clock())))
    assert used(acme_api, ada) == 3
    assert track(acme_api, ada.event(idempotencyKey=" ")).status_code == 400


def test_an_explicit_null_key_is_refused_by_either_way(acme_api, ada):
    for more in ({}, {"timestamp": render(wall_clock())}):
        response = track(acme_api, ada.event(idempotencyKey=None, **more))
        assert list(response.json()["fields"]) == ["idempotencyKey"]


def test_a_key_counts_once_though_the_plan_and_with_it_the_period_changed(acme_api, ada, acme):
    add_metric(acme, name="calls", resets="billing_period")
    moment = wall_clock()
    year = {"period_start": moment - timedelta(days=300), "period_end": moment + timedelta(days=65)}
    week = {"period_start": moment - timedelta(hours=1), "period_end": moment + timedelta(days=7)}
    ada.change_access(limits={}, **year)
    track(acme_api, ada.event("calls", idempotencyKey="k1"))
    ada.change_access(**week)

    again = track(acme_api, ada.event("calls", idempotencyKey="k1"))
    fresh = track(acme_api, ada.event("calls", idempotencyKey="k2"))

    assert [again.json()["currentUsage"], fresh.json()["currentUsage"]] == [0, 1]


def test_a_key_from_two_periods_ago_counts_anew(acme, ada):
    add_metric(acme, name="daily", resets="day")
    counted = []
    for days, key in ((0, b"old"), (1, b"other"), (1, b"old"), (2, b"old")):
        moment = wall_clock() + timedelta(days=days)
        with change(acme.scope):
            owner = {"tenant_id": acme.tenant_id, "app_id": acme.app_id, "customer_id": ada.uuid}
            event = {"metric": "daily", "quantity": 1, "value": None, "key": key, "at": moment, "moment": moment}
            counted.append(run_track(**owner, **event).outcome)

    assert counted == ["counted", "counted", "replayed", "counted"]


def test_the_last_value_is_that_of_the_latest_event(acme_api, ada, acme):
    add_metric(acme, name="level", aggregation="last", resets="never")
    moment = wall_clock()
    for value, minutes in ((5, 30), (7, 10), (3, 20), (7, 25)):
        at = render(moment - timedelta(minutes=minutes))
        reply = track(acme_api, ada.event("level", quantity=value, timestamp=at))

    assert reply.json()["currentUsage"] == 7
    assert track(acme_api, ada.event("level", quantity=2)).json()["currentUsage"] == 2


def test_a_refused_call_leaves_its_key_free(acme_api, ada):
    assert track(acme_api, ada.event(quantity=11, idempotencyKey="k")).status_code == 409
    ada.change_access(limits={"api_calls": {"included": 20, "mode": "hard"}})

    assert track(acme_api, ada.event(quantity=11, idempotencyKey="k")).json()["currentUsage"] == 11


def test_a_key_counts_once_across_a_periods_end(acme, acme_api, ada):
    add_metric(acme, name="daily", resets="day")
    yesterday = render(yesterdays_end())
    track(acme_api, ada.event("daily", idempotencyKey="first", timestamp=yesterday))
    track(acme_api, ada.event("daily", idempotencyKey="second"))

    track(acme_api, ada.event("daily", idempotencyKey="first"))
    track(acme_api, ada.event("daily", idempotencyKey="second", timestamp=yesterday))

    with change(acme.scope):
        assert [c.used for c in Counter.objects.within(acme.scope).order_by("period_start")] == [1, 1]


@WAYS
@pytest.mark.parametrize(("aggregation", "counts"), [("sum", 9), ("max", 5), ("last", 4)])
def test_each_aggregation_counts_its_own_way(acme, acme_api, ada, way, aggregation, counts):
    add_metric(acme, name="figure", aggregation=aggregation)

    for quantity in (5, 0, 4):
        body = track(acme_api, ada.event("figure", quantity=quantity), **way).json()

    assert body["currentUsage"] == counts


def test_a_unique_metric_counts_distinct_values(acme, acme_api, ada):
    add_metric(acme, name="seats", aggregation="unique")

    for value in ("ada", "bob", "ada"):
        body = track(acme_api, ada.event("seats", value=value)).json()

    assert body["currentUsage"] == 2


@WAYS
def test_a_unique_metric_wants_a_value_and_no_other_takes_one(acme, acme_api, ada, way):
    add_metric(acme, name="seats", aggregation="unique")

    for event in (ada.event("seats"), ada.event("api_calls", value="x")):
        response = track(acme_api, event, **way)
        assert (response.status_code, list(response.json()["fields"])) == (400, ["value"])


@WAYS
def test_a_count_stays_within_what_json_can_hold(acme, acme_api, ada, way):
    ada.change_access(limits={})
    track(acme_api, ada.event(quantity=10**12))
    with change(acme.scope):
        Counter.objects.within(acme.scope).update(used=2**53 - 10)

    response = track(acme_api, ada.event(quantity=100), **way)

    assert (response.status_code, list(response.json()["fields"])) == (400, ["quantity"])
    assert used(acme_api, ada) == 2**53 - 10


def test_a_timestamp_lies_within_a_day_back_and_five_minutes_ahead(acme_api, ada):
    now = wall_clock()
    for offset, status in ((-23, 200), (-25, 400), (0.05, 200), (0.2, 400)):
        response = track(acme_api, ada.event(timestamp=render(now + offset * HOUR)))
        assert response.status_code == status, offset


@WAYS
def test_the_apps_clock_decides_the_period(acme, acme_api, ada, way):
    track(acme_api, ada.event(quantity=9))
    with change(acme.scope):
        App.objects.within(acme.scope).update(clock_offset_ms=32 * 24 * 3600 * 1000)

    assert track(acme_api, ada.event(quantity=9), **way).json()["currentUsage"] == 9


@WAYS
def test_what_stands_in_the_way_is_named(acme, acme_api, globex, globex_api, ada, way):
    make_subscriber(globex)
    bob = make_customer(acme, "bob@example.com")
    for api, event, status, code in (
        (acme_api, ada.event("nope"), 404, "METRIC_NOT_FOUND"),
        (acme_api, ada.event() | {"customerId": never("cust")}, 404, "CUSTOMER_NOT_FOUND"),
        (globex_api, ada.event(), 404, "CUSTOMER_NOT_FOUND"),
        (acme_api, bob.event(), 403, "NO_ACTIVE_SUBSCRIPTION"),
    ):
        response = track(api, event, **way)
        assert (response.status_code, response.json()["code"]) == (status, code)


def test_bad_input_is_refused_by_field(acme_api, ada):
    good = ada.event()
    assert_refuses_each(
        acme_api,
        "POST",
        "/usage/track",
        [
            ({**good, "customerId": 7}, "customerId"),
            ({**good, "customerId": "cust_"}, "customerId"),
            ({**good, "metric": 7}, "metric"),
            ({**good, "metric": "a\0b"}, "metric"),
            ({**good, "metric": CARD.replace(" ", "-")}, "metric"),
            *(({**good, "quantity": q}, "quantity") for q in (-1, 1.5, "1", True, None, 10**12 + 1, 2**70, [1])),
            *(({**good, "idempotencyKey": k}, "idempotencyKey") for k in (7, "", "  ", "x" * 256, "a\0b", CARD)),
            ({**good, "timestamp": "yesterday"}, "timestamp"),
            ({**good, "timestamp": 1700000000}, "timestamp"),
            ({**good, "payload": {"prompt": "hello"}}, "payload"),
        ],
    )
    assert acme_api.post("/usage/track", {"metric": "api_calls"}).json()["code"] == "MISSING_REQUIRED_FIELD"
    assert acme_api.post("/usage/track", [good]).status_code == 400
    assert used(acme_api, ada) == 0


def test_who_may(acme, ada):
    assert_needs_credential("POST", "/usage/track", ada.event())
    assert_needs_scope(acme.api("usage:read"), "usage:write", "POST", "/usage/track", ada.event())
    assert Api(acme.publishable).post("/usage/track", ada.event()).status_code == 403


@WAYS
def test_the_limit_of_calls_bites(acme, acme_api, ada, way):
    with change(acme.scope):
        App.objects.within(acme.scope).update(hot_limit_per_minute=2)

    answers = [track(acme_api, ada.event(), **way) for _ in range(3)]

    assert [a.status_code for a in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "RATE_LIMITED"
    assert int(answers[2]["Retry-After"]) >= 1
    assert used(acme_api, ada) == 2


def test_a_check_takes_one_round_trip_once_warm(acme_api, ada, django_assert_num_queries):
    path = f"/entitlements/check/sso?customerId={ada.id}"
    acme_api.get(path)

    with django_assert_num_queries(1):
        acme_api.get(path)


def test_a_track_takes_two(acme_api, ada, django_assert_num_queries):
    track(acme_api, ada.event())

    with django_assert_num_queries(2):
        track(acme_api, ada.event())


def test_passing_a_threshold_is_announced_once(acme, acme_api, ada):
    track(acme_api, ada.event(quantity=9))
    track(acme_api, ada.event(quantity=1))

    with change(acme.scope):
        assert announce(acme.scope) == 2
        assert announce(acme.scope) == 0

    told = [e for e in acme_api.get("/events").json()["data"] if e["type"] == "usage.threshold_reached"]
    assert sorted(e["data"]["percent"] for e in told) == [80, 100]
