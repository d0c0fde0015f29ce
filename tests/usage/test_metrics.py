"""/v1/metrics"""

from __future__ import annotations

import pytest

from tests.cast import Api
from tests.refusals import CARD, assert_hidden, assert_needs_credential, assert_needs_scope, assert_refuses_each, never
from tests.usage.stage import make_subscriber


@pytest.fixture
def metric(acme_api):
    return acme_api.post("/metrics", {"name": "api_calls", "unit": "call", "resets": "month"}).json()


def test_a_metric_is_defined_and_shown(acme_api, metric):
    assert metric["id"].startswith("met_")
    assert {k: metric[k] for k in ("name", "aggregation", "unit", "resets")} == {
        "name": "api_calls",
        "aggregation": "sum",
        "unit": "call",
        "resets": "month",
    }
    assert acme_api.get(f"/metrics/{metric['id']}").json() == metric
    assert acme_api.get("/metrics").json() == {"data": [metric], "hasMore": False, "nextCursor": None}


def test_a_name_is_used_once_even_by_an_archived_metric(acme_api, metric):
    assert acme_api.post("/metrics", {"name": "api_calls"}).status_code == 409
    assert acme_api.delete(f"/metrics/{metric['id']}").status_code == 204

    response = acme_api.post("/metrics", {"name": "api_calls"})

    assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")


def test_two_apps_may_use_one_name(acme_api, globex_api, metric):
    assert globex_api.post("/metrics", {"name": "api_calls"}).status_code == 201


def test_an_archived_metric_is_gone(acme_api, metric):
    acme_api.delete(f"/metrics/{metric['id']}")

    for response in (
        acme_api.get(f"/metrics/{metric['id']}"),
        acme_api.patch(f"/metrics/{metric['id']}", {"unit": "x"}),
        acme_api.delete(f"/metrics/{metric['id']}"),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "METRIC_NOT_FOUND")
    assert acme_api.get("/metrics").json()["data"] == []


def test_a_metric_that_a_plan_or_a_feature_counts_by_stays(acme_api, metric):
    path = f"/metrics/{metric['id']}"
    acme_api.post("/features", {"key": "calls", "type": "metered", "metric": "api_calls"})
    plan = {"name": "Pro", "priceCents": 0, "currency": "usd", "interval": "month"}
    usage = [{"metric": "api_calls", "included": 10, "mode": "hard"}]
    made = acme_api.post("/plans", {**plan, "usage": usage}).json()

    both = acme_api.delete(path)
    assert (both.status_code, both.json()["code"]) == (409, "CONFLICT")
    assert "Pro, calls" in both.json()["message"]
    assert acme_api.get(path).status_code == 200
    acme_api.delete("/features/calls")
    assert acme_api.delete(path).status_code == 409

    acme_api.patch(f"/plans/{made['id']}", {"usage": []})

    assert acme_api.delete(path).status_code == 204


def test_how_it_counts_changes_only_until_something_was_counted(acme, acme_api):
    ada = make_subscriber(acme)
    listed = {m["name"]: m["id"] for m in acme_api.get("/metrics").json()["data"]}
    path = f"/metrics/{listed['api_calls']}"
    assert acme_api.patch(path, {"aggregation": "max"}).json()["aggregation"] == "max"
    acme_api.post("/usage/track", ada.event())

    assert acme_api.patch(path, {"aggregation": "sum"}).status_code == 409
    assert acme_api.patch(path, {"resets": "day"}).status_code == 409
    assert acme_api.patch(path, {"aggregation": "max", "unit": "hits"}).json()["unit"] == "hits"


def test_bad_input_is_refused_by_field(acme_api, metric):
    shared = [
        ({"aggregation": "median"}, "aggregation"),
        ({"aggregation": 1}, "aggregation"),
        ({"resets": "hourly"}, "resets"),
        ({"unit": 5}, "unit"),
        ({"unit": "x" * 41}, "unit"),
        ({"unit": "a\0b"}, "unit"),
        ({"unit": CARD}, "unit"),
        ({"colour": "red"}, "colour"),
    ]
    names = [({"name": n}, "name") for n in (5, "", "9lives", "with space", "x" * 65, "a\0", None, ["a"])]
    assert_refuses_each(acme_api, "POST", "/metrics", names)
    assert_refuses_each(acme_api, "POST", "/metrics", [({"name": "ok", **body}, field) for body, field in shared])
    assert_refuses_each(acme_api, "PATCH", f"/metrics/{metric['id']}", shared)
    assert_refuses_each(acme_api, "PATCH", f"/metrics/{metric['id']}", [({"name": "other"}, "name")])
    assert_refuses_each(acme_api, "POST", "/metrics", [({}, "name")], code="MISSING_REQUIRED_FIELD")


def test_who_may(acme, metric):
    path = f"/metrics/{metric['id']}"
    for method, where, body in (
        ("GET", "/metrics", None),
        ("POST", "/metrics", {"name": "x"}),
        ("GET", path, None),
        ("PATCH", path, {}),
        ("DELETE", path, None),
    ):
        wanted = "plans:read" if method == "GET" else "plans:write"
        assert_needs_credential(method, where, body)
        assert_needs_scope(acme.api("usage:write"), wanted, method, where, body)
    assert Api(acme.publishable).get("/metrics").status_code == 403


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", {"unit": "x"}), ("DELETE", None)])
def test_a_rival_sees_no_metric(globex_api, metric, method, body):
    assert_hidden(globex_api, method, f"/metrics/{metric['id']}", f"/metrics/{never('met')}", body)
