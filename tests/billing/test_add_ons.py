"""Plans that are bought beside another, as that one's `addOns` allow."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.models import Subscription
from stackbe.kernel.clock import render
from stackbe.kernel.transactions import reading
from tests.billing.conftest import NOW


@pytest.fixture
def subscribe(acme_api, customer):
    """Subscribe Ada to a free plan; return the response."""

    def ask(plan):
        return acme_api.post("/subscriptions", {"customerId": customer["id"], "planId": plan["id"]})

    return ask


@pytest.fixture
def held(acme_api, customer):
    """What Ada is entitled to."""
    return lambda: acme_api.get(f"/entitlements?customerId={customer['id']}").json()


def check(api, customer, feature):
    shown = api.get(f"/entitlements/check/{feature}?customerId={customer['id']}&explain=true").json()
    return shown["value"], shown["source"], [step["step"] for step in shown["explanation"]]


@pytest.fixture
def plans(make_plan, features):
    """A pack of ten projects with sso, and a plan that it can be bought beside."""
    pack = make_plan("Pack", priceCents=0, entitlements={"projects": 10, "sso": True})
    return make_plan("Pro", priceCents=0, entitlements={"projects": 3}, addOns=[pack["id"]]), pack


def test_an_add_on_adds_to_the_plan_and_says_so(acme_api, customer, plans, subscribe, held):
    pro, pack = plans
    assert subscribe(pro).status_code == 201

    bought = subscribe(pack)

    assert bought.status_code == 201
    assert (held()["planName"], held()["entitlements"]) == ("Pro", {"projects": 13, "sso": True})
    assert check(acme_api, customer, "projects")[:2] == (13, "addon")
    assert "add_on" in check(acme_api, customer, "sso")[2]
    current = acme_api.get(f"/subscriptions/current?customerId={customer['id']}").json()
    assert current["planId"] == pro["id"]
    acme_api.put(f"/customers/{customer['id']}/entitlement-overrides/projects", {"value": 50, "reason": "x"})
    assert check(acme_api, customer, "projects")[:2] == (50, "override")

    acme_api.post(f"/subscriptions/{bought.json()['id']}/cancel", {"immediately": True})

    acme_api.delete(f"/customers/{customer['id']}/entitlement-overrides/projects")
    assert (held()["planName"], held()["entitlements"]) == ("Pro", {"projects": 3})
    assert check(acme_api, customer, "projects")[:2] == (3, "plan:pro")


def test_an_edited_add_on_reaches_at_once_whoever_has_it_beside_a_plan(acme_api, customer, plans, subscribe, held):
    pro, pack = plans
    subscribe(pro)
    subscribe(pack)

    acme_api.patch(f"/plans/{pack['id']}", {"entitlements": {"projects": 20}})

    assert held()["entitlements"] == {"projects": 23}
    told = acme_api.get("/events?type=entitlements.updated&limit=1").json()["data"][0]["data"]
    assert (told["customer"]["id"], told["entitlements"]) == (customer["id"], held())


def test_what_one_has_besides_counts_from_the_second_in_which_a_better_one_ends(
    acme_api, customer, plans, make_plan, subscribe, held, at
):
    pro, pack = plans
    short = make_plan("Short", trialDays=7, trialRequiresCard=False, entitlements={"projects": 5})
    acme_api.patch(f"/plans/{pro['id']}", {"addOns": [pack["id"], short["id"]]})
    at(NOW)
    for plan in (pro, pack, short):
        assert subscribe(plan).status_code == 201
    for feature, value, days in (("sso", False, 3), ("projects", 99, 5)):
        lasting = {"value": value, "reason": "x", "expiresAt": render(NOW + timedelta(days=days))}
        acme_api.put(f"/customers/{customer['id']}/entitlement-overrides/{feature}", lasting)

    for day, expected in (
        (1, {"projects": 99, "sso": False}),
        (4, {"projects": 99, "sso": True}),
        (6, {"projects": 18, "sso": True}),
        (8, {"projects": 13, "sso": True}),
    ):
        at(NOW + timedelta(days=day))
        asked = {"customerId": customer["id"], "features": ["projects", "sso"]}
        checked = acme_api.post("/entitlements/check", asked).json()["results"]
        assert held()["entitlements"] == expected, day
        assert {feature: answer["value"] for feature, answer in checked.items()} == expected, day
    signed_in = acme_api.post(f"/customers/{customer['id']}/sessions", {}).json()
    assert signed_in["entitlements"]["features"] == expected
    assert check(acme_api, customer, "projects") == (
        13,
        "addon",
        ["subscription", "plan", "override", "add_on", "answer"],
    )


def test_only_what_the_plan_lists_can_be_bought_beside_it(make_plan, plans, subscribe):
    pro, pack = plans
    other = make_plan("Other", priceCents=0)
    assert subscribe(pro).status_code == 201

    assert subscribe(other).json()["code"] == "CONFLICT"
    assert subscribe(pro).json()["code"] == "CONFLICT"
    assert subscribe(pack).status_code == 201


def test_a_paid_add_on_leaves_a_free_plan_in_its_place(acme, make_plan, features, stripe, subscribe, held):
    pack = make_plan("Pack", entitlements={"projects": 10})
    pro = make_plan("Pro", priceCents=0, entitlements={"projects": 3}, addOns=[pack["id"]])
    subscribe(pro)

    stripe.subscribe(pack, quantity=2)

    assert (held()["planName"], held()["entitlements"]) == ("Pro", {"projects": 23})
    with reading(acme.scope):
        rows = list(Subscription.objects.within(acme.scope).order_by("id").values_list("status", "beside_another"))
    assert rows == [("active", False), ("active", True)]
    stripe.becomes(status="past_due")
    assert held()["entitlements"] == {"projects": 23}  # grace
