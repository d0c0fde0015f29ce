"""A subscription's page: what may be done about it, and what has become of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dashboard.conftest import Desk, seated
from tests.stripe.conftest import Shop, connected, sandbox_process, shop, stripe

__all__ = ["connected", "sandbox_process", "shop", "stripe"]


@pytest.fixture
def desk_of_shop(shop: Shop) -> Desk:
    return seated(shop.company)


def page(desk: Desk, subscription: dict[str, Any]) -> str:
    return str(desk.get(f"subscriptions/{subscription['id']}").content.decode())


def test_a_subscription_is_paused_and_resumed_by_hand(shop: Shop, desk_of_shop: Desk):
    subscription = shop.subscribe()

    desk_of_shop.post(f"subscriptions/{subscription['id']}/pause")
    assert shop.current().json()["status"] == "paused"
    assert "Resume it?" in page(desk_of_shop, subscription)
    desk_of_shop.post(f"subscriptions/{subscription['id']}/resume")

    assert shop.current().json()["status"] == "active"


def test_a_change_is_priced_made_shown_and_taken_back(shop: Shop, desk_of_shop: Desk):
    subscription = shop.subscribe()
    lite = shop.add_plan("Lite", 900)
    form = {"plan_id": lite, "quantity": "1", "when": ""}
    path = f"subscriptions/{subscription['id']}"

    priced = desk_of_shop.post(f"{path}/change", **form, preview="1").content.decode()
    assert "9.00" in priced
    assert shop.current().json()["scheduledChange"] is None
    desk_of_shop.post(f"{path}/change", **form, change="1")
    assert "It becomes Lite" in page(desk_of_shop, subscription)
    desk_of_shop.post(f"{path}/withdraw-change")

    assert shop.current().json()["scheduledChange"] is None
    assert "It becomes" not in page(desk_of_shop, subscription)


def test_a_refused_change_says_why_beside_the_form(shop: Shop, desk_of_shop: Desk):
    subscription = shop.subscribe()
    form = {"plan_id": shop.add_plan("Free", 0), "quantity": "1", "when": ""}

    answer = desk_of_shop.post(f"subscriptions/{subscription['id']}/change", **form, change="1")

    assert answer.status_code == 400
    assert "This plan is free" in answer.content.decode()
