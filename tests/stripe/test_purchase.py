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
