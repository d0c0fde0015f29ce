"""An ordinary event is counted in fewer statements, and nobody can tell but by the clock."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from accounts.models import App
from billing.models import Access
from stackbe.kernel.clock import now, wall_clock
from stackbe.kernel.errors import ApiError
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading
from tests.cast import Api, found_company
from tests.usage.stage import Subscriber, add_metric, allow, make_customer, make_subscriber, move_clock
from tests.usage.test_races import together
from usage.models import Counter
from usage.services.track import count_event, key_digest, run_track, track_batch

MOMENT = timedelta(milliseconds=1)  # what a batch takes to begin
METRICS = ("ever", "monthly", "daily", "billed", "highest")
KEPT = (
    "metric__name", "period_start", "period_end", "used", "included", "credited", "carried", "passed_on", "held",
    "hour_used", "day_used", "hour_start", "reached",
)  # fmt: skip
terms = some.fixed_dictionaries(
    {"included": some.sampled_from([None, 0, 20, 200, 1000]), "mode": some.sampled_from(["hard", "soft"])},
    optional={
        "windows": some.just([{"per": "day", "limit": 30}]),
        "rollover": some.just({"max": 5}),
        "overageCap": some.just(9),
    },
)
metrics = some.sampled_from(METRICS)
events = some.tuples(some.just("count"), metrics, some.integers(0, 30), some.sampled_from(["k1", "k2", None, None]))
batches = some.lists(
    some.tuples(metrics, some.integers(0, 30), some.sampled_from(["k1", "k2", "k3", None, None, None]),
                some.sampled_from([None, None, None, 0, 20, 200])),
    min_size=1, max_size=6,
)  # fmt: skip
acts = some.one_of(
    events, events, events, events,
    some.tuples(some.just("many"), batches), some.tuples(some.just("many"), batches),
    some.tuples(some.just("allow"), metrics, terms),
    some.tuples(some.just("hold"), metrics, some.integers(1, 5)),
    some.tuples(some.just("grant"), metrics, some.integers(1, 50)),
    some.tuples(some.just("later"), some.sampled_from([1, 20, 24, 400, 744])),
    some.tuples(some.just("override"), some.sampled_from([{}, {"sso": {"value": True, "until": None}}])),
    some.tuples(some.just("end"), some.booleans()),
)  # fmt: skip


class Twins:
    """Two customers who have the same, one counted in short and one by the step."""

    def __init__(self, company: Any, number: int) -> None:
        self.company, self.moment = company, wall_clock()
        self.api = Api(company.key)
        self.hours = 0
        self.begins = wall_clock().replace(microsecond=0) - timedelta(days=3)
        self.both = [self._make(f"{name}{number}@example.com") for name in ("short", "whole")]
        move_clock(company, hours=0)

    def _make(self, email: str) -> Subscriber:
        made = make_customer(self.company, email)
        with change(self.company.scope) as _:
            like = Access.objects.within(self.company.scope).exclude(plan_id=None).order_by("id").first()
            Access.unscoped.create(
                **owned_by(self.company.scope), customer_id=made.uuid, plan_id=like.plan_id, plan_name="Pro",
                source="plan:pro", period_start=self.begins, period_end=self.begins + timedelta(days=30),
                limits={name: {"included": 200, "mode": "hard"} for name in METRICS},
            )  # fmt: skip
        return made

    def take(self, act: str, *details: Any) -> None:
        getattr(self, act)(*details)

    def count(self, metric: str, quantity: int, key: str | None) -> None:
        told = [self._counted(who, way, metric, quantity, key) for who, way in zip(self.both, "sw", strict=True)]
        assert told[0] == told[1]
        assert self.rows(self.both[0]) == self.rows(self.both[1])

    def _counted(self, who: Subscriber, way: str, metric: str, quantity: int, key: str | None) -> Any:
        scope = self.company.scope
        moment = self.moment = self.moment if way == "w" else now(scope)
        if way == "w":
            return self._stepped(who, metric, quantity, key, moment, moment)
        event = {"tenant_id": scope.tenant_id, "app_id": scope.app, "customer_id": who.uuid, "metric": metric}
        digest = None if key is None else key_digest(key)
        with change(scope):
            try:
                return count_event(**event, quantity=quantity, key=digest, moment=moment).as_reply()
            except ApiError as refused:
                return refused.code, (refused.extra or {}).get("usage")

    def many(self, batch: list[tuple[str, int, str | None, int | None]]) -> None:
        """Count a batch for one, and its events in the batch's order by the step for the other."""
        scope, [short, whole] = self.company.scope, self.both
        with change(scope):
            moment = now(scope)
            events = [
                {"customer_id": short.uuid, "metric": metric, "quantity": quantity}
                | ({} if key is None else {"idempotency_key": key})
                | ({} if ago is None else {"timestamp": moment - timedelta(minutes=ago)})
                for metric, quantity, key, ago in batch
            ]
            results = track_batch(scope, events)
        order = sorted(
            range(len(events)), key=lambda n: (events[n]["metric"], events[n].get("timestamp", moment + MOMENT))
        )
        for n in order:
            metric, quantity, key, _ = batch[n]
            stepped = self._stepped(whole, metric, quantity, key, events[n].get("timestamp", moment), moment)
            assert results[n] == stepped or stepped == (results[n]["code"], results[n].get("usage"))
        assert self.rows(short) == self.rows(whole)

    def _stepped(
        self, who: Subscriber, metric: str, quantity: int, key: str | None, at: datetime, moment: datetime
    ) -> Any:
        scope = self.company.scope
        event = {"tenant_id": scope.tenant_id, "app_id": scope.app, "customer_id": who.uuid, "metric": metric}
        digest = None if key is None else key_digest(key)
        with change(scope):
            try:
                return run_track(**event, quantity=quantity, value=None, key=digest, at=at, moment=moment).as_reply()
            except ApiError as refused:
                return refused.code, (refused.extra or {}).get("usage")

    def allow(self, metric: str, terms: dict[str, Any]) -> None:
        for who in self.both:
            allow(who, metric, **terms)

    def hold(self, metric: str, quantity: int) -> None:
        for who in self.both:
            body = who.event(metric, quantity=quantity, expiresInSeconds=3600)
            self.api.post("/usage/reservations", body)

    def grant(self, metric: str, quantity: int) -> None:
        for who in self.both:
            self.api.post(f"/customers/{who.id}/credits", {"metric": metric, "quantity": quantity, "reason": "x"})

    def later(self, hours: int) -> None:
        self.hours += hours
        move_clock(self.company, hours=self.hours)

    def override(self, overrides: dict[str, Any]) -> None:
        for who in self.both:
            who.change_access(overrides=overrides)

    def end(self, ended: bool) -> None:
        for who in self.both:
            who.change_access(access_until=wall_clock() if ended else None)

    def rows(self, who: Subscriber) -> list[tuple[Any, ...]]:
        with reading(self.company.scope):
            rows = Counter.objects.within(self.company.scope).filter(customer_id=who.uuid)
            return list(rows.order_by("metric__name", "period_start").values_list(*KEPT))


def assert_twins_stay_alike(acme: Any, examples: int) -> None:
    make_subscriber(acme)
    add_metric(acme, name="ever", resets="never")
    add_metric(acme, name="monthly")
    add_metric(acme, name="daily", resets="day")
    add_metric(acme, name="billed", resets="billing_period")
    add_metric(acme, name="highest", aggregation="max", resets="never")
    made = iter(range(10**6))
    with change(acme.scope):  # thousands of lives ask more often than one app does
        App.objects.within(acme.scope).update(api_limit_per_minute=10**6)

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(some.lists(acts, min_size=4, max_size=16))
    def play(taken: list[Any]) -> None:
        twins = Twins(acme, next(made))
        for step in taken:
            twins.take(*step)

    play()


def test_the_short_count_is_the_steps(acme):
    assert_twins_stay_alike(acme, examples=25)


@pytest.mark.slow
def test_the_short_count_is_the_steps_in_thousands_of_lives(acme):
    assert_twins_stay_alike(acme, examples=2000)


@pytest.fixture
def ada(committed):
    ada = make_subscriber(found_company("Acme"))
    allow(ada, "exports", included=24)
    assert Api(ada.company.key).post("/usage/track", ada.event("exports", quantity=0)).status_code == 200
    return ada


def counted(ada):
    with reading(ada.company.scope):
        return Counter.objects.within(ada.company.scope).get(metric__name="exports").used


def test_a_key_that_comes_several_times_at_once_counts_once(ada):
    keys = [f"k{number}" for number in range(12)]

    def racer():
        api = Api(ada.company.key)
        return [api.post("/usage/track", ada.event("exports", idempotencyKey=key)).status_code for key in keys]

    assert together(*[racer] * 5) == [[200] * 12] * 5
    assert counted(ada) == 12


def test_months_that_were_analyzed_while_empty_are_read_by_their_index(ada, owner):
    owner.execute("analyze usage_record")
    scope = ada.company.scope
    with change(scope), connection.cursor() as cursor:
        cursor.execute("discard plans")
        for number in range(8):
            event = {"tenant_id": scope.tenant_id, "app_id": scope.app, "customer_id": ada.uuid, "metric": "exports"}
            count_event(**event, quantity=1, key=key_digest(f"k{number}"), moment=now(scope))
        cursor.execute(
            "select sum(seq_scan), sum(idx_scan) > 0 from pg_stat_xact_user_tables where relname like 'usage_record_%'"
        )
        assert cursor.fetchone() == (0, True)


def test_racers_in_short_never_pass_the_limit(ada):
    def racer():
        api = Api(ada.company.key)
        return [api.post("/usage/track", ada.event("exports", quantity=3)).status_code for _ in range(3)]

    answers = list(chain.from_iterable(together(*[racer] * 5)))

    assert answers.count(200) == 8
    assert counted(ada) == 24


def test_a_batch_and_single_events_never_pass_the_limit_together(ada):
    def in_a_batch():
        results = Api(ada.company.key).post("/usage/track/batch", {"events": [ada.event("exports")] * 18}).json()
        return [each["success"] for each in results["results"]]

    def one_by_one():
        time.sleep(0.05)  # the batch has looked by now
        api = Api(ada.company.key)
        return [api.post("/usage/track", ada.event("exports")).status_code == 200 for _ in range(5)]

    answers = list(chain.from_iterable(together(in_a_batch, *[one_by_one] * 3)))

    assert answers.count(True) == 24
    assert counted(ada) == 24


def test_a_key_counts_once_alone_and_in_a_batch(ada):
    add_metric(ada.company, name="ever", resets="never")
    api, keyed = Api(ada.company.key), ada.event("ever", idempotencyKey="k1")
    api.post("/usage/track", keyed)

    results = api.post("/usage/track/batch", {"events": [keyed, ada.event("ever", idempotencyKey="k2")]}).json()

    assert [each["currentUsage"] for each in results["results"]] == [1, 2]


def test_one_who_crosses_a_threshold_is_told_of_it_once(ada):
    api = Api(ada.company.key)

    for _ in range(8):
        assert api.post("/usage/track", ada.event("exports", quantity=3)).status_code == 200

    with reading(ada.company.scope):
        assert Counter.objects.within(ada.company.scope).get(metric__name="exports").reached == {"80": 24, "100": 24}
