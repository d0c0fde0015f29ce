"""GET /v1/customers/:id/state"""

from __future__ import annotations

from tests.refusals import assert_hidden, assert_needs_credential, assert_needs_scope, never


def test_the_state_is_one_call(acme_api, ada):
    acme_api.post("/usage/track", ada.event(quantity=4))

    body = acme_api.get(f"/customers/{ada.id}/state").json()

    assert set(body) == {
        "customer",
        "organization",
        "subscription",
        "entitlements",
        "usage",
        "credits",
        "version",
    }
    assert body["customer"]["id"] == ada.id
    assert body["entitlements"]["planName"] == "Pro"
    assert body["usage"][0]["currentUsage"] == 4
    assert body["version"] >= 1


def test_a_deleted_customer_has_no_state(acme_api, ada):
    acme_api.delete(f"/customers/{ada.id}")

    response = acme_api.get(f"/customers/{ada.id}/state")

    assert (response.status_code, response.json()["code"]) == (404, "CUSTOMER_NOT_FOUND")


def test_who_may(acme, globex_api, ada):
    path = f"/customers/{ada.id}/state"
    assert_needs_credential("GET", path)
    assert_needs_scope(acme.api("usage:read"), "entitlements:read", "GET", path)
    assert_hidden(globex_api, "GET", path, f"/customers/{never('cust')}/state")
