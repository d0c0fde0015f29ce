"""No 60 seconds ever pass more than the limit: check 25."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime

import pytest
from django.db import connections

from stackbe.kernel import limits
from stackbe.kernel.errors import RateLimited

START = 1_800_000_000.0


@pytest.fixture
def at(monkeypatch):
    """Set the limiter's clock to some seconds after the start."""

    def move(seconds):
        moment = datetime.fromtimestamp(START + seconds, tz=UTC)
        monkeypatch.setattr(limits, "wall_clock", lambda: moment)

    move(0)
    return move


def most_in_any_window(passed, window):
    """Return the greatest number of the sorted moments that lie within any such stretch."""
    most = first = 0
    for last, moment in enumerate(passed):
        while passed[first] <= moment - window:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_the_limit_passes_and_not_one_more(db, at):
    answers = [limits.take("b", 3) for _ in range(5)]

    assert [a.ok for a in answers] == [True, True, True, False, False]
    assert [a.remaining for a in answers] == [2, 1, 0, 0, 0]


@pytest.mark.parametrize("offset", [0.0, 0.1, 1.4, 2.9, 2.999])
def test_calls_of_one_moment_free_up_within_21_sub_windows_of_3_seconds(db, at, offset):
    at(offset)
    for _ in range(3):
        last = limits.take("b", 3)
    free_at = last.reset_at - START

    at(free_at - 0.01)
    assert not limits.take("b", 3).ok
    at(free_at)
    assert limits.take("b", 3).ok
    assert 60 <= free_at - offset <= 63


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_stretch_of_60_seconds_passes_more_than_the_limit(db, at, seed):
    dice = random.Random(seed)
    moments = sorted(dice.uniform(0, 240) for _ in range(600))
    moments += [240 + n / 100 for n in range(200)]  # and a burst

    passed = []
    for moment in moments:
        at(moment)
        if limits.take("b", 30).ok:
            passed.append(moment)

    assert most_in_any_window(passed, 60) <= 30
    assert len(passed) >= 0.9 * 30 * 240 / 63


def test_five_times_the_limit_over_a_window_edge_passes_it_once(db, at):
    passed = 0
    for n in range(100):
        at(55 + n / 10)  # from 55 s to 65 s
        passed += limits.take("b", 20).ok

    assert passed == 20


def test_a_refused_call_is_not_counted(db, at):
    for _ in range(50):
        limits.take("b", 2)

    at(63)
    assert limits.take("b", 2).remaining == 1


def test_looking_counts_nothing(db, at):
    for _ in range(5):
        assert limits.take("b", 2, cost=0).ok

    assert limits.take("b", 2).remaining == 1


def test_buckets_do_not_meet(db, at):
    limits.take("a", 1)

    assert limits.take("b", 1).ok


def test_a_longer_window_is_cut_into_twenty_as_well(db, at):
    for _ in range(2):
        assert limits.take("b", 2, limits.HOUR).ok

    at(3599)
    assert not limits.take("b", 2, limits.HOUR).ok
    at(3600 + 180)
    assert limits.take("b", 2, limits.HOUR).ok


def test_a_clock_that_steps_back_frees_nothing(db, at):
    at(10)
    limits.take("b", 1)

    at(0)
    assert not limits.take("b", 1).ok


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_answer_is_that_of_counting_the_last_21_sub_windows_by_hand(db, at, seed):
    dice, moment = random.Random(seed), 0.0
    newest, counted = 0, {}
    for _ in range(400):
        moment = max(0.0, moment + dice.choice([0, 0.1, 1, 4, 30, 80, -2]))
        cost, allowed = dice.choice([0, 1, 1, 2]), dice.choice([5, 8])
        at(moment)

        answer = limits.take("b", allowed, cost=cost)

        here = max(newest, int(START + moment) // 3)
        seen = {place: n for place, n in counted.items() if place >= here - 20}
        ok = sum(seen.values()) + max(cost, 1) <= allowed
        if ok and cost:
            seen[here] = seen.get(here, 0) + cost
            newest, counted = here, seen
        left = max(0, allowed - sum(seen.values()))
        reset_at = (min(seen, default=here) + 21) * 3
        assert (answer.ok, answer.remaining, answer.reset_at) == (ok, left, reset_at)


def test_the_headers_say_what_is_left_and_when(db, at):
    headers = limits.take("b", 10).headers()

    assert headers["X-RateLimit-Limit"] == "10"
    assert headers["X-RateLimit-Remaining"] == "9"
    assert int(headers["X-RateLimit-Reset"]) - START == pytest.approx(62, abs=2)
    assert headers["RateLimit-Policy"] == '"default";q=10;w=60'
    assert headers["RateLimit"].startswith('"default";r=9;t=')


def test_requiring_raises_with_the_seconds_to_wait(db, at):
    limits.require("b", 1)

    with pytest.raises(RateLimited) as refused:
        limits.require("b", 1)
    assert 60 <= refused.value.retry_after_seconds <= 63


def test_racers_from_many_connections_pass_the_limit_exactly(committed):
    passed: list[bool] = []
    start = threading.Barrier(12)

    def race():
        start.wait()
        passed.extend(limits.take("b", 100).ok for _ in range(25))
        connections.close_all()

    threads = [threading.Thread(target=race) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(passed) == 100
