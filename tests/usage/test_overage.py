"""What is used beyond an allowance is on the bill: once, to the cent, late events with the next one."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.models import App
from billing.models import StripeIntent, StripeObject
from stackbe.kernel.transactions import change, reading
from tests.cast import Api
from tests.queue import run_jobs, run_periodic
from tests.stripe.conftest import Shop, connected, sandbox_process, shop, stripe
from tests.stripe.test_change import at_stripe
from usage.models import Counter

__all__ = ["connected", "sandbox_process", "shop", "stripe"]

INCLUDED, UNIT, FLAT = 100, 2, 2900


@pytest.fixture
def metered(shop: Shop) -> str:
    """A plan with a hundred calls, two cents for each further one."""
    shop.api.post("/metrics", {"name": "calls"})
    usage = [
        {
            "metric": "calls",
            "included": INCLUDED,
            "mode": "soft",
            "overage": {"scheme": "per_unit", "unitAmountCents": UNIT},
        }
    ]
    return shop.add_plan("Metered", FLAT, usage=usage)


def use(shop: Shop, quantity: int, **more: Any) -> None:
    body = {"customerId": shop.customer(), "metric": "calls", "quantity": quantity, **more}
    assert shop.api.post("/usage/track", body).status_code == 200


def report() -> None:
    run_periodic("usage.report_overage")


def advance(shop: Shop, by: timedelta) -> None:
    """Let time pass, at Stripe and for the app alike."""
    control = {"account": shop.account_id, "advance": int(by.total_seconds())}
    shop.sandbox.call("POST", "/_sandbox/clock", control)
    with change(shop.company.scope):
        row = App.objects.within(shop.company.scope).get(pk=shop.company.app_id)
        row.clock_offset_ms += int(by.total_seconds() * 1000)
        row.save(update_fields=["clock_offset_ms"])
    shop.deliver()


def totals(shop: Shop) -> list[int]:
    found = shop.sandbox.get("/v1/invoices?limit=100", shop.account_id)["data"]
    return [int(each["total"]) for each in reversed(found)]


def next_period(shop: Shop, past: timedelta = timedelta(hours=2)) -> None:
    ends = datetime.fromisoformat(shop.current().json()["currentPeriodEnd"])
    with reading(shop.company.scope):
        offset = App.objects.within(shop.company.scope).get(pk=shop.company.app_id).clock_offset_ms
    advance(shop, ends - datetime.now(UTC) - timedelta(milliseconds=offset) + past)


def test_use_beyond_the_allowance_is_charged_with_the_next_invoice_and_once(shop: Shop, metered: str):
    shop.subscribe(planId=metered)
    use(shop, 130)
    report()
    report()
    use(shop, 20)
    report()

    next_period(shop)
    report()
    next_period(shop)

    assert totals(shop) == [FLAT, FLAT + 50 * UNIT, FLAT]


def test_a_plan_that_stripe_knows_by_half_is_sold_with_its_overage(shop: Shop, metered: str):
    run_jobs()
    # As between the two calls of a push: the price is known, what is charged beside it is not yet.
    with change(shop.company.scope):
        half = StripeObject.objects.within(shop.company.scope).filter(kind=StripeObject.Kind.OVERAGE)
        assert half.delete()[0] == 1
    shop.subscribe(planId=metered)
    use(shop, 130)
    report()

    next_period(shop)

    assert totals(shop) == [FLAT, FLAT + 30 * UNIT]


def test_within_the_allowance_nothing_is_reported(shop: Shop, metered: str):
    shop.subscribe(planId=metered)
    use(shop, INCLUDED)

    report()

    assert_nothing_was_reported(shop)


def test_what_was_used_in_a_trial_is_not_reported_after_it_either(shop: Shop, metered: str):
    shop.subscribe(planId=metered, trialDays=3)
    use(shop, 130)
    advance(shop, timedelta(days=3, hours=2))
    assert shop.current().json()["status"] == "active"

    report()

    assert_nothing_was_reported(shop)


def assert_nothing_was_reported(shop: Shop) -> None:
    with reading(shop.company.scope):
        assert not StripeIntent.objects.within(shop.company.scope).filter(kind="meter.report").exists()


def test_a_report_whose_answer_was_lost_counts_once(shop: Shop, metered: str):
    shop.subscribe(planId=metered)
    use(shop, 130)
    shop.sandbox.fault("api_cut", path="/v1/billing/meter_events", count=2)
    report()
    use(shop, 5)
    report()
    report()

    next_period(shop)

    assert totals(shop)[-1] == FLAT + 35 * UNIT


def test_what_comes_late_for_a_billed_period_is_on_the_next_bill(shop: Shop, metered: str):
    shop.subscribe(planId=metered)
    use(shop, 110)
    report()
    next_period(shop)
    shop.sandbox.heal()
    with change(shop.company.scope):
        Counter.objects.within(shop.company.scope).update(used=117)

    report()
    next_period(shop, past=timedelta(minutes=1))
    # The invoice is final already, within the hour for which Stripe usually holds it open.
    began = shop.current().json()["currentPeriodStart"]
    with change(shop.company.scope):
        Counter.objects.within(shop.company.scope).update(used=122, period_end=began)
    report()
    next_period(shop)

    assert totals(shop)[1:] == [FLAT + 10 * UNIT, FLAT + 7 * UNIT, FLAT + 5 * UNIT]


def test_a_change_of_plan_takes_the_overage_along(shop: Shop, metered: str):
    subscription = shop.subscribe()
    path = f"/subscriptions/{subscription['id']}"

    assert shop.api.patch(path, {"planId": metered, "when": "now"}).json()["planId"] == metered
    assert len(at_stripe(shop)["items"]["data"]) == 2
    assert shop.current().json()["planId"] == metered
    lite = shop.add_plan("Lite", 900)
    assert shop.api.patch(path, {"planId": lite}).json()["scheduledChange"]["planId"] == lite
    next_period(shop)

    items = at_stripe(shop)["items"]["data"]
    assert [item["price"]["unit_amount"] for item in items] == [900]


def live_months(shop: Shop, plan: str, months: int, seed: int) -> None:
    """Use at random, and hold each invoice against what a calculator of our own says."""
    chance = random.Random(seed)
    shop.subscribe(planId=plan)
    expected = [FLAT]
    for _ in range(months):
        used = [chance.randint(1, 120) for _ in range(chance.randint(0, 3))]
        for quantity in used:
            use(shop, quantity)
            if chance.random() < 0.5:
                report()
        report()
        next_period(shop)
        expected.append(FLAT + UNIT * max(0, sum(used) - INCLUDED))

    assert totals(shop) == expected


def test_a_generated_quarter_equals_the_calculator_to_the_cent(shop: Shop, metered: str):
    live_months(shop, metered, 3, seed=7)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_generated_year_equals_the_calculator_to_the_cent(shop: Shop, metered: str, seed: int):
    live_months(shop, metered, 12, seed)


def test_a_rival_sees_nothing_of_it(shop: Shop, metered: str, globex_api: Api):
    shop.subscribe(planId=metered)
    run_jobs()

    assert globex_api.get(f"/usage?customerId={shop.customer()}").status_code == 404


def test_credits_pay_before_the_bill_does(shop: Shop, metered: str):
    shop.subscribe(planId=metered)
    granted = {"metric": "calls", "quantity": 20, "reason": "goodwill"}
    assert shop.api.post(f"/customers/{shop.customer()}/credits", granted).status_code == 201
    use(shop, 130)
    report()

    next_period(shop)

    assert totals(shop) == [FLAT, FLAT + 10 * UNIT]


def test_a_clock_that_is_moved_bills_what_was_used_until_then(shop: Shop, metered: str):
    shop.subscribe(planId=metered)
    use(shop, 130)

    moved = shop.api.post("/test/clock", {"advance": "33d"})

    assert moved.status_code == 200, moved.content
    assert totals(shop) == [FLAT, FLAT + 30 * UNIT]
