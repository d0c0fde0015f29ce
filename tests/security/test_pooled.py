"""Check 7: two tenants on the same few connections, errors among them, and never a word of the other's."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connections

from stackbe.kernel.transactions import change, reading
from tests.cast import Api, Company, found_company

THREADS = 4
CANARIES = {"Acme": "canary-of-acme", "Globex": "canary-of-globex"}


@dataclass
class Side:
    """A tenant whose every row says whose it is."""

    name: str
    company: Company
    keys: list[str]
    customers: list[str]

    @property
    def foreign(self) -> bytes:
        """Return what must never be in an answer to this side."""
        return next(canary for name, canary in CANARIES.items() if name != self.name).encode()


def found(name: str, keys: int) -> Side:
    company, canary = found_company(name), CANARIES[name]
    api = Api(company.key)
    made = [
        api.post("/customers", {"email": f"{n}@{canary}.example", "name": canary, "metadata": {"of": canary}}).json()
        for n in range(3)
    ]
    api.post("/metrics", {"name": "api_calls", "unit": canary})
    texts = [company.api("*").headers["Authorization"].removeprefix("Bearer ") for _ in range(keys)]
    return Side(name, company, texts, [row["id"] for row in made])


class Traffic:
    """Sends one call after the other, each for either side, all on this process's pooled connections."""

    def __init__(self, sides: tuple[Side, Side]) -> None:
        self.sides = sides
        self.leaks: list[str] = []
        self.statuses: dict[int, int] = {}

    def call(self, number: int) -> None:
        """Send one call, drawn by its number, and look for the other tenant's canary in the answer."""
        dice = random.Random(number)  # the same calls in every run
        side, other = dice.sample(self.sides, 2)
        api = Api(dice.choice(side.keys))
        mine, theirs = dice.choice(side.customers), dice.choice(other.customers)
        kind, path, body = dice.choice(
            [
                ("GET", "/customers?limit=100", None),
                ("GET", f"/customers/{mine}", None),
                ("GET", f"/customers/{theirs}", None),
                ("PATCH", f"/customers/{theirs}", {"name": "taken"}),
                ("PATCH", f"/customers/{mine}", {"metadata": {"of": CANARIES[side.name], "n": number}}),
                ("POST", "/customers", {"email": f"0@{CANARIES[side.name]}.example"}),
                ("POST", "/customers", {"email": 5}),
                ("GET", "/events?limit=20", None),
                ("GET", f"/entitlements/check/sso?customerId={mine}", None),
                ("GET", f"/entitlements/check/sso?customerId={theirs}", None),
                ("POST", "/usage/track", {"customerId": mine, "metric": "api_calls"}),
                ("POST", "/usage/track", {"customerId": theirs, "metric": "api_calls"}),
                ("GET", f"/customers/{mine}/state", None),
                ("GET", "/metrics", None),
            ]
        )
        response = api.request(kind, path, body)
        self.note(side, f"{kind} {path}", response)
        if number % 25 == 0:
            self.fail(side)

    def note(self, side: Side, sent: str, response: Any) -> None:
        """Count an answer, and keep it if it says anything of the other tenant's."""
        self.statuses[response.status_code] = self.statuses.get(response.status_code, 0) + 1
        if side.foreign in response.content:
            self.leaks.append(f"{side.name}: {sent} → {response.content[:200]!r}")

    @staticmethod
    def fail(side: Side) -> None:
        """Break off a transaction in the middle, in Python and in the database, so that its connection is reused."""
        for opening in (change, reading):
            with pytest.raises(ZeroDivisionError), opening(side.company.scope):
                _ = 1 / 0
        with pytest.raises(Exception, match="canceling statement"), reading(side.company.scope):
            cursor = connections["default"].cursor()
            cursor.execute("set local statement_timeout = 5")
            cursor.execute("select pg_sleep(1)")

    def run(self, calls: int) -> None:
        """Send them from a few threads at once, each on the connection that it keeps."""
        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(self.work, range(n, calls, THREADS)) for n in range(THREADS)]:
                done.result()

    def work(self, numbers: range) -> None:
        """Send a thread's share, and give its connection back."""
        try:
            for number in numbers:
                self.call(number)
        finally:
            connections.close_all()


def prove(calls: int) -> None:
    """Assert that nothing crossed."""
    keys = calls // 400 + 2  # no key comes near its limit
    traffic = Traffic((found("Acme", keys), found("Globex", keys)))
    traffic.run(calls)

    assert traffic.leaks == []
    assert {200, 400, 404, 409} <= set(traffic.statuses), traffic.statuses
    assert not {429, 500, 503} & set(traffic.statuses), traffic.statuses
    assert sum(traffic.statuses.values()) == calls


def test_hundreds_of_interleaved_calls_of_two_tenants_never_meet(committed):
    prove(400)


@pytest.mark.slow
def test_nor_do_ten_thousand(committed):
    prove(10_000)
