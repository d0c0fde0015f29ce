"""Stripe down for a minute, in the middle of everything."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from billing.services.ledger import find_faults
from billing.stripe import gateway, reconcile
from billing.stripe.reconcile import compare
from stackbe.kernel.transactions import reading
from tests.queue import run_jobs, run_periodic


def test_nothing_is_lost_or_done_twice_when_stripe_is_down_for_a_minute(shop: Any, monkeypatch: Any):
    monkeypatch.setattr(gateway, "RETRIES", 0)
    ada, bea = shop.subscribe("ada@example.com"), shop.subscribe("bea@example.com")
    more = {"quantity": 2, "when": "now"}
    asked = [
        ("POST", "/checkout/session", shop.order("cy@example.com")),
        ("POST", f"/subscriptions/{ada['id']}/cancel", {}),
        ("POST", "/subscriptions/preview", {"subscriptionId": bea["id"], **more}),
        ("POST", f"/subscriptions/{bea['id']}/pause", {}),
        ("POST", "/portal/session", {"customerId": ada["customerId"], "returnUrl": "https://shop.example/"}),
        ("POST", "/coupons", {"code": "HALF", "percentOff": 50}),
    ]
    dispute = shop.sandbox.get("/v1/charges", shop.account_id)["data"][0]["id"]
    shop.sandbox.fault("api_500", path="/v1/", account=shop.account_id)

    down = [shop.api.request(*call, Idempotency_Key=f"call-{n}") for n, call in enumerate(asked)]
    shop.api.patch(f"/plans/{shop.plan}", {"priceCents": 3900})
    shop.sandbox.call("POST", "/_sandbox/disputes", {"account": shop.account_id, "charge": dispute})
    shop.sandbox.call("POST", "/_sandbox/clock", {"account": shop.account_id, "advance": "32d"})
    shop.deliver(worked_off=False)
    run_jobs(tolerate=True)
    run_periodic("billing.sweep_subscriptions")
    run_periodic("billing.look_for_missed_events")

    assert [answer.status_code for answer in down] == [503] * len(asked), [answer.content for answer in down]
    assert {answer.json()["code"] for answer in down} == {"STRIPE_UNAVAILABLE"}
    assert all(int(answer["Retry-After"]) > 0 for answer in down)
    held = shop.api.get(f"/subscriptions/{ada['id']}/access").json()
    assert (held["hasAccess"], held["reason"]) == (True, "active")
    assert shop.current("bea@example.com").json()["status"] == "active"

    shop.sandbox.heal()
    monkeypatch.setattr(reconcile, "STALE", timedelta())  # The worker's own retries have been used up.
    again = [shop.api.request(*call, Idempotency_Key=f"call-{n}") for n, call in enumerate(asked)]
    for job in ("billing.push_pending", "billing.look_for_missed_events", "billing.sweep_subscriptions"):
        run_periodic(job)
        run_jobs(tolerate=True)

    assert {answer.status_code for answer in again} <= {200, 201}, [answer.content for answer in again]
    assert compare(shop.company.scope, shop.account_id) == []
    with reading(shop.company.scope):
        assert find_faults(shop.company.scope) == []
    theirs = shop.sandbox.get("/v1/invoices?limit=100", shop.account_id)["data"]
    ours = shop.api.get("/invoices?limit=100").json()["data"]
    assert sorted((i["number"], i["status"]) for i in ours) == sorted((i["number"], i["status"]) for i in theirs)
    assert shop.events().count("payment.disputed") == 1
    assert len(shop.sandbox.get("/v1/checkout/sessions", shop.account_id)["data"]) == 3
    (code,) = shop.sandbox.get("/v1/promotion_codes", shop.account_id)["data"]
    assert code["code"] == "HALF"
