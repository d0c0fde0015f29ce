"""Coupons, made and archived by hand."""

from __future__ import annotations

import re

from tests.dashboard.conftest import Desk, seated
from tests.stripe.conftest import Shop, connected, sandbox_process, shop, stripe

__all__ = ["connected", "sandbox_process", "shop", "stripe"]


def test_a_coupon_is_made_shown_and_archived_and_a_wrong_one_is_refused_beside_its_field(shop: Shop):
    desk: Desk = seated(shop.company)
    form = {"code": "HALF", "percent_off": "50", "duration": "repeating", "duration_in_months": "3"}

    made = desk.post("coupons", **form).content.decode()
    fixed = desk.post("coupons", code="TEN", amount_off="10.50", currency="usd", duration="once").content.decode()
    twice = desk.post("coupons", **form)
    neither = desk.post("coupons", code="NONE", duration="once")

    assert "50 % for 3 months" in " ".join(made.split())
    assert "$10.50 the first invoice" in " ".join(fixed.split())
    assert (twice.status_code, neither.status_code) == (400, 400)
    assert "exists" in twice.content.decode()
    found = shop.api.get("/coupons?code=HALF").json()["data"][0]
    assert (found["percentOff"], found["durationInMonths"]) == (50, 3)
    coupon = re.findall(r"coupons/(coup_[a-z0-9]+)/archive", fixed)
    assert len(coupon) == 2
    desk.post(f"coupons/{found['id']}/archive")
    assert shop.api.get("/coupons?code=HALF&active=true").json()["data"] == []
