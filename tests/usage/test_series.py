"""GET /v1/usage/timeseries"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from stackbe.kernel.clock import render, wall_clock
from tests.usage.stage import add_metric, move_clock


@pytest.fixture
def clock(acme):
    """Let it be the 10th of a month to come, at half past noon; return what moves it on from there."""
    real = wall_clock()
    base = datetime(real.year + 1, 3, 10, 12, 30, tzinfo=UTC)
    start = (base - real).total_seconds()
    move_clock(acme, seconds=start)

    def move(**later):
        move_clock(acme, seconds=start + timedelta(**later).total_seconds())

    move.base = base
    return move


def series(api, customer, granularity, metric="api_calls", **bounds):
    query = "".join(f"&{name.strip('_')}={value}" for name, value in bounds.items())
    path = f"/usage/timeseries?customerId={customer.id}&metric={metric}&granularity={granularity}{query}"
    response = api.get(path.replace("+", "%2B"))
    assert response.status_code == 200, response.content
    return response.json()["data"]


def filled(points):
    return {point["start"]: point["value"] for point in points if point["value"]}


def test_each_hour_day_and_month_is_there_and_empty_ones_are_zero(acme_api, ada, clock):
    ada.change_access(limits={})
    for hours, quantity in ((0, 1), (0.2, 2), (3, 4), (26, 8), (24 * 40, 16)):
        clock(hours=hours)
        acme_api.post("/usage/track", ada.event(quantity=quantity))
    year = clock.base.year
    start = f"{year}-03-10T10:59:00Z"

    hours = series(acme_api, ada, "hour", from_=start, to=f"{year}-03-11T15:00:00Z")
    days = series(acme_api, ada, "day", from_=start, to=f"{year}-03-13T00:00:00Z")
    months = series(acme_api, ada, "month", from_=start)

    assert len(hours) == 29
    assert filled(hours) == {
        f"{year}-03-10T12:00:00.000Z": 3,
        f"{year}-03-10T15:00:00.000Z": 4,
        f"{year}-03-11T14:00:00.000Z": 8,
    }
    assert [point["value"] for point in days] == [7, 8, 0]
    assert [(point["start"][:7], point["value"]) for point in months] == [(f"{year}-03", 15), (f"{year}-04", 16)]
    assert all(one["end"] == other["start"] for one, other in pairwise(hours))


def test_the_series_adds_up_to_the_count(acme_api, ada, clock):
    ada.change_access(limits={})
    for hours in (0, 1, 1.5, 5, 30):
        clock(hours=hours)
        acme_api.post("/usage/track", ada.event(quantity=3))
        late = render(clock.base + timedelta(hours=hours - 2))
        acme_api.post("/usage/track", ada.event(quantity=2, timestamp=late))

    used = acme_api.get(f"/usage?customerId={ada.id}").json()["metrics"][0]["currentUsage"]

    assert (
        sum(point["value"] for point in series(acme_api, ada, "hour", from_=render(clock.base - timedelta(days=2))))
        == used
    )


@pytest.mark.parametrize(("aggregation", "hour", "day"), [("max", [9, 4], 9), ("last", [2, 4], 4)])
def test_levels_show_their_peak_or_their_last(acme, acme_api, ada, clock, aggregation, hour, day):
    add_metric(acme, name="level", aggregation=aggregation, resets="never")
    for minutes, quantity in ((0, 9), (5, 2), (60, 4)):
        clock(minutes=minutes)
        acme_api.post("/usage/track", ada.event("level", quantity=quantity))

    hours = series(acme_api, ada, "hour", "level")

    assert [point["value"] for point in hours[-2:]] == hour
    assert series(acme_api, ada, "day", "level")[-1]["value"] == day


def test_a_bound_may_come_with_any_offset(acme_api, ada, clock):
    acme_api.post("/usage/track", ada.event(quantity=3))
    year = clock.base.year

    points = series(acme_api, ada, "day", from_=f"{year}-03-10T01:00:00+02:00", to=f"{year}-03-11T01:00:00+02:00")

    assert [(point["start"][:10], point["value"]) for point in points] == [(f"{year}-03-09", 0), (f"{year}-03-10", 3)]


def test_without_bounds_it_is_the_latest(acme_api, ada):
    acme_api.post("/usage/track", ada.event())

    for granularity, many in (("hour", 24), ("day", 30), ("month", 12)):
        points = series(acme_api, ada, granularity)
        assert (len(points), points[-1]["value"]) == (many, 1)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z", "from"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("from=2026-01-02", "from"),
        ("from=2999-01-01T00:00:00Z", "from"),
        ("from=1970-01-01T00:00:00Z", "from"),
        ("to=0001-01-01T00:00:00Z", "to"),
        ("from=9999-12-31T23:00:00Z&to=9999-12-31T23:59:59Z", "to"),
        ("granularity=hour&from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z", "from"),
        ("granularity=week", "granularity"),
        ("to=soon", "to"),
        ("colour=red", "colour"),
    ],
)
def test_bounds_that_make_no_series_are_refused(acme_api, ada, query, field):
    response = acme_api.get(f"/usage/timeseries?customerId={ada.id}&metric=api_calls&{query}")

    assert (response.status_code, list(response.json()["fields"])) == (400, [field])


def test_what_is_unknown_or_missing_is_named(acme_api, ada):
    assert acme_api.get("/usage/timeseries?metric=api_calls").json()["code"] == "MISSING_REQUIRED_FIELD"
    unknown = acme_api.get(f"/usage/timeseries?customerId={ada.id}&metric=nope")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "METRIC_NOT_FOUND")
