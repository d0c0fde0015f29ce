"""POST /v1/subscriptions/:id/pause and /resume."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from stackbe.kernel.clock import render
from tests.stripe.test_change import advance, at_stripe, pays, steps


def in_days(days: int) -> str:
    return str(render(datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)))


def test_a_pause_ends_access_and_payment_until_it_is_resumed(shop: Any):
    subscription = shop.subscribe()

    for _ in range(2):
        paused = shop.api.post(f"/subscriptions/{subscription['id']}/pause")
        assert (paused.status_code, paused.json()["status"]) == (200, "paused"), paused.json()
    assert at_stripe(shop)["pause_collection"]["behavior"] == "void"
    assert shop.api.get(f"/subscriptions/{subscription['id']}/access").json()["hasAccess"] is False
    advance(shop, "32d")
    shop.deliver()
    assert sum(each["amount_paid"] for each in shop.sandbox.get("/v1/invoices", shop.account_id)["data"]) == 2900

    for _ in range(2):
        resumed = shop.api.post(f"/subscriptions/{subscription['id']}/resume")
        assert (resumed.status_code, resumed.json()["status"]) == (200, "active"), resumed.json()
    assert at_stripe(shop)["pause_collection"] is None
    assert shop.api.get(f"/subscriptions/{subscription['id']}/access").json()["hasAccess"] is True
    shop.deliver()
    told = shop.events()
    assert (told.count("subscription.paused"), told.count("subscription.resumed")) == (1, 1)


def test_a_pause_with_a_date_ends_by_itself_and_the_date_can_be_moved(shop: Any):
    subscription = shop.subscribe()
    shop.api.post(f"/subscriptions/{subscription['id']}/pause", {"resumesAt": in_days(5)})

    sooner = in_days(3)
    moved = shop.api.post(f"/subscriptions/{subscription['id']}/pause", {"resumesAt": sooner})
    assert moved.json()["resumesAt"] == sooner
    advance(shop, "4d")
    shop.deliver()

    assert shop.current().json()["status"] == "active"
    assert steps(shop, subscription) == ["created", "paused", "updated", "resumed"]


def test_what_cannot_pause_says_what_to_do(shop: Any):
    subscription = shop.subscribe()
    path = f"/subscriptions/{subscription['id']}/pause"

    assert shop.api.post(path, {"resumesAt": in_days(-1)}).json()["fields"]["resumesAt"]
    pays(shop, "decline")
    advance(shop, "32d")
    shop.deliver()
    owing = shop.api.post(path)
    shop.api.post(f"/subscriptions/{subscription['id']}/cancel", {"immediately": True})
    ended = [shop.api.post(path), shop.api.post(f"/subscriptions/{subscription['id']}/resume")]

    assert (owing.status_code, "open invoice" in owing.json()["message"]) == (409, True)
    assert [answer.status_code for answer in ended] == [409, 409]


def test_a_free_subscription_pauses_without_stripe(shop: Any, settings: Any):
    customer = shop.api.post("/customers", {"email": "eve@example.com"}).json()["id"]
    free = shop.add_plan("Free", 0)
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    made = shop.api.post("/subscriptions", {"customerId": customer, "planId": free}).json()

    assert shop.api.post(f"/subscriptions/{made['id']}/pause").json()["status"] == "paused"
    assert shop.api.post(f"/subscriptions/{made['id']}/resume").json()["status"] == "active"


def test_what_was_paid_once_cannot_pause(shop: Any):
    shop.sandbox.pay(shop.checkout(planId=shop.add_plan("Lifetime", 9900, interval="one_time"))["url"])
    shop.deliver()
    bought = shop.current().json()

    answer = shop.api.post(f"/subscriptions/{bought['id']}/pause")

    assert (answer.status_code, "paid once" in answer.json()["message"]) == (409, True)


def test_stripe_down_pauses_nothing(shop: Any, settings: Any):
    subscription = shop.subscribe()
    there, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, "http://127.0.0.1:9"

    down = shop.api.post(f"/subscriptions/{subscription['id']}/pause", Idempotency_Key="k")

    assert (down.status_code, down.json()["code"]) == (503, "STRIPE_UNAVAILABLE")
    settings.STRIPE_API_BASE = there
    again = shop.api.post(f"/subscriptions/{subscription['id']}/pause", Idempotency_Key="k")
    assert again.json()["status"] == "paused"
