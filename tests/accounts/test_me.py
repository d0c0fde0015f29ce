"""GET /v1/me."""

from __future__ import annotations

from tests.cast import Api
from tests.refusals import assert_needs_credential


def test_a_key_is_told_its_app_and_scopes(acme):
    told = acme.api("usage:write", "customers:read").get("/me").json()

    assert told["credential"] == "api_key"
    assert told["tenant"]["name"] == "Acme"
    assert told["app"] == {"id": acme.app, "name": "Acme", "environment": "test"}
    assert told["keyId"].startswith("key_")
    assert told["scopes"] == ["customers:read", "usage:write"]
    assert (told["customer"], told["session"]) == (None, None)


def test_a_tenant_key_is_told_its_tenant_and_the_app_that_it_names(acme):
    plain = Api(acme.tenant_key).get("/me").json()
    named = Api(acme.tenant_key, **{"X-StackBE-App": acme.app}).get("/me").json()

    assert (plain["credential"], plain["app"]) == ("tenant_api_key", None)
    assert named["app"]["id"] == acme.app


def test_a_session_is_told_its_customer_and_no_scopes(acme, acme_api):
    joe = acme_api.post("/customers", {"email": "joe@shop.example", "name": "Joe"}).json()
    token = acme_api.post(f"/customers/{joe['id']}/sessions").json()["sessionToken"]

    told = Api(token).get("/me").json()

    assert told["credential"] == "session"
    assert told["customer"] == {"id": joe["id"], "email": "joe@shop.example", "name": "Joe"}
    assert told["session"]["id"].startswith("sess_")
    assert (told["scopes"], told["keyId"]) == (None, None)


def test_a_deleted_customers_session_is_dead_at_once(acme, acme_api):
    joe = acme_api.post("/customers", {"email": "joe@shop.example"}).json()
    token = acme_api.post(f"/customers/{joe['id']}/sessions").json()["sessionToken"]
    assert Api(token).get("/me").status_code == 200

    acme_api.delete(f"/customers/{joe['id']}")

    assert Api(token).get("/me").status_code == 401


def test_a_session_may_not_do_what_keys_do(acme, acme_api):
    joe = acme_api.post("/customers", {"email": "joe@shop.example"}).json()
    session = Api(acme_api.post(f"/customers/{joe['id']}/sessions").json()["sessionToken"])

    for method, path in (("GET", "/customers"), ("GET", f"/customers/{joe['id']}"), ("GET", "/apps"),
                         ("DELETE", f"/customers/{joe['id']}"), ("GET", f"/apps/{acme.app}/api-keys")):  # fmt: skip
        response = session.request(method, path)
        assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN"), path


def test_any_scope_will_do(acme):
    assert acme.api("plans:read").get("/me").status_code == 200


def test_without_a_credential_it_is_refused(db):
    assert_needs_credential("GET", "/me")


def test_a_publishable_key_may_not_ask(acme):
    response = Api(acme.publishable).get("/me")

    assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN")
