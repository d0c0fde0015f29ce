"""What leaves for Stripe in a whole life of a subscription."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests

from tests.queue import run_jobs, run_periodic


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    sent: list[Any] = []
    send = requests.Session.send

    def record(session: Any, request: Any, **rest: Any) -> Any:
        sent.append(request)
        return send(session, request, **rest)

    monkeypatch.setattr(requests.Session, "send", record)
    return sent


def test_every_call_names_the_account_carries_its_intent_and_takes_no_share(shop: Any, wire: list[Any]):
    subscription = shop.subscribe()
    shop.api.post(f"/subscriptions/{subscription['id']}/cancel")
    shop.api.post(f"/subscriptions/{subscription['id']}/reactivate")
    shop.api.patch(f"/plans/{shop.plan}", {"priceCents": 3900})
    shop.deliver()
    shop.api.post(f"/subscriptions/{subscription['id']}/cancel", {"immediately": True})
    run_jobs()
    run_periodic("billing.look_for_missed_events")

    writes = [request for request in wire if request.method != "GET"]
    names = {name for request in writes for name, _ in parse_qsl(str(request.body or ""))}
    assert len(writes) > 8
    assert {request.headers["Stripe-Account"] for request in wire} == {shop.account_id}
    assert all(request.headers["Idempotency-Key"].startswith("stackbe-") for request in writes)
    keys = [request.headers["Idempotency-Key"] for request in writes]
    assert len(keys) == len(set(keys))
    assert not [name for name in names if "application_fee" in name or "transfer" in name or "on_behalf_of" in name]
    assert not [request for request in wire if "card" in str(request.body or "")]
