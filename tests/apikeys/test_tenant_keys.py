"""POST, GET, DELETE /v1/api-keys, and what a key of the whole tenant may name."""

from __future__ import annotations

from tests.cast import Api
from tests.refusals import (
    assert_hidden,
    assert_needs_credential,
    assert_needs_scope,
    assert_refuses_each,
    never,
)


def test_a_tenant_key_makes_lists_and_revokes_tenant_keys(acme):
    tenant = Api(acme.tenant_key)

    made = tenant.post("/api-keys", {"name": "ops", "scopes": ["keys:write"]})
    assert made.status_code == 201
    listed = [row["name"] for row in tenant.get("/api-keys").json()["data"]]
    assert listed == ["ops", "tenant"]

    other = Api(made.json()["key"])
    assert other.get("/api-keys").status_code == 200
    assert tenant.delete(f"/api-keys/{made.json()['id']}").status_code == 204
    assert other.get("/api-keys").status_code == 401


def test_its_environment_may_be_chosen(acme):
    tenant = Api(acme.tenant_key)

    assert tenant.post("/api-keys", {"name": "x"}).json()["key"].startswith("sbk_test_")
    live = tenant.post("/api-keys", {"name": "x", "environment": "live"}).json()
    assert live["key"].startswith("sbk_live_")


def test_an_apps_key_is_the_wrong_credential(acme_api):
    for method in ("GET", "POST"):
        response = acme_api.request(method, "/api-keys", {"name": "x"})
        assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN")


def test_it_needs_a_credential_and_keys_write(acme):
    weak = Api(Api(acme.tenant_key).post("/api-keys", {"name": "x", "scopes": ["apps:write"]}).json()["key"])

    assert_needs_credential("GET", "/api-keys")
    assert_needs_credential("POST", "/api-keys", {"name": "x"})
    assert_needs_scope(weak, "keys:write", "GET", "/api-keys")
    assert_needs_scope(weak, "keys:write", "POST", "/api-keys", {"name": "x"})
    assert_needs_scope(weak, "keys:write", "DELETE", f"/api-keys/{never('key')}")


def test_a_rivals_tenant_key_is_hidden(acme, globex):
    rival = Api(globex.tenant_key)
    target = Api(acme.tenant_key).get("/api-keys").json()["data"][0]["id"]

    assert_hidden(rival, "DELETE", f"/api-keys/{target}", f"/api-keys/{never('key')}")
    assert Api(acme.tenant_key).get("/me").status_code == 200


def test_bad_input_is_named(acme):
    cases = [({"name": "x", "environment": "prod"}, "environment"), ({"name": "x", "appId": acme.app}, "appId")]
    assert_refuses_each(Api(acme.tenant_key), "POST", "/api-keys", cases)


def test_it_names_an_app_of_the_tenant_in_the_header(acme):
    named = Api(acme.tenant_key, **{"X-StackBE-App": acme.app})

    assert named.get("/customers").status_code == 200
    assert named.get("/me").json()["app"]["id"] == acme.app


def test_without_a_name_a_route_that_needs_an_app_says_so(acme):
    response = Api(acme.tenant_key).get("/customers")

    assert (response.status_code, response.json()["code"]) == (400, "MISSING_REQUIRED_FIELD")
    assert "X-StackBE-App" in response.json()["fields"]


def test_a_rivals_app_in_the_header_is_hidden(acme, globex):
    foreign = Api(acme.tenant_key, **{"X-StackBE-App": globex.app})
    absent = Api(acme.tenant_key, **{"X-StackBE-App": never("app")})

    hidden = foreign.get("/customers", **{"X-Request-Id": "one-and-the-same"})
    missing = absent.get("/customers", **{"X-Request-Id": "one-and-the-same"})

    assert hidden.status_code == 404
    assert hidden.content == missing.content


def test_an_apps_key_may_not_name_another_app_in_the_header(acme):
    tenant = Api(acme.tenant_key)
    other = tenant.post("/apps", {"name": "Other"}).json()["id"]

    response = Api(acme.key, **{"X-StackBE-App": other}).get("/customers")

    assert (response.status_code, response.json()["code"]) == (404, "APP_NOT_FOUND")


def test_a_header_that_is_no_id_is_named(acme):
    response = Api(acme.tenant_key, **{"X-StackBE-App": "acme"}).get("/customers")

    assert response.status_code == 400
    assert "X-StackBE-App" in response.json()["fields"]


def test_path_and_header_must_agree(acme):
    tenant = Api(acme.tenant_key)
    other = tenant.post("/apps", {"name": "Other"}).json()["id"]

    response = Api(acme.tenant_key, **{"X-StackBE-App": other}).get(f"/apps/{acme.app}")

    assert response.status_code == 404
