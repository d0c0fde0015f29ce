"""Packs of credits: paid once, beside whatever runs, and ending in credits."""

from __future__ import annotations

from typing import Any

import pytest

PACK = {"interval": "one_time", "credits": [{"metric": "calls", "quantity": 1000, "expiresInDays": 90}]}


@pytest.fixture
def pack(shop: Any) -> str:
    """A thousand calls for 15 dollars."""
    shop.api.post("/metrics", {"name": "calls"})
    return str(shop.add_plan("Thousand calls", 1500, **PACK))


def balance(shop: Any, email: str = "ada@example.com") -> Any:
    return shop.api.get(f"/customers/{shop.customer(email)}/credits").json()["balance"].get("calls", 0)


def test_a_pack_is_bought_beside_a_subscription_and_ends_in_credits_once(shop: Any, pack: str):
    subscription = shop.subscribe()

    page = shop.checkout(planId=pack, quantity=2)
    shop.sandbox.pay(page["url"])
    back_before_the_webhook = balance(shop)
    shop.deliver()
    shop.deliver()

    assert (back_before_the_webhook, balance(shop)) == (2000, 2000)
    assert shop.current().json()["id"] == subscription["id"]
    [listed] = shop.api.get(f"/subscriptions?customerId={shop.customer()}").json()["data"]
    assert listed["id"] == subscription["id"]
    [credit] = shop.api.get(f"/customers/{shop.customer()}/credits").json()["ledger"]
    assert (credit["reason"], credit["expiresAt"] is None) == ("Bought: Thousand calls", False)

    shop.sandbox.pay(shop.checkout(planId=pack)["url"])
    shop.deliver()
    assert balance(shop) == 3000


def test_a_pack_needs_no_subscription_and_a_page_that_is_not_paid_gives_nothing(shop: Any, pack: str):
    page = shop.checkout("bob@example.com", planId=pack)
    before = balance(shop, "bob@example.com")

    shop.sandbox.pay(page["url"])
    shop.deliver()

    assert (before, balance(shop, "bob@example.com")) == (0, 1000)
    assert shop.current("bob@example.com").json()["code"] == "NO_ACTIVE_SUBSCRIPTION"


def test_credits_of_a_payment_that_goes_back_are_spent_no_more_where_the_app_says_so(shop: Any, pack: str):
    shop.api.patch(f"/apps/{shop.company.app}", {"settings": {"revokeOnRefund": True, "revokeOnDispute": True}})
    for _ in range(2):
        shop.sandbox.pay(shop.checkout(planId=pack)["url"])
    shop.deliver()
    refunded, disputed = (each["id"] for each in shop.sandbox.get("/v1/charges", shop.account_id)["data"])
    ledger = f"/customers/{shop.customer()}/credits"
    bought = shop.api.get(ledger).json()["ledger"]

    case = shop.sandbox.call("POST", "/_sandbox/disputes", {"account": shop.account_id, "charge": disputed})
    shop.sandbox.call("POST", "/v1/refunds", {"charge": refunded}, account=shop.account_id)
    shop.deliver()
    shop.deliver()
    nothing, held = balance(shop), shop.api.get(ledger).json()["ledger"]
    verdict = {"account": shop.account_id, "dispute": case["id"], "status": "won"}
    shop.sandbox.call("POST", "/_sandbox/disputes", verdict)
    shop.deliver()

    assert nothing == 0
    assert all(row["revokedAt"] and row["expired"] and row["remaining"] == 1000 for row in held)
    assert balance(shop) == 1000
    assert [row["revokedAt"] is None for row in shop.api.get(ledger).json()["ledger"]] == [False, True]
    assert shop.api.get(ledger).json()["ledger"][1] == bought[1]


def test_a_pack_is_part_of_the_catalogue_and_keeps_its_metric(shop: Any, pack: str):
    document = shop.api.get("/catalogue").json()
    [row] = [plan for plan in document["plans"] if plan["slug"] == "thousand-calls"]
    [metric] = shop.api.get("/metrics").json()["data"]

    assert row["credits"] == PACK["credits"]
    assert shop.api.put("/catalogue", document).json()["changes"] == []
    assert shop.api.delete(f"/metrics/{metric['id']}").status_code == 409
    assert shop.api.get(f"/plans/{pack}").json()["credits"] == PACK["credits"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"interval": "month"}, "credits"),
        ({"priceCents": 0}, "credits"),
        ({"seats": 3}, "seats"),
        ({"usage": [{"metric": "calls", "included": 5}]}, "usage"),
        ({"credits": [{"metric": "cals", "quantity": 1}]}, "credits.0.metric"),
        ({"credits": [{"metric": "rooms", "quantity": 1}]}, "credits.0.metric"),
        ({"credits": [{"metric": "calls", "quantity": 0}]}, "credits.0.quantity"),
        ({"credits": [{"metric": "calls", "quantity": 1}] * 2}, "credits.1.metric"),
    ],
)
def test_what_is_no_pack_is_refused_by_name(shop: Any, pack: str, more: Any, field: str):
    shop.api.post("/metrics", {"name": "rooms", "aggregation": "max"})
    asked = {"name": "Pack", "priceCents": 500, "currency": "usd", **PACK, **more}

    refused = shop.api.post("/plans", asked)

    assert (refused.status_code, list(refused.json()["fields"])) == (400, [field])


def test_credits_are_a_customers_own(shop: Any, pack: str):
    shop.checkout("ada@example.com", planId=pack)
    founded = shop.api.post("/organizations", {"name": "Engines", "customerId": shop.customer()}).json()["id"]

    refused = shop.api.post("/checkout/session", shop.order(planId=pack, organizationId=founded))

    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["organizationId"])
