"""GET and PUT of /v1/catalogue: plans as code."""

from __future__ import annotations

import copy

import pytest

from billing.models import Plan
from stackbe.kernel.audit import AuditEvent
from stackbe.kernel.transactions import reading
from tests.refusals import assert_needs_credential, assert_needs_scope

DOCUMENT = {
    "metrics": [
        {"name": "api_calls", "aggregation": "sum", "unit": "call", "resets": "month", "thresholds": [50, 100]}
    ],
    "features": [
        {"key": "calls", "name": "Calls", "type": "metered", "metric": "api_calls"},
        {"key": "sso", "name": "Single sign-on", "type": "boolean"},
    ],
    "products": [{"slug": "orbit", "name": "Orbit", "description": "All of it", "metadata": {"team": "a"}}],
    "plans": [
        {
            "slug": "free",
            "name": "Free",
            "product": "orbit",
            "prices": [
                {
                    "currency": "usd",
                    "interval": "month",
                    "intervalCount": 1,
                    "scheme": "flat",
                    "unitAmountCents": 0,
                }
            ],
            "trialDays": 0,
            "trialRequiresCard": True,
            "usage": [],
            "seats": None,
            "credits": [],
            "addOns": [],
            "entitlements": {},
            "isDefault": True,
        },
        {
            "slug": "pro",
            "name": "Pro",
            "product": "orbit",
            "prices": [
                {
                    "currency": "usd",
                    "interval": "month",
                    "intervalCount": 1,
                    "scheme": "flat",
                    "unitAmountCents": 2900,
                },
                {
                    "currency": "eur",
                    "interval": "year",
                    "intervalCount": 1,
                    "scheme": "graduated",
                    "tiers": [
                        {"upTo": 5, "unitAmountCents": 900, "flatAmountCents": 0},
                        {"upTo": None, "unitAmountCents": 700, "flatAmountCents": 100},
                    ],
                },
                {
                    "currency": "usd",
                    "interval": "year",
                    "intervalCount": 1,
                    "scheme": "package",
                    "unitAmountCents": 500,
                    "packageSize": 100,
                },
            ],
            "trialDays": 14,
            "trialRequiresCard": False,
            "usage": [
                {
                    "metric": "api_calls",
                    "included": 1000,
                    "mode": "soft",
                    "overage": {"scheme": "per_unit", "unitAmountCents": 2},
                    "windows": [{"per": "day", "limit": 500}],
                }
            ],
            "seats": 5,
            "credits": [],
            "addOns": ["storage"],
            "entitlements": {"sso": True},
            "isDefault": False,
        },
        {
            "slug": "storage",
            "name": "Storage",
            "product": "orbit",
            "prices": [
                {
                    "currency": "usd",
                    "interval": "one_time",
                    "intervalCount": 1,
                    "scheme": "flat",
                    "unitAmountCents": 500,
                }
            ],
            "trialDays": 0,
            "trialRequiresCard": True,
            "usage": [],
            "seats": None,
            "credits": [],
            "addOns": [],
            "entitlements": {},
            "isDefault": False,
        },
    ],
}


def short(changes):
    return [(change["kind"], change["key"], change["action"]) for change in changes]


@pytest.fixture
def document(acme_api):
    """Acme sells what the document says; a copy of it to edit."""
    response = acme_api.put("/catalogue", DOCUMENT)
    assert response.status_code == 200, response.content
    return copy.deepcopy(DOCUMENT)


@pytest.fixture
def audited(acme):
    """Count what stands in Acme's audit log."""

    def count() -> int:
        with reading(acme.scope):
            return AuditEvent.objects.within(acme.scope).count()

    return count


def test_an_app_without_a_catalogue_has_an_empty_document(acme_api):
    assert acme_api.get("/catalogue").json() == {"metrics": [], "features": [], "products": [], "plans": []}


def test_what_is_put_is_what_is_got_and_putting_it_again_changes_nothing(acme_api, audited):
    first = acme_api.put("/catalogue", DOCUMENT)
    got, before = acme_api.get("/catalogue").json(), audited()
    again = acme_api.put("/catalogue", got)

    assert short(first.json()["changes"]) == [
        ("metric", "api_calls", "create"),
        ("feature", "calls", "create"),
        ("feature", "sso", "create"),
        ("product", "orbit", "create"),
        ("plan", "free", "create"),
        ("plan", "pro", "create"),
        ("plan", "storage", "create"),
    ]
    assert got == DOCUMENT
    assert again.json() == {"dryRun": False, "changed": False, "changes": []}
    assert audited() == before


def test_one_document_fits_another_app(acme_api, globex_api, document):
    assert globex_api.get("/catalogue").json()["plans"] == []

    globex_api.put("/catalogue", acme_api.get("/catalogue").json())

    assert globex_api.get("/catalogue").json() == document


def test_the_routes_and_the_document_tell_the_same(acme_api, document):
    plans = {plan["slug"]: plan for plan in acme_api.get("/plans").json()["data"]}

    assert [price["scheme"] for price in plans["pro"]["prices"]] == ["flat", "graduated", "package"]
    assert plans["pro"]["addOns"] == [plans["storage"]["id"]]
    acme_api.patch(f"/plans/{plans['storage']['id']}", {"name": "More storage"})
    assert acme_api.get("/catalogue").json()["plans"][2]["name"] == "More storage"
    acme_api.post("/plans", {"name": "Ünique!", "priceCents": 1, "currency": "usd"})
    assert acme_api.put("/catalogue", acme_api.get("/catalogue").json()).json()["changed"] is False
    assert [product["slug"] for product in acme_api.get("/catalogue").json()["products"]] == ["orbit", "unique"]


def test_a_dry_run_says_what_would_change_and_changes_nothing(acme_api, document, audited):
    document["plans"][1]["prices"][0]["unitAmountCents"] = 3900
    document["plans"][1]["entitlements"] = {}
    document["features"].pop()
    before = audited()

    rehearsed = acme_api.put("/catalogue?dryRun=true", document).json()

    assert (rehearsed["dryRun"], rehearsed["changed"]) == (True, True)
    assert short(rehearsed["changes"]) == [("feature", "sso", "archive"), ("plan", "pro", "update")]
    change = rehearsed["changes"][1]
    assert change["before"]["entitlements"] == {"sso": True}
    assert change["after"]["prices"][0]["unitAmountCents"] == 3900
    assert change["subscribers"] == 0
    assert acme_api.get("/catalogue").json() == DOCUMENT
    assert audited() == before
    applied = acme_api.put("/catalogue?dryRun=false", document).json()
    assert applied == rehearsed | {"dryRun": False}
    assert acme_api.get("/catalogue").json() == document


def test_what_is_left_out_is_archived_and_the_old_document_brings_it_back(acme_api, acme, document):
    pro = next(plan["id"] for plan in acme_api.get("/plans").json()["data"] if plan["slug"] == "pro")

    emptied = acme_api.put("/catalogue", {"metrics": [], "features": [], "products": [], "plans": []}).json()

    assert {change["action"] for change in emptied["changes"]} == {"archive"}
    assert len(emptied["changes"]) == 7
    assert acme_api.get(f"/plans/{pro}").json()["active"] is False
    acme_api.put("/catalogue", document)
    assert acme_api.get("/catalogue").json() == document
    assert acme_api.get(f"/plans/{pro}").json()["active"] is True
    with reading(acme.scope):
        assert Plan.objects.within(acme.scope).count() == 3


def test_a_section_that_is_not_there_stays_as_it_is(acme_api, document):
    answer = acme_api.put("/catalogue", {"plans": [document["plans"][0]]}).json()

    assert short(answer["changes"]) == [("plan", "pro", "archive"), ("plan", "storage", "archive")]
    assert acme_api.put("/catalogue", {}).json()["changed"] is False
    assert acme_api.get("/catalogue").json() == document | {"plans": [document["plans"][0]]}


def test_subscribers_keep_their_version_and_the_answer_says_so(acme_api, document):
    document["plans"][2] |= {"prices": [{**document["plans"][2]["prices"][0], "unitAmountCents": 0}]}
    acme_api.put("/catalogue", document)
    customer = acme_api.post("/customers", {"email": "ada@example.com"}).json()["id"]
    storage = next(plan["id"] for plan in acme_api.get("/plans").json()["data"] if plan["slug"] == "storage")
    assert acme_api.post("/subscriptions", {"customerId": customer, "planId": storage}).status_code == 201
    document["plans"][2]["prices"][0]["unitAmountCents"] = 700

    [change] = acme_api.put("/catalogue", document).json()["changes"]

    assert (change["key"], change["newVersion"], change["subscribers"]) == ("storage", 2, 1)
    [change] = acme_api.put("/catalogue", document | {"plans": document["plans"][:1]}).json()["changes"][1:]
    assert (change["key"], change["action"], change["subscribers"]) == ("storage", "archive", 1)


def test_another_plan_may_become_the_default(acme_api, document):
    document["plans"][0]["isDefault"] = False
    document["plans"][2] |= {"isDefault": True}
    document["plans"][2]["prices"][0]["unitAmountCents"] = 0

    assert acme_api.put("/catalogue", document).status_code == 200
    assert acme_api.get("/catalogue").json() == document


def test_the_short_form_of_a_price_is_taken(acme_api):
    body = {"plans": [{"slug": "pro", "name": "Pro", "priceCents": 2900, "currency": "usd", "interval": "year"}]}

    assert acme_api.put("/catalogue", body).status_code == 200
    assert acme_api.put("/catalogue", body).json()["changed"] is False
    [plan] = acme_api.get("/catalogue").json()["plans"]
    assert (plan["product"], plan["prices"][0]["unitAmountCents"], plan["prices"][0]["interval"]) == (
        "pro",
        2900,
        "year",
    )


def edited(section, place, **fields):
    body = copy.deepcopy(DOCUMENT)
    body[section][place] |= fields
    return body


WRONG = [
    ("plans.1.entitlements.ssoo", edited("plans", 1, entitlements={"ssoo": True})),
    ("plans.1.product", edited("plans", 1, product="orbitt")),
    ("plans.1.addOns", edited("plans", 1, addOns=["pro"])),
    ("plans.1.addOns", edited("plans", 1, addOns=["nothing"])),
    ("plans.2.slug", edited("plans", 2, slug="pro")),
    ("plans.1.isDefault", edited("plans", 1, isDefault=True)),
    ("plans.1.prices.0.unitAmountCents", edited("plans", 1, prices=[{"currency": "usd"}])),
    ("plans.1.prices", edited("plans", 1, priceCents=100)),
    ("plans.1.usage.0.metric", edited("plans", 1, usage=[{"metric": "calls", "included": 1}])),
    ("features.1.type", edited("features", 1, type="number")),
    ("features.0.metric", edited("features", 0, metric="nothing")),
    ("planz", {"planz": []}),
]


@pytest.mark.parametrize(("field", "body"), WRONG, ids=[f"{n} {field}" for n, (field, _) in enumerate(WRONG)])
def test_a_mistake_is_named_by_its_place_and_nothing_is_applied(acme_api, document, field, body):
    if "metrics" in body:
        body["metrics"] = [*body["metrics"], {"name": "new_one"}]

    for query in ("", "?dryRun=true"):
        response = acme_api.put(f"/catalogue{query}", body)

        assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")
        assert field in response.json()["fields"]
        assert acme_api.get("/catalogue").json() == document


def test_what_is_in_use_is_not_archived_and_the_refusal_names_both(acme_api, document):
    features = document["features"][:1]
    for body, words in (
        (document | {"features": features}, ("sso", "Pro")),
        (document | {"metrics": []}, ("api_calls", "Pro", "calls")),
        ({"products": []}, ("orbit", "active plans")),
    ):
        response = acme_api.put("/catalogue", body)

        assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")
        assert all(word in response.json()["message"] for word in words), response.json()
    assert acme_api.get("/catalogue").json() == document


def test_it_takes_a_key_that_may_write_plans(acme, acme_api):
    assert_needs_credential("GET", "/catalogue")
    assert_needs_credential("PUT", "/catalogue", {})
    assert_needs_scope(acme.api("customers:read"), "plans:read", "GET", "/catalogue")
    assert_needs_scope(acme.api("plans:read"), "plans:write", "PUT", "/catalogue", {})
    assert acme_api.put("/catalogue?dryRun=maybe", {}).status_code == 400
    assert acme_api.get("/catalogue?cursor=x").status_code == 400
