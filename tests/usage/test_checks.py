"""GET /v1/entitlements/check/:feature and POST /v1/entitlements/check"""

from __future__ import annotations

from datetime import timedelta

import pytest

from stackbe.kernel.clock import wall_clock
from tests.cast import Api
from tests.refusals import CARD, assert_hidden, assert_needs_credential, assert_needs_scope, assert_refuses_each, never
from tests.usage.stage import grant_default, make_customer

HOUR = timedelta(hours=1)
# The short way answers `*/*`; what a browser's library sends goes the ordinary one.
WAYS = pytest.mark.parametrize("way", [{}, {"Accept": "application/json, text/plain"}], ids=["quick", "ordinary"])


def ask(api, customer, feature, way):
    return api.get(f"/entitlements/check/{feature}?customerId={customer.id}", **way).json()


@WAYS
@pytest.mark.parametrize(
    ("feature", "opens", "value"),
    [
        ("sso", True, True),
        ("api_calls", True, 10),
        ("projects", True, None),
        ("support", True, "priority"),
        ("seats", False, 0),
        ("beta", False, False),
        ("unheard_of", False, None),
    ],
)
def test_a_value_says_whether_it_opens(acme_api, ada, way, feature, opens, value):
    assert ask(acme_api, ada, feature, way) == {
        "hasAccess": opens,
        "value": value,
        "source": "plan:pro",
        "reason": None if opens else "FEATURE_NOT_AVAILABLE",
    }


@WAYS
def test_several_features_are_one_call(acme_api, ada, way):
    body = {"customerId": ada.id, "features": ["sso", "beta"]}

    assert acme_api.post("/entitlements/check", body, **way).json() == {
        "results": {
            "sso": {"hasAccess": True, "value": True, "source": "plan:pro"},
            "beta": {"hasAccess": False, "value": False, "source": "plan:pro"},
        }
    }


@WAYS
def test_an_override_wins_until_it_runs_out(acme_api, ada, way):
    moment = wall_clock()
    ada.change_access(
        overrides={
            "beta": {"value": True, "until": (moment + HOUR).isoformat()},
            "sso": {"value": False, "until": None},
            "seats": {"value": 9, "until": (moment - HOUR).isoformat()},
        }
    )

    assert ask(acme_api, ada, "beta", way)["source"] == "override"
    assert ask(acme_api, ada, "sso", way)["hasAccess"] is False
    assert ask(acme_api, ada, "seats", way) == {
        "hasAccess": False,
        "value": 0,
        "source": "plan:pro",
        "reason": "FEATURE_NOT_AVAILABLE",
    }


@WAYS
def test_access_begins_and_ends_by_the_clock(acme, acme_api, ada, way):
    for dates in ({"access_until": wall_clock() - HOUR}, {"access_until": None, "access_from": wall_clock() + HOUR}):
        ada.change_access(**dates)
        assert ask(acme_api, ada, "sso", way)["reason"] == "NO_ACTIVE_SUBSCRIPTION"

    grant_default(acme)

    assert ask(acme_api, ada, "api_calls", way) == {
        "hasAccess": True,
        "value": 2,
        "source": "plan:free",
        "reason": None,
    }


@WAYS
def test_who_has_nothing_is_told_so(acme, acme_api, way):
    bob = make_customer(acme)

    assert ask(acme_api, bob, "sso", way) == {
        "hasAccess": False,
        "value": None,
        "source": None,
        "reason": "NO_ACTIVE_SUBSCRIPTION",
    }


@WAYS
def test_a_deleted_customer_is_gone_at_once(acme_api, ada, way):
    acme_api.delete(f"/customers/{ada.id}")

    for response in (
        acme_api.get(f"/entitlements/check/sso?customerId={ada.id}", **way),
        acme_api.post("/entitlements/check", {"customerId": ada.id, "features": ["sso"]}, **way),
        acme_api.post("/usage/track", ada.event(), **way),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "CUSTOMER_NOT_FOUND")


@WAYS
def test_a_revoked_key_is_refused_on_its_next_request(acme, acme_api, ada, way):
    made = acme_api.post(f"/apps/{acme.app}/api-keys", {"name": "short-lived"}).json()
    api = Api(made["key"])
    path = f"/entitlements/check/sso?customerId={ada.id}"
    assert api.get(path, **way).status_code == 200

    acme_api.delete(f"/apps/{acme.app}/api-keys/{made['id']}")

    assert api.get(path, **way).status_code == 401


def test_a_session_asks_for_its_own_customer(acme, acme_api, ada):
    bob = make_customer(acme, "bob@example.com")
    session = Api(acme_api.post(f"/customers/{ada.id}/sessions").json()["sessionToken"])

    assert session.get("/entitlements/check/sso").json()["hasAccess"] is True
    assert session.get(f"/entitlements/check/sso?customerId={ada.id}").status_code == 200
    assert session.get(f"/entitlements/check/sso?customerId={bob.id}").status_code == 404
    for own in ({}, {"customerId": ada.id}):
        several = session.post("/entitlements/check", {"features": ["sso"], **own})
        assert several.json()["results"]["sso"]["hasAccess"] is True
    assert session.post("/entitlements/check", {"customerId": bob.id, "features": ["sso"]}).status_code == 404


def test_bad_input_is_refused_by_field(acme_api, ada):
    good = {"customerId": ada.id, "features": ["sso"]}
    assert_refuses_each(
        acme_api,
        "POST",
        "/entitlements/check",
        [
            ({**good, "customerId": "nonsense"}, "customerId"),
            ({**good, "customerId": 5}, "customerId"),
            ({**good, "features": []}, "features"),
            ({**good, "features": "sso"}, "features"),
            ({**good, "features": ["sso", 5]}, "features"),
            ({**good, "features": ["a\0b"]}, "features"),
            ({**good, "features": ["x" * 65]}, "features"),
            ({**good, "features": [f"f{n}" for n in range(101)]}, "features"),
            ({**good, "features": [CARD.replace(" ", "-")]}, "features"),
            ({**good, "explanation": True}, "explanation"),
        ],
    )
    assert acme_api.get("/entitlements/check/sso").json()["code"] == "MISSING_REQUIRED_FIELD"
    assert acme_api.get("/entitlements/check/sso?customerId=nonsense").status_code == 400
    assert acme_api.get(f"/entitlements/check/sso?customerId={ada.id}&x=1").status_code == 400
    for odd in ("%00", "x" * 65, "a%20b", CARD.replace(" ", "-")):
        response = acme_api.get(f"/entitlements/check/{odd}?customerId={ada.id}")
        assert (response.status_code, list(response.json()["fields"])) == (400, ["feature"])
    assert acme_api.get(f"/entitlements/check/sso?customerId={ada.id}&customerId={ada.id}").status_code == 400
    assert acme_api.post("/entitlements/check", {"features": ["sso"]}).json()["code"] == "MISSING_REQUIRED_FIELD"


def test_a_question_with_an_idempotency_key_is_answered_from_the_store(acme_api, ada):
    body = {"customerId": ada.id, "features": ["sso"]}
    key = {"Idempotency_Key": "once"}
    first = acme_api.post("/entitlements/check", body, **key)
    ada.change_access(entitlements={})

    again = acme_api.post("/entitlements/check", body, **key)
    other = acme_api.post("/entitlements/check", {**body, "features": ["beta"]}, **key)

    assert (again.json(), again["Idempotency-Replayed"]) == (first.json(), "true")
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


@WAYS
def test_who_may(acme, globex_api, ada, way):
    path = f"/entitlements/check/sso?customerId={ada.id}"
    body = {"customerId": ada.id, "features": ["sso"]}
    assert_needs_credential("GET", path)
    assert_needs_credential("POST", "/entitlements/check", body)
    writer = acme.api("usage:write")
    writer.headers |= way
    assert_needs_scope(writer, "entitlements:read", "GET", path)
    assert_needs_scope(writer, "entitlements:read", "POST", "/entitlements/check", body)
    globex_api.headers |= way
    absent = never("cust")
    assert_hidden(globex_api, "GET", path, f"/entitlements/check/sso?customerId={absent}")
    foreign = globex_api.post("/entitlements/check", body)
    assert (foreign.status_code, foreign.json()["code"]) == (404, "CUSTOMER_NOT_FOUND")
