"""Plans made and edited at random: whatever is accepted can be shown, and nothing crashes."""

from __future__ import annotations

import random

import pytest

EDITS = 40
CHOICES = {
    "name": ["A", "B c", "Ü", "日本"],
    "slug": ["a", "b", "c-d"],
    "trialDays": [0, 1, 730],
    "trialRequiresCard": [True, False],
    "seats": [None, 1, 5],
    "isDefault": [True, False],
    "active": [True, False],
    "entitlements": [
        {},
        {"sso": True},
        {"projects": 2**53 - 1},
        {"projects": 2**60},
        {"projects": 1e308},
        {"projects": 0.5},
        {"calls": None},
        {"regions": ["a", "b"]},
    ],
    "usage": [
        [],
        [{"metric": "api_calls", "included": 2**53 - 1}],
        [{"metric": "seats_used", "included": 0, "mode": "soft", "overage": {"unitAmountCents": 3}}],
        [{"metric": "api_calls", "included": 1, "windows": [{"per": "day", "limit": 0}] * 3}],
        [{"metric": "api_calls", "included": None, "mode": "soft"}],
    ],
}


def some_price(choose):
    scheme = choose.choice(["flat", "per_unit", "package", "graduated", "volume"])
    price = {
        "currency": choose.choice(["usd", "EUR", "jpy"]),
        "scheme": scheme,
        "interval": choose.choice(["month", "year", "week", "one_time"]),
        "intervalCount": choose.choice([1, 1, 1, 3]),
    }
    if scheme in {"graduated", "volume"}:
        return price | {"tiers": [{"upTo": 5, "flatAmountCents": 3}, {"upTo": None}]}
    return (
        price
        | {"unitAmountCents": choose.choice([0, 1, 99_999_999])}
        | ({"packageSize": 100} if scheme == "package" else {})
    )


def some_edit(choose):
    edit = {name: choose.choice(values) for name, values in CHOICES.items() if choose.random() < 0.25}
    if choose.random() < 0.3:
        edit["prices"] = [some_price(choose) for _ in range(choose.randint(1, 3))]
    elif choose.random() < 0.4:
        edit |= {"priceCents": choose.choice([0, 0, 5, 100]), "currency": "usd"}
    return edit


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_accepted_can_be_shown(seed, acme_api, make_plan, customer):
    choose = random.Random(seed)
    plans = [make_plan("Free", priceCents=0)["id"]]
    acme_api.post("/subscriptions", {"customerId": customer["id"], "planId": plans[0]})
    accepted = 0

    for _ in range(EDITS):
        edit = some_edit(choose)
        if choose.random() < 0.4:
            response = acme_api.post("/plans", {"name": "New", "prices": [some_price(choose)]} | edit)
            plans += [response.json()["id"]] if response.status_code == 201 else []
        else:
            response = acme_api.patch(f"/plans/{choose.choice(plans)}", edit)
        accepted += response.status_code < 300
        assert response.status_code in {200, 201, 400, 409}, (edit, response.content)
        assert acme_api.get(f"/entitlements?customerId={customer['id']}").status_code == 200

    assert accepted > EDITS / 4
    assert len(acme_api.get("/plans?limit=100").json()["data"]) == len(plans)
    assert sum(plan["isDefault"] for plan in acme_api.get("/plans?limit=100").json()["data"]) <= 1
    assert acme_api.get("/subscriptions?expand=plan").status_code == 200
