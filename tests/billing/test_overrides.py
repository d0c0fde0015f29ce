"""PUT and DELETE of /v1/customers/:id/entitlement-overrides/:feature."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stackbe.kernel.clock import render
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import reading
from tests.billing.conftest import NOW
from tests.cast import Api
from tests.refusals import assert_hidden, assert_needs_credential, assert_needs_scope, never

DAY = timedelta(days=1)


@pytest.fixture
def path(customer, features):
    """The URL of one of Ada's overrides."""
    return lambda feature: f"/customers/{customer['id']}/entitlement-overrides/{feature}"


@pytest.fixture
def held(acme_api, customer):
    """What Ada is entitled to."""
    return lambda: acme_api.get(f"/entitlements?customerId={customer['id']}").json()["entitlements"]


def test_a_grant_wins_over_the_plan_and_ends_when_taken_back(acme_api, path, held, make_plan, stripe):
    stripe.subscribe(make_plan(entitlements={"projects": 3}))

    granted = acme_api.put(path("projects"), {"value": 10, "reason": "a promise"})

    assert granted.status_code == 200
    assert (granted.json()["value"], granted.json()["reason"]) == (10, "a promise")
    assert granted.json()["grantedBy"].startswith("key_")
    assert held() == {"projects": 10}
    assert acme_api.delete(path("projects")).status_code == 204
    assert held() == {"projects": 3}
    assert acme_api.delete(path("projects")).status_code == 404


def test_a_grant_needs_no_plan_and_leaves_the_default_plan_in_force(acme_api, path, held, make_plan):
    acme_api.put(path("sso"), {"value": True, "reason": "a gift"})
    assert held() == {"sso": True}

    make_plan("Free", priceCents=0, isDefault=True, entitlements={"projects": 1})
    assert held() == {"projects": 1, "sso": True}


def test_a_grant_of_null_is_one_without_limit(acme_api, customer, path, held):
    granted = acme_api.put(path("projects"), {"value": None, "reason": "no limit"})

    assert (granted.status_code, granted.json()["value"]) == (200, None)
    assert held() == {"projects": None}
    checked = acme_api.get(f"/entitlements/check/projects?customerId={customer['id']}").json()
    assert (checked["hasAccess"], checked["value"], checked["source"]) == (True, None, "override")


def test_a_grant_expires_by_the_clock(acme_api, path, held, at):
    acme_api.put(path("sso"), {"value": True, "reason": "a week", "expiresAt": render(NOW + 7 * DAY)})

    assert held() == {"sso": True}
    at(NOW + 8 * DAY)
    assert held() == {}


def test_granting_again_replaces(acme_api, path, held, events):
    acme_api.put(path("projects"), {"value": 5, "reason": "x"})
    acme_api.put(path("projects"), {"value": 6, "reason": "y"})

    assert held() == {"projects": 6}
    assert events("entitlements") == ["entitlements.updated"] * 2


def test_what_was_granted_is_listed_with_who_and_why_until_it_is_taken_back(acme, acme_api, customer, path, at):
    listed = acme.api("entitlements:read")
    whole = f"/customers/{customer['id']}/entitlement-overrides"
    acme_api.put(path("projects"), {"value": 5, "reason": "first"})
    acme_api.put(path("sso"), {"value": True, "reason": "second", "expiresAt": render(NOW + DAY)})
    acme_api.put(path("projects"), {"value": None, "reason": "third"})

    shown = listed.get(whole).json()

    assert [(o["feature"], o["value"], o["reason"]) for o in shown["data"]] == [
        ("projects", None, "third"),
        ("sso", True, "second"),
    ]
    assert shown["data"][1]["expiresAt"] == render(NOW + DAY)
    assert all(o["grantedBy"].startswith("key_") for o in shown["data"])
    assert listed.one_by_one(whole) == shown["data"]
    acme_api.delete(path("projects"))
    at(NOW + 2 * DAY)
    assert [o["feature"] for o in listed.get(whole).json()["data"]] == ["sso"]


def test_who_may_list_them(acme, globex_api, customer, path):
    whole = f"/customers/{customer['id']}/entitlement-overrides"

    assert_needs_credential("GET", whole)
    assert_needs_scope(acme.api("entitlements:write"), "entitlements:read", "GET", whole)
    assert_hidden(globex_api, "GET", whole, f"/customers/{never('cust')}/entitlement-overrides")


def test_every_grant_is_audited(acme_api, path, acme):
    acme_api.put(path("projects"), {"value": 5, "reason": "x"})
    acme_api.delete(path("projects"))

    with reading(acme.scope):
        actions = AuditEvent.objects.within(acme.scope).order_by("id").values_list("action", flat=True)
        assert [a for a in actions if "override" in a] == [
            "entitlement_override.granted",
            "entitlement_override.withdrawn",
        ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": "x"}, "value"),
        ({"value": 5}, "reason"),
        ({"value": "5", "reason": "x"}, "value"),
        ({"value": "a\0", "reason": "x"}, "value"),
        ({"value": 5, "reason": "x", "expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"value": 5, "reason": "x", "expiresAt": "tomorrow"}, "expiresAt"),
        ({"value": 5, "reason": "x", "by": "me"}, "by"),
    ],
)
def test_bad_input_names_its_field(acme_api, path, body, field):
    response = acme_api.put(path("projects"), body)

    assert response.status_code == 400
    assert any(name.startswith(field) for name in response.json()["fields"])


def test_unknown_features_and_foreigners(acme_api, globex_api, path):
    body = {"value": True, "reason": "x"}

    assert acme_api.put(path("ssso"), body).status_code == 404
    assert globex_api.put(path("sso"), body).json()["code"] == "CUSTOMER_NOT_FOUND"
    assert globex_api.delete(path("sso")).status_code == 404


def test_who_may(acme, path):
    body = {"value": True, "reason": "x"}

    assert Api(None).put(path("sso"), body).status_code == 401
    assert acme.api("entitlements:read").put(path("sso"), body).json()["code"] == "INSUFFICIENT_SCOPE"
    assert acme.api("entitlements:write").put(path("sso"), body).status_code == 200
