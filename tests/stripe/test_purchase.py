"""A plan that is paid once, from the checkout page to what it grants."""

from __future__ import annotations

from typing import Any


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


def test_who_pays_once_and_returns_before_the_webhook_has_it(shop: Any):
    lifetime = shop.add_plan("Lifetime", 9900, interval="one_time")
    shop.sandbox.pay(shop.checkout(planId=lifetime)["url"])

    assert shop.current().json()["planId"] == lifetime
