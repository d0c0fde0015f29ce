"""One life against Stripe itself, by a test key of yours: what the sandbox cannot vouch for.

    STRIPE_TEST_KEY=sk_test_… STRIPE_TEST_ACCOUNT=acct_… python3 manage.py test -m slow tests/stripe/test_real.py

The key is that of a Connect platform in test mode; the account is connected to it and may take payments (without one,
the key's own is asked for). The same life is played on the sandbox in every run, so that its script is known to hold.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from billing.stripe import gateway
from billing.stripe.connect import complete_connection
from billing.stripe.reconcile import compare, look_for_missed
from tests.cast import Api
from tests.queue import run_jobs

if TYPE_CHECKING:
    from billing.models import StripeConnection
    from tests.cast import Company

KEY, ACCOUNT = os.environ.get("STRIPE_TEST_KEY", ""), os.environ.get("STRIPE_TEST_ACCOUNT", "")


def ask(account_id: str, method: str, path: str, **params: Any) -> Any:
    """Speak with Stripe as the account's owner would: not by our gateway, which marks all that it makes."""
    return gateway.client().raw_request(method, path, stripe_account=account_id, **params).data


def follow(company: Company, account_id: str) -> None:
    """Hear of what happened, as if by its events."""
    look_for_missed(company.scope, account_id)
    run_jobs()


def play(company: Company, connection: StripeConnection) -> None:
    """Sell a plan, change it, meet a card that is declined, cancel: what Stripe shows is what we say."""
    api, account, mark = Api(company.key), connection.account_id, uuid.uuid4().hex[:8]
    run_jobs()
    sold = [
        api.post("/plans", {"name": f"{name} {mark}", "priceCents": cents, "currency": "usd"}).json()["id"]
        for name, cents in (("Small", 1000), ("Large", 3000))
    ]
    coupon = api.post("/coupons", {"code": f"half-{mark}", "percentOff": 50})
    assert coupon.status_code == 201, coupon.json()
    run_jobs()
    small, large = (api.get(f"/plans/{plan}").json()["stripePriceId"] for plan in sold)
    assert small
    assert large
    order = {"planId": sold[0], "successUrl": "https://shop.example/", "cancelUrl": "https://shop.example/"}
    page = api.post("/checkout/session", {**order, "email": f"ada-{mark}@example.com", "couponCode": f"HALF-{mark}"})
    assert page.status_code == 201, page.json()
    assert page.json()["url"].startswith("http")
    customer = api.get(f"/customers?email=ada-{mark}@example.com").json()["data"][0]["id"]

    # Nobody presses Pay on Stripe's page here, so the subscription is made as that page would make it.
    session = ask(account, "get", f"/v1/checkout/sessions/{page.json()['id']}")
    ask(account, "post", f"/v1/checkout/sessions/{session['id']}/expire")
    method = ask(account, "post", "/v1/payment_methods/pm_card_visa/attach", customer=session["customer"])
    invoices = {"default_payment_method": method["id"]}
    ask(account, "post", f"/v1/customers/{session['customer']}", invoice_settings=invoices)
    made = ask(
        account, "post", "/v1/subscriptions",
        customer=session["customer"], items=[{"price": small}], metadata=session["metadata"],
    )  # fmt: skip
    try:
        follow(company, account)
        current = api.get(f"/subscriptions/current?customerId={customer}").json()
        path = f"/subscriptions/{current['id']}"
        assert (current["status"], current["planId"]) == ("active", sold[0])

        preview = api.post("/subscriptions/preview", {"subscriptionId": current["id"], "planId": sold[1]})
        upgraded = api.patch(path, {"planId": sold[1]})
        waiting = api.patch(path, {"planId": sold[0]})
        paused = [api.post(f"{path}/{verb}").json()["status"] for verb in ("pause", "resume")]
        ended = api.post(f"{path}/cancel")
        kept = api.post(f"{path}/reactivate")

        assert preview.json()["amountDueCents"] > 0, preview.json()
        assert (upgraded.status_code, upgraded.json()["planId"]) == (200, sold[1]), upgraded.json()
        assert waiting.json()["scheduledChange"]["planId"] == sold[0], waiting.json()
        assert paused == ["paused", "active"]
        assert ended.json()["cancelAtPeriodEnd"] is True, ended.json()
        assert kept.json()["cancelAtPeriodEnd"] is False, kept.json()
        follow(company, account)
        assert {row["status"] for row in api.get(f"/invoices?customerId={customer}").json()["data"]} == {"paid"}
        assert compare(company.scope, account) == []

        closed = api.post(f"{path}/cancel", {"immediately": True})
        assert closed.json()["status"] == "canceled", closed.json()
    finally:
        if ask(account, "get", f"/v1/subscriptions/{made['id']}")["status"] != "canceled":
            ask(account, "delete", f"/v1/subscriptions/{made['id']}")
        api.delete(f"/coupons/{coupon.json()['id']}")
        for plan in sold:
            api.delete(f"/plans/{plan}")
        run_jobs()


def test_a_life_on_the_sandbox(connected: StripeConnection, acme: Company):
    play(acme, connected)


@pytest.mark.slow
@pytest.mark.skipif(not KEY, reason="STRIPE_TEST_KEY is not set: Stripe itself was not asked")
def test_a_life_at_stripe_itself(acme: Company, settings: Any):
    assert KEY.startswith(("sk_test_", "rk_test_")), "only a test key is used here"
    settings.STRIPE_SECRET_KEY = KEY
    settings.STRIPE_API_BASE, settings.STRIPE_CONNECT_BASE = "https://api.stripe.com", "https://connect.stripe.com"
    settings.STRIPE_SANDBOX, settings.STRIPE_TIMEOUT_SECONDS = False, 30
    account = ACCOUNT or gateway.client().raw_request("get", "/v1/account").data["id"]

    play(acme, complete_connection(acme.scope, account, livemode=False))
