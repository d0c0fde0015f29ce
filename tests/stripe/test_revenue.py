"""Each day's revenue, from invoices and from the history of subscriptions."""

from __future__ import annotations

from typing import Any

from django.db.models import Sum

from billing.models import InvoiceReference, RevenueDay
from stackbe.kernel.transactions import reading
from tests.dashboard.conftest import seated
from tests.queue import run_periodic


def advance(shop: Any, by: str) -> None:
    moved = shop.api.post("/test/clock", {"advance": by})
    assert moved.status_code == 200, moved.content


def written(shop: Any) -> list[RevenueDay]:
    run_periodic("billing.take_revenue")
    with reading(shop.company.scope):
        return list(RevenueDay.objects.within(shop.company.scope).exclude(currency="").order_by("day"))


def test_the_days_are_what_a_person_would_write_down(shop: Any):
    trial = shop.add_plan("Trial", 6000, trialDays=14)
    yearly = shop.add_plan("Yearly", 24000, interval="year")
    shop.subscribe("ada@example.com")  # 29.00 a month from the first day on
    shop.subscribe("bea@example.com", planId=trial)  # 60.00 a month after 14 days
    shop.subscribe("cy@example.com", planId=yearly)  # 240.00 a year
    assert written(shop) == []
    advance(shop, "1d")

    (first,) = written(shop)
    assert (first.mrr_cents, first.paying, first.started) == (2900 + 2000, 2, 2)
    assert (first.trials_started, first.trials_converted, first.trials_lost) == (1, 0, 0)
    assert (first.paid_cents, first.refunded_cents) == (2900 + 24000, 0)
    advance(shop, "14d")
    advance(shop, "1d")
    ada = shop.current("ada@example.com").json()["id"]
    shop.api.post(f"/subscriptions/{ada}/cancel", {"immediately": True})
    charge = shop.sandbox.get("/v1/charges", shop.account_id)["data"][-1]
    back = {"charge": charge["id"], "amount": 500}
    shop.sandbox.call("POST", "/v1/refunds", back, account=shop.account_id)
    shop.deliver()
    advance(shop, "1d")

    days = written(shop)
    assert [(d.mrr_cents, d.paying, d.churned, d.trials_converted) for d in days][-3:] == [
        (2900 + 6000 + 2000, 3, 0, 1),
        (2900 + 6000 + 2000, 3, 0, 0),
        (6000 + 2000, 2, 1, 0),
    ]
    assert (days[-1].refunded_cents, days[-1].paid_cents) == (500, 0)
    with reading(shop.company.scope):
        invoices = InvoiceReference.objects.within(shop.company.scope)
        sums = invoices.aggregate(paid=Sum("amount_paid_cents"), back=Sum("amount_refunded_cents"))
    assert (sum(d.paid_cents for d in days), sum(d.refunded_cents for d in days)) == (sums["paid"], sums["back"])
    assert written(shop) == days
    html = seated(shop.company).get("revenue").content.decode()
    assert "$80.00" in html  # what recurs by the month
    assert "100 %" in html  # of one trial, one converted
    assert "$5.00" in html
