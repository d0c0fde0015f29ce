"""What leaves for Stripe in a whole life of a subscription."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from billing.stripe.sandbox.forms import decode
from tests.queue import run_jobs, run_periodic
from tests.sandbox import openapi


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    sent: list[Any] = []
    send = requests.Session.send

    def record(session: Any, request: Any, **rest: Any) -> Any:
        sent.append(request)
        return send(session, request, **rest)

    monkeypatch.setattr(requests.Session, "send", record)
    return sent


def misfit(request: Any) -> list[str]:
    """Return what Stripe's own document does not know of a request."""
    parts = urlsplit(request.url)
    body = request.body.decode() if isinstance(request.body, bytes) else request.body or ""
    return openapi.wrong_request(request.method, parts.path, decode(parts.query, body))


def test_every_call_names_the_account_carries_its_intent_and_takes_no_share(shop: Any, wire: list[Any]):
    subscription = shop.subscribe()
    shop.api.post(f"/subscriptions/{subscription['id']}/cancel")
    path = f"/subscriptions/{subscription['id']}"
    shop.api.post(f"{path}/reactivate")
    shop.api.patch(path, {"planId": shop.add_plan("Lite", 900)})
    shop.api.delete(f"{path}/scheduled-change")
    shop.api.post("/subscriptions/preview", {"subscriptionId": subscription["id"], "quantity": 2})
    shop.api.patch(path, {"planId": shop.add_plan("Team", 9900), "quantity": 2})
    shop.api.post(f"{path}/pause")
    shop.api.post(f"{path}/resume")
    shop.api.patch(f"/plans/{shop.plan}", {"priceCents": 3900})
    for each in ({"percentOff": 12.5}, {"amountOffCents": 500, "currency": "usd", "maxRedemptions": 5}):
        coupon = shop.api.post("/coupons", {"code": f"SAVE-{len(each)}", **each}).json()
        shop.api.delete(f"/coupons/{coupon['id']}")
    shop.deliver()
    shop.api.post(f"/subscriptions/{subscription['id']}/cancel", {"immediately": True})
    run_jobs()
    run_periodic("billing.look_for_missed_events")

    writes = [request for request in wire if request.method != "GET" and "create_preview" not in request.url]
    names = {name for request in writes for name, _ in parse_qsl(str(request.body or ""))}
    assert len(writes) > 14
    assert not [fault for request in wire if (fault := misfit(request))]
    assert {request.headers["Stripe-Account"] for request in wire} == {shop.account_id}
    assert all(request.headers["Idempotency-Key"].startswith("stackbe-") for request in writes)
    keys = [request.headers["Idempotency-Key"] for request in writes]
    assert len(keys) == len(set(keys))
    assert not [name for name in names if "application_fee" in name or "transfer" in name or "on_behalf_of" in name]
    assert not [request for request in wire if "card" in str(request.body or "")]


def test_taxes_and_codes_are_handed_through_as_stripe_takes_them(shop: Any, wire: list[Any]):
    settings = {"automaticTax": True, "taxIdCollection": True}
    shop.api.patch(f"/apps/{shop.company.app}", {"settings": settings})
    product = shop.api.post("/products", {"name": "Books", "description": "Printed", "taxCode": "txcd_35010000"}).json()
    price = {"currency": "usd", "unitAmountCents": 900, "taxBehavior": "inclusive"}
    plan = shop.api.post("/plans", {"name": "Reader", "productId": product["id"], "prices": [price]}).json()
    session = shop.checkout(planId=plan["id"], allowPromotionCodes=True)["id"]
    shop.sandbox.pay(shop.sandbox.get(f"/v1/checkout/sessions/{session}", shop.account_id)["url"])

    page = shop.sandbox.get(f"/v1/checkout/sessions/{session}", shop.account_id)
    sold = shop.sandbox.get(f"/v1/prices/{plan['stripePriceId']}", shop.account_id)
    kind = f"/v1/products/{sold['product']}"
    assert (page["automatic_tax"]["enabled"], page["allow_promotion_codes"], sold["tax_behavior"]) == (
        True, True, "inclusive",
    )  # fmt: skip
    assert shop.sandbox.get(kind, shop.account_id)["tax_code"] == product["taxCode"] == "txcd_35010000"
    document = shop.api.get("/catalogue").json()
    assert shop.api.put("/catalogue", document).json()["changes"] == []

    exclusive = {"prices": [{**price, "taxBehavior": "exclusive"}]}
    assert shop.api.patch(f"/plans/{plan['id']}", exclusive).json()["prices"][0]["id"] != plan["prices"][0]["id"]
    shop.api.patch(f"/products/{product['id']}", {"taxCode": "", "description": ""})
    run_jobs()
    told = shop.sandbox.get(kind, shop.account_id)
    assert (told["tax_code"], told["description"]) == (None, None)
    assert not [fault for request in wire if (fault := misfit(request))]

    both = shop.api.post("/checkout/session", shop.order(couponCode="X", allowPromotionCodes=True))
    assert (both.status_code, list(both.json()["fields"])) == (400, ["allowPromotionCodes"])
    odd = shop.api.post("/products", {"name": "Books", "taxCode": "books"})
    assert (odd.status_code, list(odd.json()["fields"])) == (400, ["taxCode"])
