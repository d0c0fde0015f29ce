"""The period that a moment falls into, against a plain model of it."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from hypothesis import HealthCheck, assume, given, settings
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


def model(begins, at):
    """Return the period that a moment falls into, of those that `begins(n)` begins."""
    number = 0
    while at >= begins(number + 1):
        number += 1
    while at < begins(number):
        number -= 1
    return begins(number), begins(number + 1)


@generated
@given(
    bought=moments,
    months=some.sampled_from([1, 3, 6, 12]),
    known=some.integers(0, 24),
    days_off=some.integers(-500, 500),
)
def test_a_plans_period_rolls_on_by_months(db, bought, months, known, days_off):
    start, end = later(bought, known * months), later(bought, (known + 1) * months)
    # Of a plan by the quarter or the year both ends may lie in months that lack the day; nothing says it then.
    assume(bought.day in {start.day, end.day})
    at = start + timedelta(days=days_off)

    found = window("billing_period", start, end, at)

    assert found == model(lambda n: later(bought, n * months), at)
    assert found[0] <= at < found[1]


@generated
@given(start=moments, days=some.sampled_from([1, 7, 14]), hours_off=some.integers(-5000, 5000))
def test_a_plans_period_rolls_on_by_days(db, start, days, hours_off):
    end, at = start + timedelta(days=days), start + timedelta(hours=hours_off)

    found = window("billing_period", start, end, at)

    assert found == model(lambda n: start + n * timedelta(days=days), at)


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
