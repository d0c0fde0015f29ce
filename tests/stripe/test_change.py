"""PATCH /v1/subscriptions/:id, DELETE /v1/subscriptions/:id/scheduled-change, POST /v1/subscriptions/preview."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Api, Company


def at_stripe(shop: Any) -> dict[str, Any]:
    found = shop.sandbox.get("/v1/subscriptions?status=all", shop.account_id)["data"]
    assert len(found) == 1
    return dict(found[0])


def amount_at_stripe(shop: Any) -> int:
    return int(at_stripe(shop)["items"]["data"][0]["price"]["unit_amount"])


def patch(shop: Any, subscription: dict[str, Any], **body: Any) -> Any:
    return shop.api.patch(f"/subscriptions/{subscription['id']}", body)


def advance(shop: Any, by: str) -> None:
    shop.sandbox.call("POST", "/_sandbox/clock", {"account": shop.account_id, "advance": by})


def pays(shop: Any, how: str) -> None:
    customer = shop.sandbox.get("/v1/customers", shop.account_id)["data"][0]["id"]
    shop.sandbox.call("POST", "/_sandbox/payment", {"account": shop.account_id, "customer": customer, "payment": how})


def steps(shop: Any, subscription: dict[str, Any]) -> list[str]:
    found = shop.api.get(f"/subscriptions/{subscription['id']}/history").json()["data"]
    return [step["transition"] for step in reversed(found)]


def test_an_upgrade_takes_hold_now_and_its_proration_is_paid(shop: Any):
    subscription = shop.subscribe()
    team = shop.add_plan("Team", 9900)

    for _ in range(2):
        answer = patch(shop, subscription, planId=team)
        assert (answer.status_code, answer.json()["planId"]) == (200, team), answer.json()
    shop.deliver()

    assert answer.json()["scheduledChange"] is None
    assert amount_at_stripe(shop) == 9900
    assert steps(shop, subscription) == ["created", "plan_changed"]
    assert shop.api.get("/invoices").json()["data"][0]["amountPaidCents"] == 7000


def test_a_downgrade_waits_for_the_renewal_and_is_shown(shop: Any):
    subscription = shop.subscribe()
    lite = shop.add_plan("Lite", 900)

    for _ in range(2):
        answer = patch(shop, subscription, planId=lite)
        assert (answer.status_code, answer.json()["planId"]) == (200, shop.plan), answer.json()
    shown = answer.json()["scheduledChange"]
    assert (shown["planId"], shown["awaits"]) == (lite, "period_end")
    assert shown["effectiveAt"] == answer.json()["currentPeriodEnd"]
    advance(shop, "32d")
    shop.deliver()

    current = shop.current().json()
    assert (current["planId"], current["scheduledChange"]) == (lite, None)
    assert shop.api.get("/invoices").json()["data"][0]["amountPaidCents"] == 900
    assert steps(shop, subscription) == ["created", "change_scheduled", "plan_changed"]


@pytest.mark.parametrize("way", ["delete", "patch"])
def test_a_scheduled_change_is_taken_back(shop: Any, way: str):
    subscription = shop.subscribe()
    patch(shop, subscription, planId=shop.add_plan("Lite", 900))

    for _ in range(2):
        if way == "delete":
            answer = shop.api.delete(f"/subscriptions/{subscription['id']}/scheduled-change")
        else:
            answer = patch(shop, subscription, planId=shop.plan)
        assert (answer.status_code, answer.json()["scheduledChange"]) == (200, None), answer.json()
    advance(shop, "32d")
    shop.deliver()

    assert shop.current().json()["planId"] == shop.plan
    assert steps(shop, subscription)[:3] == ["created", "change_scheduled", "change_withdrawn"]


def test_when_says_otherwise(shop: Any):
    subscription = shop.subscribe()
    lite, team = shop.add_plan("Lite", 900), shop.add_plan("Team", 9900)

    later = patch(shop, subscription, planId=team, when="period_end").json()
    assert (later["planId"], later["scheduledChange"]["planId"]) == (shop.plan, team)
    other = patch(shop, subscription, planId=lite, when="period_end").json()
    assert other["scheduledChange"]["planId"] == lite
    now = patch(shop, subscription, planId=lite, when="now").json()

    assert (now["planId"], now["scheduledChange"]) == (lite, None)
    assert at_stripe(shop)["schedule"] is None


def test_more_now_and_less_with_the_renewal(shop: Any):
    subscription = shop.subscribe()

    assert patch(shop, subscription, quantity=3).json()["quantity"] == 3
    fewer = patch(shop, subscription, quantity=2).json()

    assert (fewer["quantity"], fewer["scheduledChange"]["quantity"]) == (3, 2)
    advance(shop, "32d")
    shop.deliver()
    assert shop.current().json()["quantity"] == 2


def test_without_proration_nothing_is_paid_before_the_renewal(shop: Any):
    subscription = shop.subscribe()

    answer = patch(shop, subscription, planId=shop.add_plan("Team", 9900), prorate=False)
    shop.deliver()

    assert answer.json()["planId"] != shop.plan
    assert len(shop.sandbox.get("/v1/invoices", shop.account_id)["data"]) == 1


@pytest.mark.parametrize(("how", "code"), [("decline", "PAYMENT_FAILED"), ("authenticate", "PAYMENT_ACTION_REQUIRED")])
def test_an_upgrade_that_is_not_paid_leaves_the_old_plan_in_force_and_says_so(shop: Any, how: str, code: str):
    subscription = shop.subscribe()
    team = shop.add_plan("Team", 9900)
    pays(shop, how)

    answer = patch(shop, subscription, planId=team)

    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert answer.json()["payment"]["hostedInvoiceUrl"].startswith("http")
    current = shop.current().json()
    assert (current["planId"], current["status"]) == (shop.plan, "active")
    assert (current["scheduledChange"]["planId"], current["scheduledChange"]["awaits"]) == (team, "payment")
    pays(shop, "succeed")
    invoice = at_stripe(shop)["latest_invoice"]
    shop.sandbox.call("POST", f"/v1/invoices/{invoice}/pay", {}, account=shop.account_id)
    shop.deliver()
    assert shop.current().json()["planId"] == team
    assert steps(shop, subscription) == ["created", "change_scheduled", "plan_changed"]


@pytest.mark.parametrize("way", ["taken back", "left alone"])
def test_a_change_that_was_never_paid_is_dropped(shop: Any, way: str):
    subscription = shop.subscribe()
    pays(shop, "decline")
    patch(shop, subscription, planId=shop.add_plan("Team", 9900))

    if way == "taken back":
        shop.api.delete(f"/subscriptions/{subscription['id']}/scheduled-change")
    else:
        advance(shop, "24h")
        shop.deliver()

    current = shop.current().json()
    assert (current["planId"], current["scheduledChange"]) == (shop.plan, None)
    assert shop.sandbox.get("/v1/invoices?status=open", shop.account_id)["data"] == []


def test_another_rhythm_begins_at_once(shop: Any):
    subscription = shop.subscribe()
    yearly = shop.add_plan("Pro by the year", 29000, interval="year")

    answer = patch(shop, subscription, planId=yearly, when="now")

    assert answer.json()["planId"] == yearly
    assert answer.json()["currentPeriodEnd"] > subscription["currentPeriodEnd"]


def test_the_rhythm_of_a_plan_turns_longer_now_and_shorter_with_the_renewal(shop: Any):
    shop.plan = shop.api.post("/plans", {"name": "Both", "prices": [
        {"currency": "usd", "interval": "month", "unitAmountCents": 2900},
        {"currency": "usd", "interval": "year", "unitAmountCents": 29000},
    ]}).json()["id"]  # fmt: skip
    subscription = shop.subscribe()
    asked = {"subscriptionId": subscription["id"], "interval": "year"}
    preview = shop.api.post("/subscriptions/preview", asked).json()

    yearly = patch(shop, subscription, interval="year").json()
    again = patch(shop, subscription, interval="year").json()
    monthly = patch(shop, subscription, interval="month").json()

    assert (preview["when"], preview["totalCents"]) == ("now", 26100)
    assert amount_at_stripe(shop) == 29000
    assert yearly["currentPeriodEnd"][:4] > subscription["currentPeriodEnd"][:4]
    assert (again, yearly["scheduledChange"]) == (yearly, None)
    assert monthly["scheduledChange"]["effectiveAt"] == monthly["currentPeriodEnd"] == yearly["currentPeriodEnd"]
    advance(shop, "366d")
    shop.deliver()
    assert (shop.current().json()["status"], amount_at_stripe(shop)) == ("active", 2900)
    refused = patch(shop, subscription, interval="week").json()
    assert refused["fields"] == {"interval": ["The plan has no such price in usd. It has: month, year."]}


def test_an_end_that_is_set_takes_the_place_of_a_scheduled_change(shop: Any):
    subscription = shop.subscribe()
    patch(shop, subscription, planId=shop.add_plan("Lite", 900))

    ended = shop.api.post(f"/subscriptions/{subscription['id']}/cancel")

    assert (ended.status_code, ended.json()["cancelAtPeriodEnd"]) == (200, True)
    assert ended.json()["scheduledChange"] is None
    refused = patch(shop, subscription, planId=shop.add_plan("Tiny", 100))
    assert (refused.status_code, "reactivate" in refused.json()["message"]) == (409, True)


def test_states_that_allow_no_change_say_what_to_do(shop: Any):
    subscription = shop.subscribe()
    team = shop.add_plan("Team", 9900)

    shop.api.post(f"/subscriptions/{subscription['id']}/pause")
    paused = patch(shop, subscription, planId=team)
    shop.api.post(f"/subscriptions/{subscription['id']}/cancel", {"immediately": True})
    ended = patch(shop, subscription, planId=team)

    assert (paused.status_code, "Resume" in paused.json()["message"]) == (409, True)
    assert (ended.status_code, "checkout" in ended.json()["message"]) == (409, True)


def test_what_it_cannot_go_to_is_refused_by_name(shop: Any):
    subscription = shop.subscribe()
    wrong = {
        "free": shop.add_plan("Free", 0),
        "once": shop.add_plan("Lifetime", 9900, interval="one_time"),
        "in usd": shop.add_plan("Euro", 900, currency="eur"),
    }

    for word, plan in wrong.items():
        answer = patch(shop, subscription, planId=plan)
        assert (answer.status_code, word in answer.json()["fields"]["planId"][0]) == (400, True), answer.json()
    assert patch(shop, subscription).status_code == 400
    assert patch(shop, subscription, quantity=0).status_code == 400
    assert patch(shop, subscription, planId="plan_nobody").json()["code"] == "PLAN_NOT_FOUND"
    shop.api.delete(f"/plans/{wrong['in usd']}")
    assert patch(shop, subscription, planId=wrong["in usd"]).status_code == 409


def test_a_free_subscription_changes_without_stripe(shop: Any, settings: Any):
    customer = shop.api.post("/customers", {"email": "eve@example.com"}).json()["id"]
    free, other = shop.add_plan("Free", 0), shop.add_plan("Also free", 0)
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    made = shop.api.post("/subscriptions", {"customerId": customer, "planId": free}).json()

    assert patch(shop, made, planId=other).json()["planId"] == other
    assert patch(shop, made, planId=shop.plan).status_code == 400


def test_stripe_down_changes_nothing_and_the_same_request_succeeds_later(shop: Any, settings: Any):
    subscription = shop.subscribe()
    team = shop.add_plan("Team", 9900)
    there, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, "http://127.0.0.1:9"

    down = patch(shop, subscription, planId=team)

    assert (down.status_code, down.json()["code"]) == (503, "STRIPE_UNAVAILABLE")
    settings.STRIPE_API_BASE = there
    assert patch(shop, subscription, planId=team).json()["planId"] == team


def test_a_preview_says_what_the_change_then_costs(shop: Any):
    subscription = shop.subscribe()
    team, lite = shop.add_plan("Team", 9900), shop.add_plan("Lite", 900)
    advance(shop, "10d")

    up = shop.api.post("/subscriptions/preview", {"subscriptionId": subscription["id"], "planId": team})
    down = shop.api.post("/subscriptions/preview", {"subscriptionId": subscription["id"], "planId": lite})
    unprorated = {"subscriptionId": subscription["id"], "planId": team, "prorate": False}
    assert shop.api.post("/subscriptions/preview", unprorated).json()["amountDueCents"] == 0
    assert at_stripe(shop)["items"]["data"][0]["price"]["unit_amount"] == 2900
    patch(shop, subscription, planId=team)
    shop.deliver()

    assert (up.status_code, up.json()["when"]) == (200, "now")
    paid = shop.api.get("/invoices").json()["data"][0]["amountPaidCents"]
    assert 0 < up.json()["amountDueCents"] < 7000
    assert abs(up.json()["amountDueCents"] - paid) <= 1
    assert sum(line["amountCents"] for line in up.json()["lines"]) == up.json()["totalCents"]
    assert (down.json()["when"], down.json()["amountDueCents"]) == ("period_end", 900)
    assert down.json()["effectiveAt"] == subscription["currentPeriodEnd"]


@pytest.mark.parametrize("name", ["patch", "preview", "scheduled-change", "pause", "resume"])
def test_a_rival_and_a_stranger_get_nowhere(shop: Any, globex_api: Api, acme: Company, name: str):
    subscription = shop.subscribe()
    path = f"/subscriptions/{subscription['id']}"
    calls: dict[str, Any] = {
        "patch": ("PATCH", path, {"quantity": 2}),
        "preview": ("POST", "/subscriptions/preview", {"subscriptionId": subscription["id"], "quantity": 2}),
        "scheduled-change": ("DELETE", f"{path}/scheduled-change", None),
        "pause": ("POST", f"{path}/pause", {}),
        "resume": ("POST", f"{path}/resume", {}),
    }

    assert globex_api.request(*calls[name]).status_code == 404
    assert Api(None).request(*calls[name]).status_code == 401
    assert acme.api("subscriptions:read").request(*calls[name]).status_code == 403
    assert (shop.current().json()["status"], shop.current().json()["quantity"]) == ("active", 1)
