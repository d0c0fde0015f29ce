"""The period that a moment falls into, against a plain model of it."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

FIRST, LAST = datetime(2024, 1, 1), datetime(2028, 1, 1)  # noqa: DTZ001  # Hypothesis adds the zone itself
moments = some.datetimes(FIRST, LAST, timezones=some.just(UTC))
generated = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def window(resets, start, end, at):
    with connection.cursor() as cursor:
        cursor.execute("select starts, ends from usage_window(%s, %s, %s, %s)", [resets, start, end, at])
        return cursor.fetchone()


def later(moment, months):
    """Return the same day of the month so many months on, or the last that the month has."""
    number = moment.year * 12 + moment.month - 1 + months
    year, month = divmod(number, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def model(start, end, step, at):
    """Return the period of a plan by walking from the one that is known, a step at a time."""
    times = 0
    while at >= end:
        times += 1
        start, end = end, step(times)[1]
    times = 0
    while at < start:
        times -= 1
        start, end = step(times)[0], start
    return start, end


@generated
@given(start=moments, months=some.sampled_from([1, 3, 6, 12]), days_off=some.integers(-500, 500))
def test_a_plans_period_rolls_on_by_months(db, start, months, days_off):
    end, at = later(start, months), start + timedelta(days=days_off)

    found = window("billing_period", start, end, at)

    assert found == model(start, end, lambda n: (later(start, n * months), later(end, n * months)), at)
    assert found[0] <= at < found[1]


@generated
@given(start=moments, days=some.sampled_from([1, 7, 14]), hours_off=some.integers(-5000, 5000))
def test_a_plans_period_rolls_on_by_days(db, start, days, hours_off):
    end, at = start + timedelta(days=days), start + timedelta(hours=hours_off)

    found = window("billing_period", start, end, at)

    length = timedelta(days=days)
    assert found == model(start, end, lambda n: (start + n * length, end + n * length), at)


@generated
@given(at=moments)
def test_the_calendars_periods_are_utc(db, at):
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)

    assert window("day", None, None, at) == (midnight, midnight + timedelta(days=1))
    assert window("month", None, None, at) == (midnight.replace(day=1), later(midnight.replace(day=1), 1))
    assert window("never", None, None, at) == (datetime(1970, 1, 1, tzinfo=UTC), None)
    assert window("billing_period", None, None, at) == window("month", None, None, at)


@pytest.mark.parametrize("resets", ["day", "month", "billing_period"])
@generated
@given(start=moments, off=some.integers(-400, 400))
def test_where_one_period_ends_the_next_begins(db, resets, start, off):
    end = later(start, 1)

    _, ends = window(resets, start, end, start + timedelta(days=off))

    assert window(resets, start, end, ends)[0] == ends
    assert window(resets, start, end, ends - timedelta(microseconds=1))[1] == ends
