"""POST, GET, PATCH and DELETE of /v1/features."""

from __future__ import annotations

import pytest

from tests.cast import Api

SSO = {"key": "sso", "type": "boolean"}


def test_a_feature_is_found_by_its_key_and_by_its_id(acme_api):
    made = acme_api.post("/features", SSO | {"name": "Single sign-on"})

    feature = made.json()
    assert made.status_code == 201
    assert feature == {"id": feature["id"], "key": "sso", "name": "Single sign-on", "type": "boolean"}
    assert acme_api.get("/features/sso").json() == feature
    assert acme_api.get(f"/features/{feature['id']}").json() == feature
    assert acme_api.get("/features").json()["data"] == [feature]


def test_a_metered_feature_names_its_metric(acme_api):
    made = acme_api.post("/features", {"key": "calls", "type": "metered", "metric": "api_calls"})

    assert made.json()["metric"] == "api_calls"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "boolean"}, "key"),
        ({"key": "sso"}, "type"),
        ({"key": "sso", "type": "money"}, "type"),
        ({"key": "s so", "type": "boolean"}, "key"),
        ({"key": "a" * 65, "type": "boolean"}, "key"),
        ({"key": 5, "type": "boolean"}, "key"),
        ({"key": "sso", "type": "boolean", "metric": "api_calls"}, "metric"),
        ({"key": "sso", "type": "metered", "metric": "api_cals"}, "metric"),
        ({"key": "sso", "type": "boolean", "x": 1}, "x"),
    ],
)
def test_bad_input_names_its_field(acme_api, body, field):
    response = acme_api.post("/features", body)

    assert response.status_code == 400
    assert field in response.json()["fields"]


def test_an_unknown_metric_is_told_beside_the_known(acme_api):
    response = acme_api.post("/features", {"key": "calls", "type": "metered", "metric": "api_cals"})

    assert "api_calls" in response.json()["fields"]["metric"][0]


def test_a_key_names_one_feature(acme_api):
    acme_api.post("/features", SSO)

    assert acme_api.post("/features", SSO).status_code == 409
    acme_api.delete("/features/sso")
    assert acme_api.post("/features", SSO).status_code == 201


def test_a_feature_can_be_renamed_but_not_retyped(acme_api, features):
    assert acme_api.patch("/features/sso", {"name": "SSO"}).json()["name"] == "SSO"
    assert acme_api.patch("/features/sso", {"type": "number"}).status_code == 400


def test_a_feature_that_a_plan_grants_stays(acme_api, make_plan):
    plan = make_plan(entitlements={"sso": True})

    refused = acme_api.delete("/features/sso")
    assert refused.status_code == 409
    assert "Pro" in refused.json()["message"]

    acme_api.delete(f"/plans/{plan['id']}")
    assert acme_api.delete("/features/sso").status_code == 204
    assert acme_api.get("/features/sso").status_code == 404


def test_another_spelling_of_an_allowance_counts_from_its_first_to_its_last_moment(acme_api, customer, make_plan):
    plan = make_plan(priceCents=0, usage=[{"metric": "seats_used", "included": 5}])
    acme_api.post("/subscriptions", {"customerId": customer["id"], "planId": plan["id"]})

    def held():
        told = acme_api.get("/events?type=entitlements.updated&limit=1").json()["data"][0]["data"]
        answered = acme_api.get(f"/entitlements?customerId={customer['id']}").json()["entitlements"]
        assert told["entitlements"]["entitlements"] == answered
        return answered

    assert held() == {"seats_used": 5}
    acme_api.post("/features", {"key": "room", "type": "metered", "metric": "seats_used"})
    assert held() == {"room": 5}
    acme_api.delete("/features/room")
    assert held() == {"seats_used": 5}

    acme_api.patch(f"/plans/{plan['id']}", {"usage": [], "entitlements": {"calls": 7}})
    assert held() == {"calls": 7}
    acme_api.post("/features", {"key": "a_second_name", "type": "metered", "metric": "api_calls"})
    assert held() == {"calls": 7, "a_second_name": 7}


def test_a_rival_finds_nothing(acme_api, globex_api, features):
    identifier = acme_api.get("/features/sso").json()["id"]

    for name in ("sso", identifier, "never"):
        assert globex_api.get(f"/features/{name}").status_code == 404
        assert globex_api.patch(f"/features/{name}", {"name": "x"}).status_code == 404
        assert globex_api.delete(f"/features/{name}").status_code == 404


@pytest.mark.parametrize("name", ["%00", "x" * 500, "a%20b", "feat_" + "z" * 26, "%F0%9F%99%82"])
def test_what_cannot_be_a_key_is_not_found(acme_api, customer, name):
    override = f"/customers/{customer['id']}/entitlement-overrides/{name}"

    for path in (f"/features/{name}", override):
        assert acme_api.delete(path).status_code == 404
    assert acme_api.put(override, {"value": True, "reason": "x"}).status_code == 404


def test_who_may(acme):
    assert Api(None).get("/features").status_code == 401
    assert acme.api("plans:read").post("/features", SSO).json()["code"] == "INSUFFICIENT_SCOPE"
    assert acme.api("plans:write").get("/features").status_code == 403
