"""`explain=true` on checks: how an answer came about, and the smallest change that would allow it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stackbe.kernel.clock import render, wall_clock
from tests.cast import Api
from tests.usage.stage import allow, grant_default, make_customer, make_subscriber


def explain(api, customer, feature):
    response = api.get(f"/entitlements/check/{feature}?customerId={customer.id}&explain=true")
    assert response.status_code == 200, response.content
    return response.json()


def steps(told):
    return [step["step"] for step in told["explanation"]]


def offer(api, name, cents, **entitlements):
    product = api.post("/products", {"name": name}).json()
    body = {"name": name, "productId": product["id"], "priceCents": cents, "currency": "usd", "interval": "month"}
    response = api.post("/plans", {**body, "entitlements": entitlements})
    assert response.status_code == 201, response.content
    return response.json()


@pytest.fixture
def sso(acme_api):
    return acme_api.post("/features", {"key": "sso", "name": "SSO", "type": "boolean"}).json()


def test_the_plain_answer_stays_as_it_is(acme_api, ada):
    plain = acme_api.get(f"/entitlements/check/sso?customerId={ada.id}").json()
    told = explain(acme_api, ada, "sso")

    assert {name: told[name] for name in plain} == plain
    assert (steps(told), told["wouldAllow"]) == (["subscription", "plan", "answer"], None)


def test_a_subscription_its_version_and_what_would_allow_are_named(acme, acme_api, sso):
    bob = make_customer(acme, "bob@example.com")
    free = offer(acme_api, "Free", 0)
    offer(acme_api, "Gold", 9900, sso=True)
    pro = offer(acme_api, "Pro", 1900, sso=True)
    acme_api.post("/subscriptions", {"customerId": bob.id, "planId": free["id"]})

    told = explain(acme_api, bob, "sso")

    assert steps(told) == ["subscription", "plan", "answer"]
    assert "version 1 of free" in told["explanation"][1]["detail"]
    assert told["wouldAllow"] == {"change": "plan", "detail": "Change to the plan pro.", "planId": pro["id"]}


def test_an_override_says_by_whom_and_until_when(acme, acme_api, sso):
    bob = make_customer(acme, "bob@example.com")
    until = render((wall_clock() + timedelta(days=3)).replace(microsecond=0))
    granted = {"value": True, "reason": "a promise", "expiresAt": until}
    acme_api.put(f"/customers/{bob.id}/entitlement-overrides/sso", granted)

    told = explain(acme_api, bob, "sso")

    step = next(step for step in told["explanation"] if step["step"] == "override")
    assert (step["by"][:4], step["until"], "a promise" in step["detail"]) == ("key_", until, True)
    assert (told["hasAccess"], told["source"]) == (True, "override")


def test_no_plan_is_advised_where_an_override_says_no(acme, acme_api, sso):
    bob = make_customer(acme, "bob@example.com")
    pro = offer(acme_api, "Pro", 0, sso=True)
    acme_api.post("/subscriptions", {"customerId": bob.id, "planId": pro["id"]})
    acme_api.put(f"/customers/{bob.id}/entitlement-overrides/sso", {"value": False, "reason": "abuse"})

    told = explain(acme_api, bob, "sso")

    back = {"change": "override", "detail": "Take the override of sso back.", "feature": "sso"}
    assert (told["hasAccess"], told["wouldAllow"]) == (False, back)


def test_an_add_on_is_advised_to_whose_plan_lists_it_and_to_others_last(acme, acme_api, sso):
    bob, eve = make_customer(acme, "bob@example.com"), make_customer(acme, "eve@example.com")
    extra = offer(acme_api, "Extra", 0, sso=True)
    gold = offer(acme_api, "Gold", 9900, sso=True)
    free = offer(acme_api, "Free", 0)
    acme_api.patch(f"/plans/{free['id']}", {"addOns": [extra["id"]]})
    acme_api.post("/subscriptions", {"customerId": bob.id, "planId": free["id"]})

    listed, other = explain(acme_api, bob, "sso")["wouldAllow"], explain(acme_api, eve, "sso")["wouldAllow"]

    assert listed["planId"] == extra["id"]
    assert listed["detail"] == "Subscribe to the add-on extra, beside what they have."
    assert other == {"change": "plan", "detail": "Subscribe to the plan gold.", "planId": gold["id"]}


def test_the_default_plan_and_nothing_at_all_are_said(acme, acme_api):
    bob = make_customer(acme, "bob@example.com")

    nothing = explain(acme_api, bob, "sso")
    grant_default(acme)
    default = explain(acme_api, bob, "api_calls")

    assert steps(nothing) == ["subscription", "default_plan", "answer"]
    assert nothing["wouldAllow"]["change"] == "feature"
    assert steps(default) == ["subscription", "default_plan", "plan", "answer"]


def test_usage_credits_holds_and_windows_are_steps_too(acme_api, ada):
    allow(ada, included=10, mode="hard", windows=[{"per": "day", "limit": 100}])
    acme_api.post(f"/customers/{ada.id}/credits", {"metric": "api_calls", "quantity": 5, "reason": "x"})
    acme_api.post("/usage/track", ada.event(quantity=8))
    acme_api.post("/usage/reservations", ada.event(quantity=7))

    told = explain(acme_api, ada, "api_calls")

    assert steps(told) == ["subscription", "plan", "usage", "credits", "hold", "window", "answer"]
    assert told["wouldAllow"]["change"] == "credits"


def test_several_features_are_explained_at_once(acme_api, ada):
    body = {"customerId": ada.id, "features": ["sso", "beta"]}

    results = acme_api.post("/entitlements/check?explain=true", body).json()["results"]

    assert [steps(results[name])[-1] for name in ("sso", "beta")] == ["answer", "answer"]
    assert results["beta"]["wouldAllow"]["change"] == "feature"
    assert (
        acme_api.put(f"/customers/{ada.id}/entitlement-overrides/beta", {"value": 1, "reason": "x"}).status_code == 404
    )
    acme_api.post("/features", {"key": "beta", "type": "boolean"})
    assert explain(acme_api, ada, "beta")["wouldAllow"]["change"] == "override"
    assert "explanation" not in acme_api.post("/entitlements/check", body).json()["results"]["sso"]
    assert acme_api.post("/entitlements/check?explain=maybe", body).status_code == 400


def test_a_customers_own_session_is_told_no_explanation(acme_api, ada):
    session = Api(acme_api.post(f"/customers/{ada.id}/sessions").json()["sessionToken"])

    assert session.get("/entitlements/check/sso").status_code == 200
    assert session.get("/entitlements/check/sso?explain=true").json()["code"] == "FORBIDDEN"


def test_a_trial_is_said_with_its_end(acme, acme_api, sso):
    bob = make_customer(acme, "bob@example.com")
    plan = offer(acme_api, "Pro", 1900, sso=True)
    patched = acme_api.patch(f"/plans/{plan['id']}", {"trialDays": 14, "trialRequiresCard": False})
    made = acme_api.post("/subscriptions", {"customerId": bob.id, "planId": plan["id"]})
    assert (patched.status_code, made.status_code) == (200, 201), (patched.content, made.content)

    told = explain(acme_api, bob, "sso")

    assert steps(told) == ["subscription", "trial", "plan", "answer"]
    assert told["explanation"][1]["until"] == told["explanation"][0]["until"]


def test_a_rivals_customer_is_not_explained(globex, globex_api, ada):
    make_subscriber(globex)

    response = globex_api.get(f"/entitlements/check/sso?customerId={ada.id}&explain=true")

    assert (response.status_code, response.json()["code"]) == (404, "CUSTOMER_NOT_FOUND")


def test_what_is_used_up_is_not_said_to_be_usable(acme_api, ada):
    acme_api.post("/usage/track", ada.event(quantity=10))

    told = explain(acme_api, ada, "api_calls")

    assert told["explanation"][-1]["detail"] == (
        "It is granted, and no more of api_calls can be counted now: what was granted is used up."
    )
    assert told["wouldAllow"]["change"] == "credits"
