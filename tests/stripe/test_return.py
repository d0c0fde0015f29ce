"""Coming back from a checkout that the dashboard opened, before the webhook has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.dashboard.conftest import seated

if TYPE_CHECKING:
    from tests.cast import Company


def test_who_comes_back_from_paying_sees_the_plan_at_once(shop: Any, acme: Company):
    shop.sandbox.pay(shop.checkout()["url"])
    desk, page = seated(acme), f"customers/{shop.customer()}"

    assert "No access" in desk.get(page).content.decode()
    back = desk.get(f"{page}?checkout=done").content.decode()

    assert "No access" not in back
    assert "Active" in back
