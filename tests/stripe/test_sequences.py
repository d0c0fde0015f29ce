"""Whatever happens, in whatever order, and whatever is lost on the way: in the end our rows equal Stripe's.

Each seed is one life of a subscription: calls of the API, acts of the account's owner at Stripe, time
that passes, payments that fail, and events that are dropped, doubled, late or out of order.
"""

from __future__ import annotations

import random
import urllib.error
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.models import InvoiceReference, SubscriptionTransition
from billing.services.ledger import find_faults
from billing.stripe.reconcile import compare
from stackbe.kernel.clock import render
from stackbe.kernel.transactions import reading
from tests.queue import run_jobs, run_periodic

STEPS = 14
ALLOWED = {200, 201, 400, 404, 409}


class Life:
    """One sequence on one shop."""

    def __init__(self, shop: Any, seed: int) -> None:
        self.shop, self.chance = shop, random.Random(seed)
        self.plans = [shop.plan, shop.add_plan("Lite", 900), shop.add_plan("Team", 9900)]
        self.told: set[bytes] = set()
        self.log: list[str] = []

    def run(self) -> None:
        """Subscribe, let things happen, then come to rest."""
        self.subscribe()
        acts = [
            self.subscribe, self.change, self.change, self.requantify, self.pause, self.resume, self.cancel,
            self.reactivate, self.withdraw, self.end_at_stripe, self.edit_at_stripe, self.pass_time, self.pass_time,
            self.flip_payment, self.break_delivery, self.deliver_some, self.deliver_some,
        ]  # fmt: skip
        for _ in range(STEPS):
            act = self.chance.choice(acts)
            self.log.append(act.__name__)
            act()
        self.rest()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.shop.api.request(method, path, body)
        assert answer.status_code in ALLOWED, (self.log, path, answer.content)
        return answer

    def current(self) -> dict[str, Any] | None:
        found = self.shop.api.get("/subscriptions?limit=1").json()["data"]
        return found[0] if found else None

    def on(self, suffix: str, method: str = "POST", body: Any = None) -> None:
        if (row := self.current()) is not None:
            self.call(method, f"/subscriptions/{row['id']}{suffix}", body)

    def subscribe(self) -> None:
        made = self.call("POST", "/checkout/session", self.shop.order(planId=self.chance.choice(self.plans)))
        if made.status_code == 201:
            with suppress(urllib.error.HTTPError, AssertionError):
                self.shop.sandbox.pay(made.json()["url"])

    def change(self) -> None:
        when = self.chance.choice([{}, {}, {"when": "now"}, {"when": "period_end"}, {"prorate": False}])
        self.on("", "PATCH", {"planId": self.chance.choice(self.plans), **when})

    def requantify(self) -> None:
        self.on("", "PATCH", {"quantity": self.chance.randint(1, 4)})

    def pause(self) -> None:
        later = render(datetime.now(UTC) + timedelta(days=self.chance.randint(1, 60)))
        self.on("/pause", body=self.chance.choice([{}, {"resumesAt": later}]))

    def resume(self) -> None:
        self.on("/resume")

    def cancel(self) -> None:
        self.on("/cancel", body={"immediately": self.chance.random() < 0.15})

    def reactivate(self) -> None:
        self.on("/reactivate")

    def withdraw(self) -> None:
        self.on("/scheduled-change", "DELETE")

    def at_stripe(self, method: str, body: Any = None) -> None:
        row = self.current()
        if row is not None and row["stripeSubscriptionId"]:
            with suppress(urllib.error.HTTPError):
                path = f"/v1/subscriptions/{row['stripeSubscriptionId']}"
                self.shop.sandbox.call(method, path, body, account=self.shop.account_id)

    def end_at_stripe(self) -> None:
        if self.chance.random() < 0.2:
            self.at_stripe("DELETE")

    def edit_at_stripe(self) -> None:
        word = self.chance.choice(["true", "false"])
        self.at_stripe("POST", {"cancel_at_period_end": word})

    def pass_time(self) -> None:
        days = self.chance.choice([1, 3, 10, 31])
        self.shop.sandbox.call("POST", "/_sandbox/clock", {"account": self.shop.account_id, "advance": f"{days}d"})

    def flip_payment(self) -> None:
        for customer in self.shop.sandbox.get("/v1/customers", self.shop.account_id)["data"]:
            how = self.chance.choice(["succeed", "decline", "authenticate"])
            control = {"account": self.shop.account_id, "customer": customer["id"], "payment": how}
            self.shop.sandbox.call("POST", "/_sandbox/payment", control)

    def break_delivery(self) -> None:
        self.shop.sandbox.heal()
        kind = self.chance.choice(["drop", "duplicate", "reorder"])
        self.shop.sandbox.fault(kind, percent=self.chance.choice([30, 60, 100]), account=self.shop.account_id)

    def deliver_some(self) -> None:
        waiting = [each for each in self.shop.sandbox.deliveries(self.shop.account_id) if each.body not in self.told]
        self.chance.shuffle(waiting)
        for delivery in waiting[: self.chance.randint(0, len(waiting))]:
            self.told.add(delivery.body)
            assert delivery.post().status_code == 200
        run_jobs(most=2000)

    def rest(self) -> None:
        """Come to an end: no more faults, and one look of each kind."""
        self.shop.sandbox.heal()
        run_jobs(most=2000)
        run_periodic("billing.look_for_missed_events")
        run_jobs(most=2000)
        run_periodic("billing.sweep_subscriptions")
        run_jobs(most=2000)


def check_ledger(shop: Any) -> None:
    """Every paid invoice explains one payment event, every step has a cause, and invoices equal Stripe's."""
    theirs = shop.sandbox.get("/v1/invoices?limit=100", shop.account_id)["data"]
    with reading(shop.company.scope):
        ours = list(InvoiceReference.objects.within(shop.company.scope))
        steps = list(SubscriptionTransition.objects.within(shop.company.scope))
    assert sorted((row.stripe_invoice_id, row.status, row.amount_paid_cents) for row in ours) == sorted(
        (each["id"], each["status"], each["amount_paid"]) for each in theirs
    )
    paid = [row for row in ours if row.status == "paid"]
    told = shop.api.get("/events?limit=100").json()
    assert told["hasMore"] is False
    assert sum(event["type"] == "payment.succeeded" for event in told["data"]) == len(paid)
    with reading(shop.company.scope):
        assert find_faults(shop.company.scope) == []
    assert steps
    assert all(step.cause.startswith(("stripe:", "key_", "system:")) for step in steps)


def live_a_life(shop: Any, seed: int) -> None:
    life = Life(shop, seed)

    life.run()

    assert compare(shop.company.scope, shop.account_id) == [], life.log
    check_ledger(shop)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_after_any_life_our_rows_equal_stripes(shop: Any, seed: int):
    live_a_life(shop, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4, 504))
def test_after_hundreds_of_lives_our_rows_equal_stripes(shop: Any, seed: int):
    live_a_life(shop, seed)
