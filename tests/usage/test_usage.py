"""GET /v1/usage and /v1/usage/check"""

from __future__ import annotations

from datetime import timedelta

import pytest

from stackbe.kernel.clock import render, wall_clock
from tests.refusals import assert_hidden, assert_needs_credential, assert_needs_scope, never
from tests.usage.stage import add_metric, grant_default, make_customer, make_subscriber


def test_the_figures_of_every_metric_are_shown(acme_api, ada):
    acme_api.post("/usage/track", ada.event(quantity=4))

    body = acme_api.get(f"/usage?customerId={ada.id}").json()

    calls, exports = body["metrics"]
    assert (calls["metric"], calls["currentUsage"], calls["limit"], calls["remaining"]) == ("api_calls", 4, 10, 6)
    assert (exports["metric"], exports["limit"], exports["resetsAt"]) == ("exports", 5, None)
    assert body["billingPeriod"]["end"] == calls["resetsAt"]


@pytest.mark.parametrize(
    ("metric", "quantity", "allowed"),
    [("api_calls", 6, True), ("api_calls", 7, False), ("api_calls", 0, True), ("exports", 99, True)],
)
def test_a_question_counts_nothing(acme_api, ada, metric, quantity, allowed):
    acme_api.post("/usage/track", ada.event(quantity=4))

    for _ in range(2):
        body = acme_api.get(f"/usage/check?customerId={ada.id}&metric={metric}&quantity={quantity}").json()
        assert body["allowed"] is allowed
        assert body["currentUsage"] == (4 if metric == "api_calls" else 0)
        assert body["effectiveLimit"] == body["planLimit"] + body["addonCredits"]


@pytest.mark.parametrize("aggregation", ["sum", "max", "last"])
def test_the_answer_agrees_with_track_for_every_kind_of_metric(acme, acme_api, ada, aggregation):
    add_metric(acme, name="level", aggregation=aggregation)
    ada.change_access(limits={"level": {"included": 10, "mode": "hard"}})

    for quantity in (5, 0, 10, 3, 11, 8, 6):
        said = acme_api.get(f"/usage/check?customerId={ada.id}&metric=level&quantity={quantity}").json()["allowed"]
        taken = acme_api.post("/usage/track", ada.event("level", quantity=quantity)).status_code
        assert said is (taken == 200), quantity


def test_the_billing_period_is_the_plans_whatever_the_metrics_reset_by(acme, acme_api, ada):
    start = wall_clock().replace(microsecond=0) - timedelta(days=3)
    end = start + timedelta(days=30)
    ada.change_access(period_start=start, period_end=end)
    add_metric(acme, name="a_daily", resets="day")

    body = acme_api.get(f"/usage?customerId={ada.id}").json()

    assert body["metrics"][0]["metric"] == "a_daily"
    assert body["billingPeriod"] == {"start": render(start), "end": render(end)}
    assert body["metrics"][0]["billingPeriod"] != body["billingPeriod"]


@pytest.mark.parametrize("hours", [None, 1, -1])
def test_an_override_of_a_metered_feature_is_the_limit_while_it_lasts(acme, acme_api, ada, hours):
    acme_api.post("/features", {"key": "calls", "name": "Calls", "type": "metered", "metric": "api_calls"})
    until = None if hours is None else (wall_clock() + timedelta(hours=hours)).isoformat()
    ada.change_access(overrides={"calls": {"value": 12, "until": until}})
    limit = 10 if hours == -1 else 12

    told = acme_api.get(f"/usage/check?customerId={ada.id}&metric=api_calls&quantity=12").json()
    statuses = [acme_api.post("/usage/track", ada.event(quantity=quantity)).status_code for quantity in (12, 13)]

    assert (told["limit"], told["planLimit"], told["allowed"]) == (limit, 10, limit == 12)
    assert statuses == [200 if limit == 12 else 409, 409]


def test_what_stands_behind_an_override_that_ran_out_is_the_limit_for_checks_and_counts_alike(acme, acme_api, ada):
    acme_api.post("/features", {"key": "calls", "name": "Calls", "type": "metered", "metric": "api_calls"})
    ended, later = (render(wall_clock() + timedelta(hours=hours)) for hours in (-1, 1))
    behind = {"value": 12, "until": later}
    over = {"value": 99, "until": ended, "then": {"value": 50, "until": ended, "then": behind}}
    ada.change_access(overrides={"calls": over})

    assert acme_api.get(f"/entitlements/check/calls?customerId={ada.id}").json()["value"] == 12
    assert acme_api.get(f"/usage/check?customerId={ada.id}&metric=api_calls").json()["limit"] == 12
    assert acme_api.post("/usage/track", ada.event(quantity=13)).status_code == 409
    assert acme_api.post("/usage/track", ada.event(quantity=12)).status_code == 200


def test_an_override_grants_usage_without_a_plan(acme, acme_api, ada):
    acme_api.post("/features", {"key": "calls", "name": "Calls", "type": "metered", "metric": "api_calls"})
    ada.change_access(plan_id=None, limits={}, overrides={"calls": {"value": 1, "until": None}})

    assert acme_api.post("/usage/track", ada.event()).json()["limit"] == 1
    assert acme_api.post("/usage/track", ada.event()).json()["code"] == "USAGE_LIMIT_EXCEEDED"


def test_what_may_be_used_is_what_track_then_takes(acme_api, acme, ada):
    bob = make_customer(acme, "bob@example.com")
    asked = f"/usage/check?customerId={bob.id}&metric=api_calls&quantity=2"
    assert acme_api.post("/usage/track", bob.event(quantity=2)).json()["code"] == "NO_ACTIVE_SUBSCRIPTION"
    said = acme_api.get(asked).json()
    assert (said["allowed"], said["effectiveLimit"], said["planLimit"], said["remaining"]) == (False, 0, 0, 0)
    listed = acme_api.get(f"/usage?customerId={bob.id}").json()["metrics"]
    assert {(one["limit"], one["remaining"]) for one in listed} == {(0, 0)}

    grant_default(acme)

    assert acme_api.get(asked).json()["allowed"] is True
    assert acme_api.post("/usage/track", bob.event(quantity=2)).status_code == 200


def test_unknown_things_are_named(acme_api, ada):
    unknown = acme_api.get(f"/usage/check?customerId={ada.id}&metric=nope")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "METRIC_NOT_FOUND")
    for path in (f"/usage?customerId={never('cust')}", f"/usage/check?customerId={never('cust')}&metric=api_calls"):
        response = acme_api.get(path)
        assert (response.status_code, response.json()["code"]) == (404, "CUSTOMER_NOT_FOUND")


@pytest.mark.parametrize(
    "query",
    ["quantity=-1", "quantity=1.5", "quantity=x", "quantity=1e3", "quantity=99999999999999", "colour=red", "metric=b"],
)
def test_bad_queries_are_refused(acme_api, ada, query):
    response = acme_api.get(f"/usage/check?customerId={ada.id}&metric=api_calls&{query}")

    assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")
    assert list(response.json()["fields"]) == [query.partition("=")[0]]


def test_what_is_missing_is_named(acme_api, ada):
    for path in ("/usage", "/usage/check?metric=api_calls", f"/usage/check?customerId={ada.id}"):
        assert acme_api.get(path).json()["code"] == "MISSING_REQUIRED_FIELD"
    assert acme_api.get("/usage?customerId=%00").status_code == 400


def test_who_may(acme, globex, globex_api, ada):
    make_subscriber(globex)
    for path, tail in (("/usage?", ""), ("/usage/check?", "&metric=api_calls")):
        mine = f"{path}customerId={ada.id}{tail}"
        assert_needs_credential("GET", mine)
        assert_needs_scope(acme.api("usage:write"), "usage:read", "GET", mine)
        assert_hidden(globex_api, "GET", mine, f"{path}customerId={never('cust')}{tail}")
