"""Accounts that take no payments, and subscriptions on an account that the app has left."""

from __future__ import annotations

from typing import Any

from billing.models import StripeConnection
from billing.stripe.connect import connect_sandbox_account, disconnect
from stackbe.kernel.transactions import reading
from tests.queue import run_jobs
from tests.stripe.test_sync import connect_again


def test_an_account_that_takes_no_payments_sells_nothing_and_says_what_stripe_waits_for(shop: Any):
    shop.sandbox.call("POST", "/_sandbox/account", {"account": shop.account_id, "chargesEnabled": False})
    shop.deliver("account.updated")

    refused = shop.api.post("/checkout/session", shop.order())

    assert (refused.status_code, refused.json()["code"]) == (409, "STRIPE_ACCOUNT_RESTRICTED")
    with reading(shop.company.scope):
        wanted = StripeConnection.objects.within(shop.company.scope).get().requirements_due
    assert wanted
    assert all(each.replace("_", " ").replace(".", " / ") in refused.json()["message"] for each in wanted)
    # What it waited for was given meanwhile, and nobody has told us yet.
    shop.sandbox.call("POST", "/_sandbox/account", {"account": shop.account_id, "chargesEnabled": True})
    assert shop.api.post("/checkout/session", shop.order()).status_code == 201


def test_a_subscription_on_an_account_that_was_left_can_be_ended_here_alone(shop: Any):
    subscription = shop.subscribe()
    path = f"/subscriptions/{subscription['id']}/cancel"
    assert shop.api.post(path, {"onlyHere": True}).status_code == 409
    disconnect(shop.company.scope)
    connect_sandbox_account(shop.company.scope)
    run_jobs(tolerate=True)

    blocked = shop.api.post("/checkout/session", shop.order())
    refused = shop.api.post(path)
    ended = shop.api.post(path, {"onlyHere": True})

    for answer in (blocked, refused):
        assert (answer.status_code, answer.json()["code"]) == (409, "STRIPE_NOT_CONNECTED")
        assert subscription["id"] in answer.json()["message"]
        assert "onlyHere" in answer.json()["message"]
    assert (ended.status_code, ended.json()["status"]) == (200, "canceled")
    assert shop.api.post("/checkout/session", shop.order()).status_code == 201


def test_what_was_ended_here_alone_stays_so_when_the_account_returns(shop: Any):
    subscription = shop.subscribe()
    disconnect(shop.company.scope)
    shop.api.post(f"/subscriptions/{subscription['id']}/cancel", {"onlyHere": True})
    connect_again(shop)
    path = f"/v1/subscriptions/{subscription['stripeSubscriptionId']}"
    shop.sandbox.call("POST", path, {"cancel_at_period_end": "true"}, account=shop.account_id)

    shop.deliver()

    assert shop.api.get(f"/subscriptions/{subscription['id']}").json()["status"] == "canceled"
