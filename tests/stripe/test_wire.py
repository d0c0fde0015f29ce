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
