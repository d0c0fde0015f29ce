"""Trials are had once: by each customer, and by each company where the app says so."""

from __future__ import annotations

from typing import Any

from tests.stripe.test_checkout import race


def guard(shop: Any, *, on: bool = True) -> None:
    changed = shop.api.patch(f"/apps/{shop.company.app}", {"settings": {"trialOncePerDomain": on}})
    assert changed.status_code == 200, changed.content


def opened(shop: Any, email: str, **more: Any) -> Any:
    return shop.api.post("/checkout/session", shop.order(email, **{"planId": shop.trial, **more}))


def free_trial(shop: Any, email: str, **more: Any) -> Any:
    customer = shop.api.post("/customers?upsert=true", {"email": email}).json()["id"]
    return shop.api.post("/subscriptions", {"customerId": customer, "planId": shop.cardless, **more})


def test_a_company_has_one_trial_where_the_app_says_so(shop: Any):
    shop.trial = shop.add_plan("Trial", 2900, trialDays=14)
    shop.cardless = shop.add_plan("Cardless", 2900, trialDays=14, trialRequiresCard=False)
    assert free_trial(shop, "ada@engines.test").json()["status"] == "trialing"
    assert free_trial(shop, "ann@gmail.com").status_code == 201
    assert opened(shop, "off@engines.test").status_code == 201
    guard(shop)

    colleague = free_trial(shop, "Bea@Engines.test")
    at_checkout = opened(shop, "cy@engines.test")

    for refused in (colleague, at_checkout):
        assert (refused.status_code, refused.json()["code"]) == (409, "TRIAL_ALREADY_USED")
        assert "engines.test" in refused.json()["message"]
    assert free_trial(shop, "bob@gmail.com").status_code == 201
    assert opened(shop, "dee@looms.test").status_code == 201
    assert opened(shop, "cy@engines.test", trialDays=0).status_code == 201
    assert opened(shop, "cy@engines.test", trialDays=7).status_code == 201
    granted = free_trial(shop, "bea@engines.test", trialDays=3)
    assert (granted.status_code, granted.json()["status"]) == (201, "trialing")
    assert opened(shop, "eve@engines.test", planId=shop.plan).status_code == 201  # it has no trial to guard


def test_who_had_a_trial_is_told_so_and_can_be_granted_another(shop: Any):
    shop.cardless = shop.add_plan("Cardless", 2900, trialDays=14, trialRequiresCard=False)
    first = free_trial(shop, "ada@engines.test").json()
    shop.api.post(f"/subscriptions/{first['id']}/cancel", {"immediately": True})

    again = free_trial(shop, "ada@engines.test")

    assert (again.status_code, again.json()["code"]) == (409, "TRIAL_ALREADY_USED")
    assert free_trial(shop, "ada@engines.test", trialDays=0).status_code == 400  # then it costs money
    assert free_trial(shop, "ada@engines.test", trialDays=5).status_code == 201


def test_colleagues_who_ask_at_once_have_one_trial_between_them(committed_shop: Any):
    shop = committed_shop
    shop.trial = shop.add_plan("Trial", 2900, trialDays=14)
    shop.cardless = shop.add_plan("Cardless", 2900, trialDays=14, trialRequiresCard=False)
    guard(shop)
    people = ["ada@engines.test", "bea@engines.test", "cy@looms.test", "dee@looms.test"]
    for email in people:
        shop.api.post("/customers", {"email": email})

    began = race(2, lambda number: free_trial(shop, people[number]))
    pages = race(2, lambda number: opened(shop, people[2 + number]))

    assert sorted(answer.status_code for answer in began) == [201, 409], [answer.content for answer in began]
    assert {answer.json().get("code") for answer in pages} <= {None, "CONFLICT"}
    still_open = shop.sandbox.get("/v1/checkout/sessions?status=open", shop.account_id)["data"]
    assert len(still_open) == 1


def test_a_page_with_a_trial_gives_way_to_a_colleagues_and_the_first_to_pay_has_it(shop: Any):
    shop.trial = shop.add_plan("Trial", 2900, trialDays=14)
    shop.cardless = shop.add_plan("Cardless", 2900, trialDays=14, trialRequiresCard=False)
    guard(shop)
    ada = opened(shop, "ada@engines.test").json()

    beside = free_trial(shop, "cy@engines.test")
    bea = opened(shop, "bea@engines.test").json()

    assert (beside.status_code, beside.json()["code"]) == (409, "TRIAL_ALREADY_USED")
    assert "checkout with a trial open" in beside.json()["message"]
    assert shop.sandbox.get(f"/v1/checkout/sessions/{ada['id']}", shop.account_id)["status"] == "expired"
    shop.sandbox.pay(bea["url"])
    late = opened(shop, "ada@engines.test")
    assert (late.status_code, late.json()["code"]) == (409, "TRIAL_ALREADY_USED")
    assert shop.current("bea@engines.test").json()["status"] == "trialing"
