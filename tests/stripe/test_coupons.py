"""/v1/coupons, and a coupon's code at the checkout."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import reading
from tests.refusals import assert_hidden, assert_needs_credential, assert_needs_scope, assert_refuses_each, never

HALF = {"code": "HALF-OFF", "percentOff": 50}


def at_stripe(shop: Any, kind: str) -> list[dict[str, Any]]:
    """Return what the account holds, newest first."""
    return list(shop.sandbox.call("GET", f"/v1/{kind}", {"limit": 100}, account=shop.account_id)["data"])


def test_a_coupon_is_made_on_the_connected_account(shop: Any):
    ends = (wall_clock() + timedelta(days=30)).replace(microsecond=0)
    asked = {
        "code": "Spring-12",
        "percentOff": 12.5,
        "duration": "repeating",
        "durationInMonths": 3,
        "maxRedemptions": 100,
        "expiresAt": ends.isoformat(),
    }

    response = shop.api.post("/coupons", asked)

    made = response.json()
    assert response.status_code == 201, made
    [coupon], [code] = at_stripe(shop, "coupons"), at_stripe(shop, "promotion_codes")
    assert made["id"].startswith("coup_")
    assert {name: made[name] for name in asked if name != "expiresAt"} == {
        name: asked[name] for name in asked if name != "expiresAt"
    }
    assert made["expiresAt"] == ends.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert (made["active"], made["amountOffCents"], made["currency"]) == (True, None, None)
    assert (made["stripeCouponId"], made["stripePromotionCodeId"]) == (coupon["id"], code["id"])
    assert (coupon["percent_off"], coupon["duration"], coupon["duration_in_months"]) == (12.5, "repeating", 3)
    assert (code["code"], code["max_redemptions"], code["expires_at"]) == ("Spring-12", 100, int(ends.timestamp()))
    assert code["metadata"]["stackbe_coupon"] == made["id"]
    assert shop.api.get(f"/coupons/{made['id']}").json() == made
    assert shop.api.get("/coupons").json() == {"data": [made], "hasMore": False, "nextCursor": None}


def test_an_amount_comes_off_in_its_currency(shop: Any):
    made = shop.api.post(
        "/coupons", {"code": "TEN", "amountOffCents": 1000, "currency": "USD", "duration": "forever"}
    ).json()

    assert (made["amountOffCents"], made["currency"], made["percentOff"]) == (1000, "usd", None)
    [coupon] = at_stripe(shop, "coupons")
    assert (coupon["amount_off"], coupon["currency"], coupon["duration"]) == (1000, "usd", "forever")


def test_its_code_takes_its_share_off_at_the_checkout_in_any_case(shop: Any):
    shop.api.post("/coupons", HALF)

    shop.subscribe(couponCode="half-Off")

    [invoice] = shop.api.get(f"/invoices?customerId={shop.customer()}").json()["data"]
    assert (invoice["status"], invoice["amountPaidCents"]) == ("paid", 1450)


def test_what_is_over_is_a_clear_error_at_the_checkout(shop: Any):
    once = shop.api.post("/coupons", HALF | {"maxRedemptions": 1}).json()
    shop.subscribe(couponCode="HALF-OFF")

    used_up = shop.api.post("/checkout/session", shop.order("eve@example.com", couponCode="HALF-OFF"))
    assert shop.api.delete(f"/coupons/{once['id']}").status_code == 204
    archived = shop.api.post("/checkout/session", shop.order("eve@example.com", couponCode="HALF-OFF"))
    by_id = shop.api.post("/checkout/session", shop.order("eve@example.com", couponCode=once["stripeCouponId"]))
    unknown = shop.api.post("/checkout/session", shop.order("eve@example.com", couponCode="HALF"))

    for response, word in ((used_up, "used up"), (archived, "used up"), (by_id, "No such"), (unknown, "No such")):
        assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR"), response.json()
        assert word in response.json()["fields"]["couponCode"][0]
    assert shop.api.post("/checkout/session", shop.order("eve@example.com")).status_code == 201


def test_a_code_is_used_once_at_a_time_and_an_archived_one_is_free_again(shop: Any):
    first = shop.api.post("/coupons", HALF).json()

    taken = shop.api.post("/coupons", {"code": "half-off", "percentOff": 10})
    for _ in range(2):
        assert shop.api.delete(f"/coupons/{first['id']}").status_code == 204
    again = shop.api.post("/coupons", {"code": "half-off", "percentOff": 10})

    assert (taken.status_code, taken.json()["code"]) == (409, "CONFLICT")
    assert again.status_code == 201
    assert shop.api.get(f"/coupons/{first['id']}").json()["active"] is False
    assert [row["code"] for row in shop.api.get("/coupons?active=true").json()["data"]] == ["half-off"]
    assert [row["code"] for row in shop.api.get("/coupons?active=false").json()["data"]] == ["HALF-OFF"]
    assert len(shop.api.get("/coupons?code=half-OFF").json()["data"]) == 2
    assert [code["active"] for code in at_stripe(shop, "promotion_codes")] == [True, False]
    assert [coupon["percent_off"] for coupon in at_stripe(shop, "coupons")] == [10]


def test_a_code_that_somebody_made_at_stripe_is_taken_too_and_nothing_is_left_behind(shop: Any):
    by_hand = shop.sandbox.call("POST", "/v1/coupons", {"percent_off": 5}, account=shop.account_id)["id"]
    shop.sandbox.call(
        "POST", "/v1/promotion_codes",
        {"promotion[type]": "coupon", "promotion[coupon]": by_hand, "code": "HALF-OFF"}, account=shop.account_id,
    )  # fmt: skip

    response = shop.api.post("/coupons", HALF)

    assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")
    assert "Stripe" in response.json()["message"]
    assert [coupon["id"] for coupon in at_stripe(shop, "coupons")] == [by_hand]
    assert shop.api.get("/coupons").json()["data"] == []


def test_a_call_that_was_cut_off_is_gone_on_with_and_makes_nothing_twice(shop: Any):
    shop.sandbox.fault("api_cut", path="/v1/promotion_codes", count=2)
    assert shop.api.post("/coupons", HALF).json()["code"] == "STRIPE_UNAVAILABLE"
    shop.sandbox.heal()
    assert shop.api.get("/coupons").json()["data"] == []

    other = shop.api.post("/coupons", HALF | {"percentOff": 20})
    again = shop.api.post("/coupons", HALF)

    assert other.status_code == 409
    assert again.status_code == 201
    assert (len(at_stripe(shop, "coupons")), len(at_stripe(shop, "promotion_codes"))) == (1, 1)
    with reading(shop.company.scope):
        assert AuditEvent.objects.within(shop.company.scope).filter(action="coupon.created").count() == 1


def test_terms_that_do_not_fit_together_are_named(shop: Any):
    assert_refuses_each(
        shop.api, "POST", "/coupons",
        [
            ({"code": "A"}, "percentOff"),
            ({"code": "A", "percentOff": 5, "amountOffCents": 5, "currency": "usd"}, "percentOff"),
            ({"code": "A", "percentOff": 0}, "percentOff"),
            ({"code": "A", "percentOff": 100.5}, "percentOff"),
            ({"code": "A", "percentOff": "5"}, "percentOff"),
            ({"code": "A", "percentOff": 5.125}, "percentOff"),
            ({"code": "A", "amountOffCents": 5}, "currency"),
            ({"code": "A", "amountOffCents": 5, "currency": "zzz"}, "currency"),
            ({"code": "A", "percentOff": 5, "currency": "usd"}, "currency"),
            ({"code": "A", "percentOff": 5, "duration": "repeating"}, "durationInMonths"),
            ({"code": "A", "percentOff": 5, "durationInMonths": 2}, "durationInMonths"),
            ({"code": "A", "percentOff": 5, "duration": "twice"}, "duration"),
            ({"code": "A", "percentOff": 5, "expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
            ({"code": "A", "percentOff": 5, "maxRedemptions": 0}, "maxRedemptions"),
            ({"code": "A B", "percentOff": 5}, "code"),
            ({"code": "A", "percentOff": 5, "name": "x"}, "name"),
        ],
    )  # fmt: skip
    assert at_stripe(shop, "coupons") == []


def test_without_an_account_there_is_no_coupon(acme_api: Any):
    response = acme_api.post("/coupons", HALF)

    assert (response.status_code, response.json()["code"]) == (409, "STRIPE_NOT_CONNECTED")


def test_it_is_walled_and_takes_a_key_that_may(shop: Any, acme: Any, globex_api: Any):
    made = shop.api.post("/coupons", HALF).json()
    path = f"/coupons/{made['id']}"

    for method in ("GET", "DELETE"):
        assert_hidden(globex_api, method, path, f"/coupons/{never('coup')}")
        assert_needs_credential(method, path)
    assert globex_api.get("/coupons").json()["data"] == []
    assert_needs_scope(acme.api("plans:read"), "plans:write", "POST", "/coupons", HALF)
    assert_needs_scope(acme.api("plans:read"), "plans:write", "DELETE", path)
    assert_needs_scope(acme.api("customers:read"), "plans:read", "GET", path)
    assert shop.api.get(path).json()["active"] is True


@pytest.mark.parametrize("cursor", ["x", "0"])
def test_a_made_up_cursor_is_refused(acme_api: Any, cursor: str):
    assert acme_api.get(f"/coupons?cursor={cursor}").status_code == 400
