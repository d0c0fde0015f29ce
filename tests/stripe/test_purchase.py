"""A plan that is paid once, from the checkout page to what it grants."""

from __future__ import annotations

from typing import Any

import pytest

from billing.services.ledger import find_faults
from stackbe.kernel.transactions import reading


def test_who_pays_once_has_the_plan_from_then_on(shop: Any):
    shop.api.post("/features", {"key": "sso", "type": "boolean"})
    lifetime = shop.add_plan("Lifetime", 9900, interval="one_time", entitlements={"sso": True})
    shop.sandbox.pay(shop.checkout(planId=lifetime)["url"])

    shop.deliver()
    shop.deliver()

    current = shop.current().json()
    assert (current["planId"], current["status"], current["currentPeriodEnd"]) == (lifetime, "active", None)
    shown = shop.api.get(f"/entitlements?customerId={shop.customer()}").json()
    assert shown["entitlements"] == {"sso": True}
    assert shop.events().count("subscription.created") == 1


@pytest.mark.parametrize("revokes", [True, False])
def test_a_full_refund_of_what_was_paid_once_ends_it_where_the_app_says_so(shop: Any, revokes: bool):
    shop.api.patch(f"/apps/{shop.company.app}", {"settings": {"revokeOnRefund": revokes}})
    shop.api.post("/features", {"key": "sso", "type": "boolean"})
    lifetime = shop.add_plan("Lifetime", 9900, interval="one_time", entitlements={"sso": True})
    shop.sandbox.pay(shop.checkout(planId=lifetime)["url"])
    shop.deliver()
    check = f"/entitlements/check/sso?customerId={shop.customer()}"
    charge = shop.sandbox.get("/v1/charges", shop.account_id)["data"][0]["id"]

    shop.sandbox.call("POST", "/v1/refunds", {"charge": charge, "amount": 900}, account=shop.account_id)
    shop.deliver("charge.refunded")
    part = shop.api.get(check).json()["hasAccess"]
    shop.sandbox.call("POST", "/v1/refunds", {"charge": charge}, account=shop.account_id)
    shop.deliver("charge.refunded")

    assert (part, shop.api.get(check).json()["hasAccess"]) == (True, not revokes)
    [payment] = shop.api.get("/invoices").json()["data"]
    assert (payment["status"], payment["number"], payment["amountPaidCents"], payment["amountRefundedCents"]) == (
        "paid", None, 9900, 9900,
    )  # fmt: skip
    told = shop.events()
    assert [told.count(each) for each in ("payment.succeeded", "payment.refunded", "invoice.created")] == [1, 2, 0]
    with reading(shop.company.scope):
        assert find_faults(shop.company.scope) == []


def test_who_pays_once_and_returns_before_the_webhook_has_it(shop: Any):
    lifetime = shop.add_plan("Lifetime", 9900, interval="one_time")
    shop.sandbox.pay(shop.checkout(planId=lifetime)["url"])

    assert shop.current().json()["planId"] == lifetime


def test_an_add_on_is_bought_beside_the_subscription_that_lists_it(shop: Any):
    shop.api.post("/features", {"key": "projects", "type": "number"})
    pack = shop.add_plan("Pack", 500, entitlements={"projects": 10})
    team = shop.add_plan("Team", 4900, entitlements={"projects": 3}, addOns=[pack])
    for plan in (team, pack):
        shop.sandbox.pay(shop.checkout(planId=plan)["url"])
        shop.deliver()

    shown = shop.api.get(f"/entitlements?customerId={shop.customer()}").json()

    assert (shown["planName"], shown["entitlements"]) == ("Team", {"projects": 13})
    assert shop.current().json()["planId"] == team
