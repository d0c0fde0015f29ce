"""Limits beside the plan's number: windows inside the period, a cap on overage, what rolls over, thresholds."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.transactions import change
from tests.usage.stage import add_metric, allow, make_customer, move_clock
from usage.models import Counter
from usage.tasks import announce

DAY_AND_HOUR = [{"per": "day", "limit": 5}, {"per": "hour", "limit": 3}]


def track(api, customer, quantity=1, **more):
    return api.post("/usage/track", customer.event(quantity=quantity, **more))


def check(api, customer, quantity=1):
    return api.get(f"/usage/check?customerId={customer.id}&metric=api_calls&quantity={quantity}").json()


@pytest.fixture
def noon(acme):
    """Let it be noon for the app, so that an hour and a day on are known."""
    moment = wall_clock()
    noon = moment.replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)
    start = (noon - moment).total_seconds()
    move_clock(acme, seconds=start)
    return lambda **later: move_clock(acme, seconds=start + timedelta(**later).total_seconds())


@pytest.mark.parametrize("mode", ["hard", "soft"])
def test_a_window_refuses_with_its_own_figures_and_opens_again_by_the_clock(acme_api, ada, noon, mode):
    allow(ada, included=100, mode=mode, windows=DAY_AND_HOUR)

    told = track(acme_api, ada, 3).json()
    assert [(w["per"], w["currentUsage"], w["remaining"]) for w in told["windows"]] == [("hour", 3, 0), ("day", 3, 2)]
    refused = track(acme_api, ada).json()
    assert (refused["code"], refused["usage"]["limitedBy"]) == ("USAGE_LIMIT_EXCEEDED", "hour")
    assert (refused["usage"]["limit"], refused["usage"]["currentUsage"]) == (3, 3)
    said = check(acme_api, ada)
    assert (said["allowed"], said["limitedBy"], said["remaining"]) == (False, "hour", 0)
    assert said["resetsAt"] == refused["usage"]["resetsAt"] == refused["usage"]["windows"][0]["resetsAt"]

    noon(hours=1)
    assert track(acme_api, ada, 3).json()["usage"]["limitedBy"] == "day"
    assert track(acme_api, ada, 2).status_code == 200
    noon(hours=2)
    assert track(acme_api, ada, 1).json()["usage"]["resetsAt"].endswith("T00:00:00.000Z")
    noon(hours=13)
    assert track(acme_api, ada, 3).json()["currentUsage"] == 8


def test_a_late_event_is_held_to_the_window_that_it_falls_into(acme_api, ada, noon):
    allow(ada, included=100, mode="hard", windows=[{"per": "hour", "limit": 3}])
    track(acme_api, ada, 2)
    noon(hours=2)
    track(acme_api, ada, 3)
    before = acme_api.get(f"/usage/timeseries?customerId={ada.id}&metric=api_calls&granularity=hour").json()["data"]
    first = next(point["start"] for point in before if point["value"] == 2)

    assert track(acme_api, ada, 2, timestamp=first).json()["usage"]["limitedBy"] == "hour"
    assert track(acme_api, ada, 1, timestamp=first).status_code == 200
    assert track(acme_api, ada, 1, timestamp=first).status_code == 409


def test_what_is_held_counts_in_windows_too(acme_api, ada):
    allow(ada, included=100, mode="hard", windows=[{"per": "day", "limit": 5}])
    acme_api.post("/usage/reservations", ada.event(quantity=4))

    assert track(acme_api, ada, 2).json()["usage"]["limitedBy"] == "day"
    assert acme_api.post("/usage/reservations", ada.event(quantity=2)).json()["usage"]["limitedBy"] == "day"
    assert track(acme_api, ada, 1).json()["windows"][0]["remaining"] == 0


def test_a_cap_on_overage_stops_a_soft_metric(acme_api, ada):
    allow(ada, included=10, mode="soft", overageCap=5)

    assert track(acme_api, ada, 15).json()["remaining"] == 0
    refused = track(acme_api, ada, 1).json()
    assert (refused["code"], refused["usage"]["limitedBy"]) == ("USAGE_LIMIT_EXCEEDED", "spend_cap")
    assert check(acme_api, ada)["limitedBy"] == "spend_cap"
    acme_api.post(f"/customers/{ada.id}/credits", {"metric": "api_calls", "quantity": 2, "reason": "x"})
    assert check(acme_api, ada, 2)["allowed"] is True
    assert track(acme_api, ada, 3).status_code == 409
    assert track(acme_api, ada, 2).status_code == 200


def test_what_is_left_rolls_over_once_up_to_its_most(acme, acme_api, ada):
    allow(ada, included=10, mode="hard", rollover={"max": 4})
    assert track(acme_api, ada, 3).json()["limit"] == 10

    move_clock(acme, days=32)
    said = check(acme_api, ada, 14)
    assert (said["effectiveLimit"], said["rolledOver"], said["allowed"]) == (14, 4, True)
    assert track(acme_api, ada, 12).json()["limit"] == 14

    move_clock(acme, days=63)
    assert check(acme_api, ada)["effectiveLimit"] == 10


def test_units_that_rolled_over_cannot_be_used_by_late_events_as_well(acme, acme_api, ada):
    add_metric(acme, name="daily", resets="day")
    allow(ada, "daily", included=10, mode="hard", rollover={"max": None})
    event = {"customerId": ada.id, "metric": "daily"}
    acme_api.post("/usage/track", event | {"quantity": 3})
    now = wall_clock()
    move_clock(acme, days=1)

    assert acme_api.post("/usage/track", event).json()["limit"] == 17
    late = acme_api.post("/usage/track", event | {"timestamp": render(now + timedelta(seconds=5))})

    assert (late.status_code, late.json()["usage"]["limit"]) == (409, 3)


def test_who_used_nothing_begins_with_all_of_it(acme, acme_api, ada):
    allow(ada, included=10, mode="hard", rollover={"max": None})
    # A refusal opens the period's counter and counts nothing.
    assert track(acme_api, ada, 11).status_code == 409
    move_clock(acme, days=32)

    assert check(acme_api, ada)["effectiveLimit"] == 20
    assert track(acme_api, ada, 20).json()["remaining"] == 0


def reached(acme, api):
    with change(acme.scope):
        announce(acme.scope)
    told = [e["data"] for e in api.get("/events").json()["data"] if e["type"] == "usage.threshold_reached"]
    return sorted((one["percent"], one["limit"]) for one in told)


def test_an_app_chooses_its_thresholds(acme, acme_api, ada):
    found = next(m for m in acme_api.get("/metrics").json()["data"] if m["name"] == "api_calls")
    assert found["thresholds"] == [80, 100]
    changed = acme_api.patch(f"/metrics/{found['id']}", {"thresholds": [120, 50, 50]}).json()
    assert changed["thresholds"] == [50, 120]
    allow(ada, included=10, mode="soft")

    for quantity in (4, 1, 5, 1, 1, 5):
        track(acme_api, ada, quantity)

    assert reached(acme, acme_api) == [(50, 10), (120, 10)]


def test_a_threshold_is_told_once_a_period_though_the_count_falls_and_rises(acme, acme_api, ada):
    for value in (9, 2, 9, 10, 0, 10):
        acme_api.put("/usage/sync", {"customerId": ada.id, "metric": "api_calls", "value": value})
        reached(acme, acme_api)

    assert reached(acme, acme_api) == [(80, 10), (100, 10)]
    move_clock(acme, days=32)
    track(acme_api, ada, 8)
    assert reached(acme, acme_api) == [(80, 10), (80, 10), (100, 10)]


def test_a_greater_limit_has_thresholds_of_its_own_that_are_crossed_from_below(acme, acme_api, ada):
    track(acme_api, ada, 10)
    acme_api.post(f"/customers/{ada.id}/credits", {"metric": "api_calls", "quantity": 10, "reason": "x"})
    track(acme_api, ada, 1)
    assert reached(acme, acme_api) == [(80, 10), (100, 10)]

    track(acme_api, ada, 6)

    assert reached(acme, acme_api) == [(80, 10), (80, 20), (100, 10)]


def test_thresholds_are_whole_percents(acme_api, ada):
    for odd in ([0], [1001], ["80"], [80.5], 80, list(range(1, 12)), [True], None):
        response = acme_api.post("/metrics", {"name": "odd", "thresholds": odd})
        assert response.status_code == 400, odd
        assert all(name.startswith("thresholds") for name in response.json()["fields"])
    assert acme_api.post("/metrics", {"name": "quiet", "thresholds": []}).json()["thresholds"] == []


def test_only_one_threshold_row_waits_for_each_crossing(acme, acme_api, ada):
    track(acme_api, ada, 10)

    with change(acme.scope):
        assert announce(acme.scope) == 2
        assert Counter.objects.within(acme.scope).get().reached == {"80": 10, "100": 10}
        assert announce(acme.scope) == 0


def test_a_feature_that_is_archived_limits_on_who_keeps_a_plan_that_names_it(acme, acme_api):
    bob = make_customer(acme, "bob@example.com")
    acme_api.post("/metrics", {"name": "api_calls"})
    acme_api.post("/features", {"key": "calls", "type": "metered", "metric": "api_calls"})
    body = {"name": "Old", "priceCents": 0, "currency": "usd", "entitlements": {"calls": 7}}
    old = acme_api.post("/plans", body).json()
    acme_api.post("/subscriptions", {"customerId": bob.id, "planId": old["id"]})
    asked = f"/usage/check?customerId={bob.id}&metric=api_calls"
    assert acme_api.get(asked).json()["limit"] == 7

    acme_api.delete(f"/plans/{old['id']}")
    assert acme_api.delete("/features/calls").status_code == 204

    assert acme_api.get(asked).json()["limit"] == 7
    assert acme_api.get(f"/entitlements?customerId={bob.id}").json()["entitlements"] == {"calls": 7}
