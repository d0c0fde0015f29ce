"""When a delivery is tried again, and when it is given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from webhooks.schedule import (
    JITTER,
    MAX_ATTEMPTS,
    RETRY_DELAYS,
    Outcome,
    endpoint_exhausted,
    judge_attempt,
    parse_retry_after,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_the_delays_are_those_of_the_api_document() -> None:
    hours = [delay.total_seconds() / 3600 for delay in RETRY_DELAYS]

    assert [delay.total_seconds() for delay in RETRY_DELAYS[:3]] == [5, 300, 1800]
    assert hours[3:] == [2, 5, 10, 14, 20, 24]


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_delivers(status: int) -> None:
    assert judge_attempt(1, status, now=NOW).outcome is Outcome.DELIVERED


@pytest.mark.parametrize("status", [None, 100, 199, 300, 302, 400, 404, 409, 429, 500, 599])
def test_all_else_is_tried_again(status: int | None) -> None:
    for attempt, delay in enumerate(RETRY_DELAYS, start=1):
        verdict = judge_attempt(attempt, status, now=NOW)

        assert verdict.outcome is Outcome.RETRY
        assert verdict.wait is not None
        assert delay * (1 - JITTER) <= verdict.wait <= delay * (1 + JITTER)
    assert judge_attempt(MAX_ATTEMPTS, status, now=NOW).outcome is Outcome.FAILED


def test_the_jitter_spreads() -> None:
    waits = {judge_attempt(4, 500, now=NOW).wait for _ in range(50)}

    assert len(waits) > 40


def test_410_ends_it_at_once() -> None:
    assert judge_attempt(1, 410, now=NOW).outcome is Outcome.GONE
    assert judge_attempt(MAX_ATTEMPTS, 410, now=NOW).outcome is Outcome.GONE


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0), ("", 0), ("120", 120), (" 7 ", 7), ("-5", 0), ("1.5", 0), ("soon", 0),
        ("²", 0), ("9" * 5000, 86400),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0),
        ("Mon, 23 Nov 2026 12:00:30", 30), ("Mon, 99 Nov 2026 12:00:00 GMT", 0),
    ],
)  # fmt: skip
def test_retry_after_takes_seconds_and_dates(header: str | None, seconds: int) -> None:
    assert parse_retry_after(header, now=NOW) == timedelta(seconds=seconds)


def test_retry_after_asks_for_more_patience_never_for_less() -> None:
    longer = judge_attempt(1, 503, retry_after="600", now=NOW)
    shorter = judge_attempt(4, 503, retry_after="1", now=NOW)
    absurd = judge_attempt(1, 503, retry_after="99999999", now=NOW)

    assert longer.wait == timedelta(seconds=600)
    assert shorter.wait is not None
    assert shorter.wait > timedelta(hours=1.7)
    assert absurd.wait == timedelta(hours=24)


def test_an_endpoint_has_five_days() -> None:
    assert not endpoint_exhausted(None, now=NOW)
    assert not endpoint_exhausted(NOW - timedelta(days=5, seconds=-1), now=NOW)
    assert endpoint_exhausted(NOW - timedelta(days=5), now=NOW)
