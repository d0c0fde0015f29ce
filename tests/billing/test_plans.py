"""POST, GET, PATCH and DELETE of /v1/plans."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.cast import Api

START_BODY = {"name": "Pro", "priceCents": 2900, "currency": "usd", "interval": "month"}


def test_the_short_form_makes_a_plan_with_a_product_of_its_own(acme_api):
    response = acme_api.post("/plans", START_BODY)

    plan = response.json()
    assert response.status_code == 201
    assert plan["id"].startswith("plan_")
    assert (plan["name"], plan["slug"], plan["priceCents"], plan["currency"]) == ("Pro", "pro", 2900, "usd")
    assert (plan["interval"], plan["intervalCount"], plan["version"], plan["active"]) == ("month", 1, 1, True)
    assert plan["prices"] == [
        {
            "id": plan["prices"][0]["id"],
            "currency": "usd",
            "interval": "month",
            "intervalCount": 1,
            "scheme": "flat",
            "unitAmountCents": 2900,
            "stripePriceId": None,
        }
    ]
    assert acme_api.get(f"/products/{plan['productId']}").json()["name"] == "Pro"


def test_a_plan_takes_everything_the_catalogue_knows(make_plan, acme_api):
    extra = make_plan("More storage")
    product = acme_api.post("/products", {"name": "Suite"}).json()

    plan = make_plan(
        "Team",
        productId=product["id"],
        slug="team-2026",
        trialDays=14,
        trialRequiresCard=False,
        seats=5,
        addOns=[extra["id"]],
        entitlements={"sso": True, "projects": None, "support": "gold", "regions": ["eu", "us"]},
        usage=[
            {
                "metric": "api_calls",
                "included": 10000,
                "mode": "soft",
                "overage": {"scheme": "per_unit", "unitAmountCents": 2},
                "windows": [{"per": "day", "limit": 500}],
            }
        ],
    )

    assert plan["productId"] == product["id"]
    assert plan["slug"] == "team-2026"
    assert (plan["trialDays"], plan["trialRequiresCard"], plan["seats"]) == (14, False, 5)
    assert plan["addOns"] == [extra["id"]]
    assert plan["entitlements"] == {"sso": True, "projects": None, "support": "gold", "regions": ["eu", "us"]}
    assert plan["usage"][0]["overage"] == {"scheme": "per_unit", "unitAmountCents": 2}
    assert plan["usage"][0]["windows"] == [{"per": "day", "limit": 500}]
    assert acme_api.get(f"/plans/{plan['id']}").json() == plan


def test_several_prices_of_every_scheme(acme_api):
    tiers = [{"upTo": 10, "unitAmountCents": 100}, {"upTo": None, "flatAmountCents": 700}]
    prices = [
        {"currency": "EUR", "unitAmountCents": 900, "interval": "year"},
        {"currency": "usd", "scheme": "per_unit", "unitAmountCents": 5},
        {"currency": "usd", "scheme": "graduated", "tiers": tiers},
        {"currency": "usd", "scheme": "volume", "tiers": tiers},
        {"currency": "usd", "scheme": "package", "unitAmountCents": 5, "packageSize": 100},
        {"currency": "usd", "unitAmountCents": 99, "interval": "one_time"},
    ]

    plan = acme_api.post("/plans", {"name": "Many", "prices": prices}).json()

    assert [price["scheme"] for price in plan["prices"]] == [
        "flat",
        "per_unit",
        "graduated",
        "volume",
        "package",
        "flat",
    ]
    assert (plan["priceCents"], plan["currency"], plan["interval"]) == (900, "eur", "year")
    assert plan["prices"][2]["tiers"] == [
        {"upTo": 10, "unitAmountCents": 100, "flatAmountCents": 0},
        {"upTo": None, "unitAmountCents": 0, "flatAmountCents": 700},
    ]


@pytest.mark.parametrize(
    ("prices", "field"),
    [
        ([{"currency": "usd"}], "prices.0.unitAmountCents"),
        ([{"currency": "usd", "scheme": "graduated"}], "prices.0.tiers"),
        ([{"currency": "usd", "scheme": "volume", "tiers": [{"upTo": 5, "unitAmountCents": 1}]}], "prices.0.tiers"),
        ([{"currency": "usd", "scheme": "package", "unitAmountCents": 5}], "prices.0.packageSize"),
        ([{"currency": "usd", "unitAmountCents": 5, "packageSize": 5}], "prices.0.packageSize"),
        ([{"currency": "xxx", "unitAmountCents": 5}], "prices.0.currency"),
        ([{"currency": "usd", "unitAmountCents": -1}], "prices.0.unitAmountCents"),
        ([{"currency": "usd", "unitAmountCents": 1.5}], "prices.0.unitAmountCents"),
        ([{"currency": "usd", "unitAmountCents": 5, "interval": "year", "intervalCount": 4}], "prices.0.intervalCount"),
        ([{"currency": "usd", "unitAmountCents": 5, "bonus": 1}], "prices.0.bonus"),
        ([], "priceCents"),
    ],
)
def test_a_price_that_makes_no_sense_is_refused_by_name(acme_api, prices, field):
    response = acme_api.post("/plans", {"name": "Pro", "prices": prices})

    assert response.status_code == 400
    assert field in response.json()["fields"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"currency": "usd", "priceCents": 1}, "name"),
        ({"name": "Pro"}, "priceCents"),
        ({"name": "Pro", "priceCents": 5}, "currency"),
        ({"name": "Pro", "priceCents": "5", "currency": "usd"}, "priceCents"),
        ({"name": "Pro", "priceCents": True, "currency": "usd"}, "priceCents"),
        ({"name": "Pro", "priceCents": 5, "currency": "usd", "interval": "day"}, "interval"),
        ({"name": "Pro", "priceCents": 5, "currency": "usd", "prices": []}, "priceCents"),
        ({"name": "Pro", "priceCents": 5, "currency": "usd", "colour": "red"}, "colour"),
        ({"name": "P\0ro", "priceCents": 5, "currency": "usd"}, "name"),
        ({"name": "Pro", "priceCents": 5, "currency": "usd", "slug": "Pro Plan"}, "slug"),
        ({"name": "Pro", "priceCents": 5, "currency": "usd", "addOns": ["plan_x"]}, "addOns"),
        ({"name": "Pro", "priceCents": 5, "currency": "usd", "isDefault": True}, "isDefault"),
        ({"name": "Pro", "priceCents": 5, "currency": "usd", "interval": "one_time", "trialDays": 3}, "trialDays"),
        ({"name": "Pro", "priceCents": 0, "currency": "usd", "isDefault": True, "active": False}, "isDefault"),
        ({"name": "Pro", "priceCents": 0, "currency": "usd", "entitlements": []}, "entitlements"),
        (
            {"name": "Pro", "priceCents": 0, "currency": "usd", "usage": [{"metric": "nope", "included": 1}]},
            "usage.0.metric",
        ),
        (
            {"name": "Pro", "priceCents": 0, "currency": "usd", "usage": [{"metric": "api_calls"}]},
            "usage.0.included",
        ),
        (
            {
                "name": "Pro",
                "priceCents": 0,
                "currency": "usd",
                "usage": [{"metric": "api_calls", "included": 1, "overage": {"unitAmountCents": 1}}],
            },
            "usage.0.overage",
        ),
        (
            {
                "name": "Pro",
                "priceCents": 0,
                "currency": "usd",
                "usage": [
                    {
                        "metric": "api_calls",
                        "included": 9,
                        "windows": [{"per": "day", "limit": 1}, {"per": "day", "limit": 2}],
                    }
                ],
            },
            "usage.0.windows",
        ),
    ],
)
def test_bad_input_names_its_field(acme_api, body, field):
    response = acme_api.post("/plans", body)

    assert response.status_code == 400, response.content
    assert any(name.startswith(field) for name in response.json()["fields"]), response.json()


def test_a_typo_in_an_entitlement_names_the_keys_there_are(acme_api, features):
    response = acme_api.post("/plans", START_BODY | {"entitlements": {"ssso": True}})

    assert response.status_code == 400
    sentence = response.json()["fields"]["entitlements.ssso"][0]
    assert "ssso" in sentence
    assert "calls, projects, regions, sso, support" in sentence


@pytest.mark.parametrize(
    "entitlements",
    [
        {"sso": 1},
        {"projects": "5"},
        {"projects": True},
        {"projects": 1e308},
        {"calls": 2**53},
        {"support": 5},
        {"regions": "eu"},
        {"regions": [1]},
        {"calls": -1},
    ],
)
def test_a_value_of_another_type_than_its_feature_is_refused(acme_api, features, entitlements):
    response = acme_api.post("/plans", START_BODY | {"entitlements": entitlements})

    assert response.status_code == 400
    assert f"entitlements.{next(iter(entitlements))}" in response.json()["fields"]


def test_two_numbers_for_one_metric_are_refused(acme_api, features):
    usage = [{"metric": "api_calls", "included": 10}]
    response = acme_api.post("/plans", START_BODY | {"entitlements": {"calls": 11}, "usage": usage})

    assert response.status_code == 400
    assert "entitlements.calls" in response.json()["fields"]


def test_a_slug_names_one_active_plan(acme_api, make_plan):
    make_plan("Pro")

    assert make_plan("Pro")["slug"] == "pro-2"
    response = acme_api.post("/plans", START_BODY | {"slug": "pro"})
    assert response.status_code == 409
    assert response.json()["code"] == "CONFLICT"


def test_a_product_of_nobody_or_of_a_rival_is_not_found(acme_api, globex_api):
    theirs = globex_api.post("/products", {"name": "Theirs"}).json()["id"]

    for product_id in (theirs, "prod_00000000000000000000000000", "nonsense"):
        response = acme_api.post("/plans", START_BODY | {"productId": product_id})
        assert response.status_code == 404, product_id


def test_an_archived_product_takes_no_plan(acme_api):
    product = acme_api.post("/products", {"name": "Old", "active": False}).json()

    response = acme_api.post("/plans", START_BODY | {"productId": product["id"]})

    assert response.json()["fields"] == {"productId": ["This product is archived."]}


def test_a_price_that_nobody_pays_yet_is_edited_in_place(acme_api, make_plan):
    plan = make_plan()

    edited = acme_api.patch(f"/plans/{plan['id']}", {"priceCents": 3900}).json()

    assert edited["priceCents"] == 3900
    assert edited["version"] == 1
    assert edited["prices"][0]["id"] != plan["prices"][0]["id"]


def test_a_price_that_somebody_pays_makes_a_new_version(acme_api, make_plan, stripe):
    plan = make_plan(entitlements={"sso": True})
    subscription = stripe.subscribe(plan)

    edited = acme_api.patch(f"/plans/{plan['id']}", {"priceCents": 3900}).json()

    assert (edited["priceCents"], edited["version"]) == (3900, 2)
    assert edited["entitlements"] == {"sso": True}
    theirs = acme_api.get(f"/subscriptions/{subscription.public_id}?expand=plan").json()["plan"]
    assert (theirs["priceCents"], theirs["version"]) == (2900, 1)


def test_an_edit_that_changes_nothing_changes_nothing(acme_api, make_plan):
    plan = make_plan(entitlements={"sso": True})

    same = acme_api.patch(f"/plans/{plan['id']}", {"priceCents": 2900, "entitlements": {"sso": True}, "name": "Pro"})

    assert same.json() == plan


def test_edited_entitlements_reach_subscribers_at_once(acme_api, make_plan, stripe, customer, events):
    plan = make_plan(entitlements={"projects": 3})
    stripe.subscribe(plan)

    acme_api.patch(f"/plans/{plan['id']}", {"entitlements": {"projects": 5}})

    shown = acme_api.get(f"/entitlements?customerId={customer['id']}").json()
    assert shown["entitlements"] == {"projects": 5}
    assert events("entitlements") == ["entitlements.updated"] * 2


def test_an_archived_plan_is_shown_and_keeps_its_subscribers(acme_api, make_plan, stripe, customer):
    plan = make_plan(entitlements={"sso": True})
    stripe.subscribe(plan)

    assert acme_api.delete(f"/plans/{plan['id']}").status_code == 204
    assert acme_api.delete(f"/plans/{plan['id']}").status_code == 204

    assert acme_api.get(f"/plans/{plan['id']}").json()["active"] is False
    assert acme_api.get("/plans?active=true").json()["data"] == []
    assert len(acme_api.get("/plans?active=false").json()["data"]) == 1
    assert acme_api.get(f"/entitlements?customerId={customer['id']}").json()["entitlements"] == {"sso": True}


def test_an_archived_plan_returns_unless_its_slug_is_taken(acme_api, make_plan):
    old = make_plan("Pro")
    acme_api.delete(f"/plans/{old['id']}")
    make_plan("Pro")

    assert acme_api.patch(f"/plans/{old['id']}", {"active": True}).status_code == 409
    assert acme_api.patch(f"/plans/{old['id']}", {"active": True, "slug": "old"}).json()["active"] is True


def test_the_newest_default_is_the_only_one(acme_api, make_plan):
    first = make_plan("Free", priceCents=0, isDefault=True)
    second = make_plan("Freer", priceCents=0, isDefault=True)

    assert acme_api.get(f"/plans/{first['id']}").json()["isDefault"] is False
    assert acme_api.get(f"/plans/{second['id']}").json()["isDefault"] is True


def test_lists_go_newest_first_in_pages(acme_api, make_plan):
    for name in ("A", "B", "C"):
        make_plan(name)

    first = acme_api.get("/plans?limit=2").json()
    rest = acme_api.get(f"/plans?limit=2&cursor={first['nextCursor']}").json()

    assert [plan["name"] for plan in first["data"]] == ["C", "B"]
    assert first["hasMore"] is True
    assert [plan["name"] for plan in rest["data"]] == ["A"]
    assert rest["nextCursor"] is None


def test_a_list_costs_the_same_for_many_plans(acme_api, make_plan, django_assert_max_num_queries):
    for name in ("A", "B", "C", "D", "E"):
        make_plan(name)

    with django_assert_max_num_queries(12):
        acme_api.get("/plans")


def test_each_plan_is_pushed_to_stripe_in_the_background(acme_api, make_plan):
    plan = make_plan()

    with connection.cursor() as cursor:
        cursor.execute("select count(*) from procrastinate_jobs where task_name = 'billing.push_plan'")
        assert cursor.fetchone()[0] == 1
    acme_api.patch(f"/plans/{plan['id']}", {"name": "Professional"})
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from procrastinate_jobs where task_name = 'billing.push_plan'")
        assert cursor.fetchone()[0] == 2


def test_the_same_idempotency_key_makes_one_plan(acme_api):
    first = acme_api.post("/plans", START_BODY, Idempotency_Key="one")
    again = acme_api.post("/plans", START_BODY, Idempotency_Key="one")

    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(acme_api.get("/plans").json()["data"]) == 1


def test_a_rival_finds_nothing(acme_api, globex_api, make_plan):
    plan = make_plan()

    for call in (
        globex_api.get(f"/plans/{plan['id']}"),
        globex_api.patch(f"/plans/{plan['id']}", {"name": "Mine"}),
        globex_api.delete(f"/plans/{plan['id']}"),
    ):
        assert call.status_code == 404
        assert call.json()["code"] == "PLAN_NOT_FOUND"
    assert globex_api.get("/plans").json()["data"] == []


def test_who_may(acme):
    reader, writer = acme.api("plans:read"), acme.api("plans:write")

    assert Api(None).get("/plans").status_code == 401
    assert Api("sbk_test_nonsense").get("/plans").status_code == 401
    assert reader.get("/plans").status_code == 200
    assert reader.post("/plans", START_BODY).json()["code"] == "INSUFFICIENT_SCOPE"
    assert writer.get("/plans").status_code == 403
    assert writer.post("/plans", START_BODY).status_code == 201
