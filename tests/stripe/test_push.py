"""The catalogue's way to the tenant's Stripe account."""

from __future__ import annotations

from typing import Any

import pytest

from billing.stripe.connect import connect_sandbox_account
from stackbe.kernel.scope import Scope
from tests.queue import run_jobs, run_periodic


def prices(shop: Any, *, active: bool = True) -> list[dict[str, Any]]:
    tail = f"?limit=100&active={'true' if active else 'false'}&expand[]=data.tiers"
    return list(shop.sandbox.get(f"/v1/prices{tail}", shop.account_id)["data"])


def test_a_plan_becomes_a_product_and_a_price_with_our_mark(shop: Any):
    (price,) = prices(shop)
    product = shop.sandbox.get(f"/v1/products/{price['product']}", shop.account_id)
    assert (price["unit_amount"], price["currency"], price["recurring"]["interval"]) == (2900, "usd", "month")
    assert product["name"] == "Pro"
    assert price["metadata"]["stackbe_app"] == product["metadata"]["stackbe_app"] == shop.company.app
    assert shop.api.get(f"/plans/{shop.plan}").json()["stripePriceId"] == price["id"]


def test_what_was_made_before_the_account_is_pushed_on_connection(acme_api: Any, acme: Any, stripe: Any):
    body = {"name": "Early", "priceCents": 700, "currency": "eur", "interval": "year"}
    plan = acme_api.post("/plans", body).json()["id"]
    run_jobs()
    assert acme_api.get(f"/plans/{plan}").json()["stripePriceId"] is None

    connect_sandbox_account(acme.scope)
    run_jobs()

    assert acme_api.get(f"/plans/{plan}").json()["stripePriceId"]


SCHEMES = {
    "per_unit": ({"scheme": "per_unit", "unitAmountCents": 500}, {"billing_scheme": "per_unit", "unit_amount": 500}),
    "package": (
        {"scheme": "package", "unitAmountCents": 500, "packageSize": 10},
        {"transform_quantity": {"divide_by": 10, "round": "up"}},
    ),
    "graduated": (
        {"scheme": "graduated", "tiers": [{"upTo": 10, "unitAmountCents": 100}, {"upTo": None, "unitAmountCents": 50}]},
        {"billing_scheme": "tiered", "tiers_mode": "graduated"},
    ),
    "volume": (
        {"scheme": "volume", "tiers": [
            {"upTo": 10, "unitAmountCents": 100, "flatAmountCents": 5}, {"upTo": None, "unitAmountCents": 50}
        ]},
        {"billing_scheme": "tiered", "tiers_mode": "volume"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_is_passed_through(shop: Any, name: str):
    given, wanted = SCHEMES[name]
    made = shop.api.post("/plans", {
        "name": name, "prices": [{"currency": "usd", "interval": "month", **given}],
    })  # fmt: skip
    assert made.status_code == 201, made.json()
    run_jobs()

    price = next(each for each in prices(shop) if each["nickname"] == name)
    assert {key: price[key] for key in wanted} == wanted
    if price.get("tiers"):
        assert [tier["up_to"] for tier in price["tiers"]] == [10, None]


def test_a_one_time_price_is_one_time(shop: Any):
    shop.add_plan("Lifetime", 9900, interval="one_time")
    run_jobs()

    price = next(each for each in prices(shop) if each["nickname"] == "Lifetime")
    assert (price["type"], price["recurring"]) == ("one_time", None)


def test_an_edited_price_is_a_new_one_and_the_old_is_retired(shop: Any):
    run_jobs()

    assert shop.api.patch(f"/plans/{shop.plan}", {"priceCents": 3900}).status_code == 200
    run_jobs()

    assert [each["unit_amount"] for each in prices(shop)] == [3900]
    assert [each["unit_amount"] for each in prices(shop, active=False)] == [2900]


def test_an_archived_plan_is_no_longer_sold_and_a_revived_one_is(shop: Any):
    run_jobs()
    shop.api.delete(f"/plans/{shop.plan}")
    run_jobs()
    assert prices(shop) == []

    shop.api.patch(f"/plans/{shop.plan}", {"active": True})
    run_jobs()

    assert [each["unit_amount"] for each in prices(shop)] == [2900]


def test_pushing_twice_makes_nothing_twice(shop: Any):
    run_jobs()
    run_periodic("billing.push_pending")
    shop.api.patch(f"/plans/{shop.plan}", {"name": "Professional"})
    run_jobs()

    assert len(prices(shop)) == 1
    assert len(shop.sandbox.get("/v1/products", shop.account_id)["data"]) == 1


def test_who_makes_or_edits_a_plan_is_told_its_price_at_stripe_at_once(shop: Any):
    body = {"name": "Gold", "priceCents": 9900, "currency": "usd", "interval": "year"}
    made = shop.api.post("/plans", body, Idempotency_Key="gold")
    again = shop.api.post("/plans", body, Idempotency_Key="gold")
    edited = shop.api.patch(f"/plans/{made.json()['id']}", {"priceCents": 9500})

    assert (made.status_code, again.json()) == (201, made.json())
    assert made.json()["stripePriceId"] == made.json()["prices"][0]["stripePriceId"]
    known = {each["id"]: each["unit_amount"] for active in (True, False) for each in prices(shop, active=active)}
    assert (known[made.json()["stripePriceId"]], known[edited.json()["stripePriceId"]]) == (9900, 9500)
    run_jobs()
    assert sorted(each["unit_amount"] for each in prices(shop)) == [2900, 9500]


def test_a_plan_is_saved_though_stripe_is_away_and_a_lost_job_is_made_up_for(
    shop: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("billing.stripe.catalogue_push.PROMPT_SECONDS", 0.1)
    there, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, "http://127.0.0.1:9"
    plan = shop.add_plan("Gold", 9900)
    run_jobs(tolerate=True)
    assert shop.api.get(f"/plans/{plan}").json()["stripePriceId"] is None
    settings.STRIPE_API_BASE = there

    run_periodic("billing.push_pending")

    assert shop.api.get(f"/plans/{plan}").json()["stripePriceId"]


def test_a_free_plan_needs_no_price_at_stripe(shop: Any):
    run_jobs()
    shop.add_plan("Free", 0)
    run_jobs()

    assert len(prices(shop)) == 1


def test_another_account_gets_the_whole_catalogue(shop: Any):
    run_jobs()
    scope: Scope = shop.company.scope
    shop.account_id = connect_sandbox_account(scope).account_id
    run_jobs()

    assert [each["unit_amount"] for each in prices(shop)] == [2900]
