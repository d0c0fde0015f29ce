"""POST /v1/entitlements/check/batch"""

from __future__ import annotations

from tests.cast import Api
from tests.refusals import assert_needs_credential, assert_needs_scope, assert_refuses_each, never
from tests.usage.stage import grant_default, make_customer, make_subscriber

PATH = "/entitlements/check/batch"


def test_many_customers_and_features_are_one_call_that_agrees_with_single_checks(acme, acme_api, ada):
    grant_default(acme)
    bob = make_customer(acme, "bob@example.com")
    features = ["sso", "api_calls", "nope"]

    body = acme_api.post(PATH, {"customers": [bob.id, ada.id, bob.id], "features": features}).json()

    single = {
        one.id: acme_api.post("/entitlements/check", {"customerId": one.id, "features": features}).json()["results"]
        for one in (bob, ada)
    }
    assert body == {"results": single, "notFound": []}


def test_who_is_unknown_deleted_or_a_rivals_is_listed_apart(acme, acme_api, globex, ada):
    rival, gone, absent = make_subscriber(globex), make_customer(acme, "bob@example.com"), never("cust")
    acme_api.delete(f"/customers/{gone.id}")

    body = acme_api.post(PATH, {"customers": [rival.id, ada.id, gone.id, absent], "features": ["sso"]}).json()

    assert list(body["results"]) == [ada.id]
    assert body["notFound"] == [rival.id, gone.id, absent]


def test_a_hundred_customers_take_as_many_queries_as_one(acme, acme_api, ada, django_assert_max_num_queries):
    everybody = [ada.id, *(never("cust") for _ in range(99))]

    with django_assert_max_num_queries(9):
        response = acme_api.post(PATH, {"customers": everybody, "features": [f"f{n}" for n in range(100)]})

    assert len(response.json()["results"][ada.id]) == 100


def test_bad_input_is_refused_by_field(acme_api, ada):
    good = {"customers": [ada.id], "features": ["sso"]}
    assert_refuses_each(
        acme_api,
        "POST",
        PATH,
        [
            *(({**good, "customers": c}, "customers") for c in ([], "x", ["x"], [5], [ada.id] * 101)),
            *(({**good, "features": f}, "features") for f in ([], "sso", [5], ["a b"], ["f"] * 101)),
            ({**good, "customerId": ada.id}, "customerId"),
        ],
    )


def test_who_may(acme, acme_api, ada):
    body = {"customers": [ada.id], "features": ["sso"]}
    assert_needs_credential("POST", PATH, body)
    assert_needs_scope(acme.api("usage:read"), "entitlements:read", "POST", PATH, body)
    session = Api(acme_api.post(f"/customers/{ada.id}/sessions").json()["sessionToken"])
    assert session.post(PATH, body).status_code == 403
