"""The whole of counting against a plain model of it: one client step by step, and many clients at once."""

from __future__ import annotations

import random
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Barrier, Lock
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from billing.models import Access
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading
from tests.cast import Api, found_company
from tests.usage.stage import Subscriber, add_metric, allow, make_customer, make_subscriber, move_clock
from usage.models import Counter, Credit, CreditUse, Reservation

INCLUDED, AN_HOUR, CAP = 12, 9, 4
HOLD_SECONDS = 3 * 3600
quantities = some.integers(0, 8)
keys = some.sampled_from([None, None, "a", "b", "c"])
steps = some.one_of(
    some.tuples(some.just("track"), quantities, keys),
    some.tuples(some.just("track"), quantities, keys),
    some.tuples(some.just("batch"), some.lists(some.tuples(quantities, keys), min_size=1, max_size=4)),
    some.tuples(some.just("sync"), some.integers(0, 14), keys),
    some.tuples(some.just("grant"), some.integers(1, 6), some.sampled_from([10, 50]), some.sampled_from([None, 5, 40])),
    some.tuples(some.just("hold"), some.integers(1, 8)),
    some.tuples(some.just("confirm"), some.integers(0, 5), quantities),
    some.tuples(some.just("release"), some.integers(0, 5)),
    some.tuples(some.just("later"), some.integers(1, 30)),
)


@dataclass
class Grant:
    left: int
    priority: int
    ends: datetime | None
    age: int


@dataclass
class Held:
    quantity: int
    day: datetime
    ends: datetime
    status: str = "held"
    confirmed: int | None = None


@dataclass
class Day:
    used: int = 0
    credited: int = 0
    keys: set[str] = field(default_factory=set)
    hours: dict[datetime, int] = field(default_factory=lambda: defaultdict(int))
    spent: list[tuple[Grant, int]] = field(default_factory=list)


@dataclass
class Book:
    """What counting should do, said plainly: a metric that resets each day, so many an hour, hard or capped."""

    mode: str
    cap: int | None
    moment: datetime
    days: dict[datetime, Day] = field(default_factory=dict)
    grants: list[Grant] = field(default_factory=list)
    holds: list[Held] = field(default_factory=list)

    @property
    def midnight(self) -> datetime:
        return self.moment.replace(hour=0, minute=0, second=0, microsecond=0)

    def day(self, midnight: datetime | None = None) -> Day:
        return self.days.setdefault(midnight or self.midnight, Day())

    def live(self) -> list[Grant]:
        found = [g for g in self.grants if g.left and (g.ends is None or g.ends > self.moment)]
        return sorted(found, key=lambda g: (g.priority, g.ends is None, g.ends or self.moment, g.age))

    def held(self, midnight: datetime | None = None) -> int:
        day = midnight or self.midnight
        return sum(h.quantity for h in self.holds if h.status == "held" and h.day == day and h.ends > self.moment)

    def top(self, day: Day) -> int | None:
        allowed = INCLUDED + day.credited + sum(g.left for g in self.live())
        return allowed if self.mode == "hard" else None if self.cap is None else allowed + self.cap

    def seen(self, key: str | None) -> bool:
        near = [self.days.get(self.midnight - timedelta(days=back)) for back in (0, 1)]
        return key is not None and any(day is not None and key in day.keys for day in near)

    def refuses(self, more: int, *, others: int, in_window: bool = True, midnight: datetime | None = None) -> bool:
        day = self.day(midnight)
        top = self.top(day)
        hour = self.moment.replace(minute=0, second=0, microsecond=0)
        if more <= 0:
            return False
        over = top is not None and day.used + others + more > top
        return over or (in_window and day.hours[hour] + others + more > AN_HOUR)

    def count(self, more: int, key: str | None = None, midnight: datetime | None = None) -> None:
        day = self.day(midnight)
        day.used += more
        day.hours[self.moment.replace(minute=0, second=0, microsecond=0)] += max(0, more)
        back = max(0, -more)
        for hour in sorted(day.hours, reverse=True):
            part = min(back, day.hours[hour])
            day.hours[hour] -= part
            back -= part
        if key is not None:
            day.keys.add(key)
        owed = max(0, day.used - INCLUDED) - day.credited
        for grant in self.live():
            part = max(0, min(owed, grant.left))
            grant.left -= part
            day.credited += part
            owed -= part
            day.spent += [(grant, part)] if part else []
        if owed < 0 and more < 0:
            self.give_back(day, -owed)

    def give_back(self, day: Day, owed: int) -> None:
        spent: dict[int, int] = defaultdict(int)
        grants = {grant.age: grant for grant, _ in day.spent}
        for grant, part in day.spent:
            spent[grant.age] += part
        far = datetime.max.replace(tzinfo=UTC)
        for grant in sorted(grants.values(), key=lambda g: (g.priority, g.ends or far, g.age), reverse=True):
            part = min(owed, spent[grant.age])
            grant.left += part
            day.credited -= part
            owed -= part
            day.spent.append((grant, -part))

    # Each step returns whether it was taken.
    def track(self, quantity: int, key: str | None) -> bool:
        self.day()
        if self.seen(key):
            return True
        if self.refuses(quantity, others=self.held()):
            return False
        self.count(quantity, key)
        return True

    def sync(self, value: int, key: str | None) -> bool:
        if self.seen(key):
            return True
        more = value - self.day().used
        if self.refuses(more, others=self.held(), in_window=False):
            return False
        self.count(more, key)
        return True

    def hold(self, quantity: int) -> bool:
        if self.refuses(quantity, others=self.held()):
            return False
        self.holds.append(Held(quantity, self.midnight, self.moment + timedelta(seconds=HOLD_SECONDS)))
        return True

    def confirm(self, held: Held, quantity: int) -> bool:
        if held.status == "confirmed":
            return held.confirmed == quantity
        if held.status != "held" or held.ends <= self.moment:
            return False
        others = self.held(held.day) - held.quantity
        same_hour = held.day == self.midnight
        if quantity > held.quantity and self.refuses(quantity, others=others, in_window=same_hour, midnight=held.day):
            return False
        held.status, held.confirmed = "confirmed", quantity
        self.count(quantity, midnight=held.day)
        return True

    def release(self, held: Held) -> bool:
        if held.status == "held":
            held.status = "released" if held.ends > self.moment else "expired"
        return held.status != "confirmed"


class Client:
    """Takes the same steps through the API, and compares."""

    def __init__(self, company: Any, who: Subscriber, mode: str, cap: int | None) -> None:
        self.company, self.who, self.api = company, who, Api(company.key)
        self.moment = wall_clock().replace(hour=12, minute=30, second=0, microsecond=0) + timedelta(days=1)
        self.book = Book(mode, cap, self.moment)
        self.holds: list[str] = []
        self.set_clock()

    def set_clock(self) -> None:
        move_clock(self.company, seconds=(self.moment - wall_clock()).total_seconds())

    def event(self, **more: Any) -> dict[str, Any]:
        return self.who.event("daily", **{name: value for name, value in more.items() if value is not None})

    def take(self, name: str, *arguments: Any) -> None:
        getattr(self, name)(*arguments)
        told = self.api.get(f"/usage/check?customerId={self.who.id}&metric=daily").json()
        day = self.book.day()
        wallet = sum(grant.left for grant in self.book.live())
        expected = (day.used, day.credited + wallet, self.book.held())
        assert (told["currentUsage"], told["addonCredits"], told["held"]) == expected, (name, arguments)
        assert told["allowed"] is not self.book.refuses(1, others=self.book.held())

    def track(self, quantity: int, key: str | None) -> None:
        response = self.api.post("/usage/track", self.event(quantity=quantity, idempotencyKey=key))
        assert response.status_code == (200 if self.book.track(quantity, key) else 409), response.content

    def batch(self, events: list[tuple[int, str | None]]) -> None:
        body = {"events": [self.event(quantity=quantity, idempotencyKey=key) for quantity, key in events]}
        results = self.api.post("/usage/track/batch", body).json()["results"]
        assert [r["success"] for r in results] == [self.book.track(*event) for event in events]

    def sync(self, value: int, key: str | None) -> None:
        response = self.api.put("/usage/sync", self.event(value=value, idempotencyKey=key))
        assert response.status_code == (200 if self.book.sync(value, key) else 409), response.content

    def grant(self, quantity: int, priority: int, hours: int | None) -> None:
        ends = None if hours is None else self.moment + timedelta(hours=hours)
        body = {"metric": "daily", "quantity": quantity, "priority": priority, "reason": "x"}
        sent = body if ends is None else body | {"expiresAt": render(ends)}
        assert self.api.post(f"/customers/{self.who.id}/credits", sent).status_code == 201
        self.book.grants.append(Grant(quantity, priority, ends, len(self.book.grants)))

    def hold(self, quantity: int) -> None:
        response = self.api.post("/usage/reservations", self.event(quantity=quantity, expiresInSeconds=HOLD_SECONDS))
        assert response.status_code == (201 if self.book.hold(quantity) else 409), response.content
        if response.status_code == 201:
            self.holds.append(response.json()["id"])

    def confirm(self, place: int, quantity: int) -> None:
        if place < len(self.holds):
            path = f"/usage/reservations/{self.holds[place]}/confirm"
            response = self.api.post(path, {"quantity": quantity})
            taken = self.book.confirm(self.book.holds[place], quantity)
            assert response.status_code == (200 if taken else 409), response.content

    def release(self, place: int) -> None:
        if place < len(self.holds):
            response = self.api.post(f"/usage/reservations/{self.holds[place]}/release")
            taken = self.book.release(self.book.holds[place])
            assert response.status_code == (200 if taken else 409), response.content

    def later(self, hours: int) -> None:
        self.moment += timedelta(hours=hours)
        self.book.moment = self.moment
        self.set_clock()


def assert_the_model_is_followed(acme: Any, examples: int, most: int) -> None:
    make_subscriber(acme)
    add_metric(acme, name="daily", resets="day")
    made = iter(range(10**6))

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(some.sampled_from([("hard", None), ("soft", None), ("soft", CAP)]), some.lists(steps, max_size=most))
    def play(kind: tuple[str, int | None], taken: list[Any]) -> None:
        who = make_subscriber_like(acme, f"c{next(made)}@example.com", *kind)
        client = Client(acme, who, *kind)
        for step in taken:
            client.take(*step)
        assert_books_balance(acme, who)

    play()


def make_subscriber_like(acme: Any, email: str, mode: str, cap: int | None) -> Subscriber:
    """Make a customer whose plan includes so much a day and an hour of the metric."""
    who = make_customer(acme, email)
    with change(acme.scope):
        like = Access.objects.within(acme.scope).exclude(plan_id=None).first()
        Access.unscoped.create(
            **owned_by(acme.scope), customer_id=who.uuid, plan_id=like.plan_id, plan_name="Pro", source="plan:pro"
        )
    extra = {} if cap is None else {"overageCap": cap}
    allow(who, "daily", included=INCLUDED, mode=mode, windows=[{"per": "hour", "limit": AN_HOUR}], **extra)
    return who


def assert_books_balance(company: Any, who: Subscriber) -> None:
    """Assert what holds at any moment: nothing is spent that was not granted, and every sum adds up."""
    with reading(company.scope):
        counters = list(Counter.objects.within(company.scope).filter(customer_id=who.uuid))
        credits_ = list(Credit.objects.within(company.scope).filter(customer_id=who.uuid))
        uses = list(CreditUse.objects.within(company.scope).filter(credit__customer_id=who.uuid))
        held = Reservation.objects.within(company.scope).filter(customer_id=who.uuid, status="held")
        open_holds = sum(held.values_list("quantity", flat=True))
    assert sum(c.quantity - c.remaining for c in credits_) == sum(u.quantity for u in uses)
    assert sum(c.credited for c in counters) == sum(u.quantity for u in uses)
    assert sum(c.held for c in counters) == open_holds


def test_every_step_is_what_a_plain_model_says(acme):
    assert_the_model_is_followed(acme, examples=30, most=14)


@pytest.mark.slow
def test_every_step_of_long_runs_is_too(acme):
    assert_the_model_is_followed(acme, examples=600, most=60)


class Crowd:
    """Many clients at once on a few customers; what was acknowledged is noted as it comes."""

    def __init__(self, company: Any, people: list[Subscriber], seed: int) -> None:
        self.company, self.people, self.seed = company, people, seed
        self.lock = Lock()
        self.counted: dict[tuple[str, str], int] = {}
        self.granted: dict[str, int] = defaultdict(int)
        self.odd: list[Any] = []

    def note(self, who: str, key: str, quantity: int) -> None:
        with self.lock:
            known = self.counted.setdefault((who, key), quantity)
            if known != quantity:
                self.odd.append((who, key, known, quantity))

    def run(self, number: int, rounds: int, start: Barrier) -> None:
        chance = random.Random(f"{self.seed}-{number}")  # reproducible, not secret
        api = Api(self.company.key)
        try:
            start.wait(timeout=30)
            for turn in range(rounds):
                self.act(api, chance, f"{number}-{turn}")
        finally:
            connection.close()

    def act(self, api: Api, chance: random.Random, own: str) -> None:
        who = chance.choice(self.people)
        # Some keys are shared by all, as retries that cross each other are; such a key has one quantity.
        shared = chance.random() < 0.3
        key = f"shared-{chance.randrange(12)}" if shared else own
        quantity = int(key.rpartition("-")[2]) % 3 + 1 if shared else chance.randint(1, 3)
        event = who.event(quantity=quantity, idempotencyKey=key)
        kind = chance.random()
        if kind < 0.5:
            for _ in range(chance.choice([1, 1, 2])):
                self.settle(api.post("/usage/track", event), who, key, quantity)
        elif kind < 0.65:
            other = chance.choice(self.people)
            events = [event, other.event(quantity=1, idempotencyKey=f"{own}-b"), who.event(quantity=500)]
            results = api.post("/usage/track/batch", {"events": events}).json()["results"]
            for result, (whose, what, much) in zip(
                results, [(who, key, quantity), (other, f"{own}-b", 1), (who, f"{own}-c", 500)], strict=True
            ):
                if result["success"]:
                    self.note(whose.id, what, much)
        elif kind < 0.75:
            body = {"metric": "api_calls", "quantity": quantity, "reason": "x", "priority": chance.randrange(3)}
            if api.post(f"/customers/{who.id}/credits", body).status_code == 201:
                with self.lock:
                    self.granted[who.id] += quantity
        else:
            self.reserve(api, chance, who, own)

    def reserve(self, api: Api, chance: random.Random, who: Subscriber, own: str) -> None:
        held = api.post("/usage/reservations", who.event(quantity=chance.randint(1, 4)))
        if held.status_code != 201:
            return self.expect(held, {409})
        path = f"/usage/reservations/{held.json()['id']}"
        if chance.random() < 0.3:
            return self.expect(api.post(f"{path}/release"), {200})
        real = chance.randint(0, 5)
        for _ in range(2):
            done = api.post(f"{path}/confirm", {"quantity": real})
            self.expect(done, {200, 409})
            if done.status_code == 200:
                self.note(who.id, f"hold-{own}", real)
        if done.status_code == 409:
            self.expect(api.post(f"{path}/release"), {200})
        return None

    def settle(self, response: Any, who: Subscriber, key: str, quantity: int) -> None:
        self.expect(response, {200, 409})
        if response.status_code == 200:
            self.note(who.id, key, quantity)

    def expect(self, response: Any, statuses: set[int]) -> None:
        if response.status_code not in statuses:
            with self.lock:
                self.odd.append((response.status_code, response.content[:300]))


def assert_a_crowd_counts_exactly(clients: int, rounds: int, seed: int) -> None:
    company = found_company("Acme")
    ada = make_subscriber(company)
    people = [ada]
    for number, (mode, included) in enumerate((("hard", 40), ("soft", 30))):
        who = make_subscriber_like(company, f"c{number}@example.com", mode, None)
        allow(who, included=included, mode=mode)
        people.append(who)
    allow(ada, included=60, mode="hard", windows=[{"per": "day", "limit": 70}])
    crowd = Crowd(company, people, seed)
    start = Barrier(clients)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda number: crowd.run(number, rounds, start), range(clients)))

    assert crowd.odd == []
    for who, (mode, included) in zip(people, (("hard", 60), ("hard", 40), ("soft", 30)), strict=True):
        acknowledged = sum(quantity for (whose, _), quantity in crowd.counted.items() if whose == who.id)
        with reading(company.scope):
            row = Counter.objects.within(company.scope).get(customer_id=who.uuid)
            left = sum(
                Credit.objects.within(company.scope).filter(customer_id=who.uuid).values_list("remaining", flat=True)
            )
        assert (row.used, row.held) == (acknowledged, 0)
        assert row.credited + left == crowd.granted[who.id]
        if mode == "hard":
            assert row.used <= included + row.credited
            assert row.credited == max(0, row.used - included)
        if who is people[0]:
            assert row.used <= 70
        points = Api(company.key).get(f"/usage/timeseries?customerId={who.id}&metric=api_calls").json()["data"]
        assert sum(point["value"] for point in points) == row.used
        assert_books_balance(company, who)


def test_a_crowd_counts_exactly_what_was_acknowledged(committed):
    assert_a_crowd_counts_exactly(clients=5, rounds=14, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_large_crowd_does_too(committed, seed):
    assert_a_crowd_counts_exactly(clients=16, rounds=150, seed=seed)
