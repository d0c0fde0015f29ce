"""GET /v1/customers/:id."""

from __future__ import annotations

import pytest

from tests.cast import Api
from tests.refusals import assert_hidden, assert_needs_credential, assert_needs_scope, never


def test_a_customer_is_shown(acme_api, joe):
    response = acme_api.get(f"/customers/{joe['id']}")

    assert (response.status_code, response.json()) == (200, joe)
    assert response.headers["Cache-Control"] == "no-store"


def test_expand_shows_what_they_are_subscribed_to(acme_api, joe):
    path = f"/customers/{joe['id']}?expand=subscription"
    assert acme_api.get(path).json() == joe | {"subscription": None}

    plan = acme_api.post("/plans", {"name": "Free", "priceCents": 0, "currency": "usd", "interval": "month"}).json()
    made = acme_api.post("/subscriptions", {"customerId": joe["id"], "planId": plan["id"]}).json()

    assert acme_api.get(path).json()["subscription"] == made
    assert "subscription" not in acme_api.get(f"/customers/{joe['id']}").json()


def test_what_cannot_be_expanded_is_named(acme_api, joe):
    for query in ("expand=plan", "expand=", "expand=subscription&expand=x", "include=subscription"):
        response = acme_api.get(f"/customers/{joe['id']}?{query}")
        assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")


def test_a_rivals_customer_is_hidden(globex_api, joe):
    assert_hidden(globex_api, "GET", f"/customers/{joe['id']}", f"/customers/{never('cust')}")


def test_a_customer_of_another_app_of_the_tenant_is_hidden(acme, joe):
    tenant = Api(acme.tenant_key)
    other = tenant.post("/apps", {"name": "Other"}).json()["id"]
    named = Api(acme.tenant_key, **{"X-StackBE-App": other})

    assert_hidden(named, "GET", f"/customers/{joe['id']}", f"/customers/{never('cust')}")


@pytest.mark.parametrize(
    "wrong", ["1", "cust_", "null", "%00", "%2e%2e", "cust_01JD0000000000000000000000", "é", "x" * 3000]
)
def test_what_is_no_id_is_no_customer(acme_api, wrong):
    response = acme_api.get(f"/customers/{wrong}")

    assert (response.status_code, response.json()["code"]) == (404, "CUSTOMER_NOT_FOUND")


def test_it_needs_a_credential_and_customers_read(acme, joe):
    assert_needs_credential("GET", f"/customers/{joe['id']}")
    assert_needs_scope(acme.api("customers:write"), "customers:read", "GET", f"/customers/{joe['id']}")


def test_a_method_that_is_not_taken_is_named(acme_api, joe):
    response = acme_api.put(f"/customers/{joe['id']}")

    assert (response.status_code, response.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert response.headers["Allow"] == "DELETE, GET, HEAD, PATCH"
