"""PUT /v1/usage/sync"""

from __future__ import annotations

from datetime import timedelta

from stackbe.kernel.clock import wall_clock
from tests.refusals import assert_hidden, assert_needs_credential, assert_needs_scope, assert_refuses_each, never
from tests.usage.stage import add_metric, allow, make_subscriber, move_clock, yesterdays_end

PATH = "/usage/sync"


def put(api, customer, value, **more):
    return api.put(PATH, {"customerId": customer.id, "metric": "api_calls", "value": value, **more})


def test_a_value_replaces_the_count_up_and_down(acme_api, ada):
    acme_api.post("/usage/track", ada.event(quantity=4))

    seen = [put(acme_api, ada, value).json()["currentUsage"] for value in (9, 2, 10)]

    assert seen == [9, 2, 10]
    assert acme_api.post("/usage/track", ada.event()).status_code == 409


def test_past_a_hard_limit_nothing_is_set(acme_api, ada):
    put(acme_api, ada, 3)

    refused = put(acme_api, ada, 11)

    assert (refused.status_code, refused.json()["code"]) == (409, "USAGE_LIMIT_EXCEEDED")
    assert refused.json()["usage"]["currentUsage"] == 3


def test_a_value_may_fall_though_it_stays_past_the_limit(acme_api, ada):
    put(acme_api, ada, 10)
    ada.change_access(limits={"api_calls": {"included": 5, "mode": "hard"}})

    assert put(acme_api, ada, 8).json()["currentUsage"] == 8
    assert put(acme_api, ada, 9).status_code == 409


def test_a_key_sets_once(acme_api, ada):
    put(acme_api, ada, 9, idempotencyKey="k")
    put(acme_api, ada, 2)

    assert put(acme_api, ada, 9, idempotencyKey="k").json()["currentUsage"] == 2


def test_levels_are_set_and_distinct_values_are_not(acme, acme_api, ada):
    for name in ("max", "last", "unique"):
        add_metric(acme, name=name, aggregation=name)
    for name in ("max", "last"):
        acme_api.post("/usage/track", ada.event(name, quantity=7))
        assert acme_api.put(PATH, ada.event(name, value=3)).json()["currentUsage"] == 3

    assert list(acme_api.put(PATH, ada.event("unique", value=3)).json()["fields"]) == ["metric"]


def test_the_series_shows_the_correction_and_adds_up(acme_api, ada):
    put(acme_api, ada, 9)
    put(acme_api, ada, 4)

    points = acme_api.get(f"/usage/timeseries?customerId={ada.id}&metric=api_calls").json()["data"]

    assert sum(point["value"] for point in points) == 4


def test_a_correction_takes_back_what_was_counted_last_and_leaves_a_window_its_limit(acme, acme_api, ada):
    allow(ada, included=20, mode="hard", windows=[{"per": "hour", "limit": 5}, {"per": "day", "limit": 12}])
    start = (yesterdays_end() + timedelta(days=1, hours=12) - wall_clock()).total_seconds() + 61
    for hour, quantity in enumerate((5, 4)):
        move_clock(acme, seconds=start + 3600 * hour)
        assert acme_api.post("/usage/track", ada.event(quantity=quantity)).status_code == 200

    move_clock(acme, seconds=start + 3600 * 2)
    windows = put(acme_api, ada, 3).json()["windows"]

    assert [(w["currentUsage"], w["remaining"]) for w in windows] == [(0, 5), (3, 9)]
    assert acme_api.post("/usage/track", ada.event(quantity=6)).json()["usage"]["limitedBy"] == "hour"
    assert acme_api.post("/usage/track", ada.event(quantity=2)).status_code == 200
    path = f"/usage/timeseries?customerId={ada.id}&metric=api_calls&granularity=hour"
    assert [point["value"] for point in acme_api.get(path).json()["data"]][-3:] == [3, 0, 2]


def test_bad_input_is_refused_by_field(acme_api, ada):
    good = ada.event(value=1)
    assert_refuses_each(
        acme_api,
        "PUT",
        PATH,
        [
            *(({**good, "value": v}, "value") for v in (-1, 1.5, "1", True, None, 2**53)),
            ({**good, "customerId": "x"}, "customerId"),
            ({**good, "quantity": 1}, "quantity"),
            ({**good, "idempotencyKey": ""}, "idempotencyKey"),
        ],
    )
    assert acme_api.put(PATH, ada.event("nope", value=1)).json()["code"] == "METRIC_NOT_FOUND"


def test_who_may(acme, globex, globex_api, ada):
    make_subscriber(globex)
    body = ada.event(value=1)
    assert_needs_credential("PUT", PATH, body)
    assert_needs_scope(acme.api("usage:read"), "usage:write", "PUT", PATH, body)
    assert globex_api.put(PATH, body).json()["code"] == "CUSTOMER_NOT_FOUND"
    path = f"/usage/timeseries?metric=api_calls&customerId={ada.id}"
    assert_needs_credential("GET", path)
    assert_needs_scope(acme.api("usage:write"), "usage:read", "GET", path)
    assert_hidden(globex_api, "GET", path, f"/usage/timeseries?metric=api_calls&customerId={never('cust')}")
