"""GET /v1/customers/:id/state"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from django.db import connection

from billing.jobs import announce_default_job, pass_dates
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.ids import NIL
from tests.cast import Api, found_company
from tests.refusals import assert_hidden, assert_needs_credential, assert_needs_scope, never
from tests.usage.stage import make_customer, make_subscriber, move_clock


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


def test_a_copy_kept_from_events_is_the_state_whatever_changed(acme, acme_api, as_worker):
    bob = make_customer(acme, "bob@example.com")
    path = f"/customers/{bob.id}"
    acme_api.post("/metrics", {"name": "api_calls"})
    plan = {"name": "Free", "priceCents": 0, "currency": "usd", "interval": "month", "isDefault": True}
    soon = render(wall_clock() + timedelta(hours=1))

    def kept():
        """Return the newest copy among events that came in any order."""
        told = [e["data"] for e in acme_api.get("/events?type=entitlements.updated&limit=100").json()["data"]]
        return max((copy for copy in told if copy["customer"]["id"] == bob.id), key=lambda copy: copy["version"])

    free = acme_api.post("/plans", plan).json()
    for change in (
        lambda: acme_api.patch(path, {"name": "Bob", "metadata": {"region": "eu"}}),
        lambda: acme_api.post("/subscriptions", {"customerId": bob.id, "planId": free["id"]}),
        lambda: acme_api.patch(path, {"email": "robert@example.com"}),
        lambda: acme_api.post(
            f"{path}/credits", {"metric": "api_calls", "quantity": 5, "reason": "x", "expiresAt": soon}
        ),
        lambda: acme_api.patch(path, {"billingEmail": "books@example.com"}),
        lambda: (move_clock(acme, hours=2), pass_dates()),
    ):
        before = acme_api.get(f"{path}/state").json()

        change()

        now = acme_api.get(f"{path}/state").json()
        assert kept() == now
        assert now["version"] > before["version"]
    assert now["credits"] == []
    assert pass_dates() == 0


def test_a_copy_follows_a_default_plan_that_is_no_more_and_a_metric_that_resets_otherwise(acme, acme_api, as_worker):
    bob = make_customer(acme, "bob@example.com")
    metric = acme_api.post("/metrics", {"name": "api_calls"}).json()
    allowed = [{"metric": "api_calls", "included": 5}]
    free = {"name": "Free", "priceCents": 0, "currency": "usd", "isDefault": True, "usage": allowed}
    acme_api.post("/plans", free)
    announce_default_job(str(acme.scope.app), str(NIL))
    plan = acme_api.get("/plans").json()["data"][0]
    acme_api.patch(f"/metrics/{metric['id']}", {"resets": "day"})
    announce_default_job(str(acme.scope.app), str(NIL))
    kept = acme_api.get("/events?type=entitlements.updated&limit=1").json()["data"][0]["data"]
    assert kept == acme_api.get(f"/customers/{bob.id}/state").json()

    acme_api.patch(f"/plans/{plan['id']}", {"isDefault": False})
    announce_default_job(str(acme.scope.app), str(NIL))

    told = acme_api.get("/events?type=entitlements.updated&limit=1").json()["data"][0]["data"]
    assert told == acme_api.get(f"/customers/{bob.id}/state").json()
    assert (told["entitlements"]["planName"], told["version"] > kept["version"]) == (None, True)


def test_a_deleted_customer_has_no_state(acme_api, ada):
    acme_api.delete(f"/customers/{ada.id}")

    response = acme_api.get(f"/customers/{ada.id}/state")

    assert (response.status_code, response.json()["code"]) == (404, "CUSTOMER_NOT_FOUND")


def test_who_may(acme, globex_api, ada):
    path = f"/customers/{ada.id}/state"
    assert_needs_credential("GET", path)
    assert_needs_scope(acme.api("usage:read"), "entitlements:read", "GET", path)
    assert_hidden(globex_api, "GET", path, f"/customers/{never('cust')}/state")


def test_of_any_two_copies_the_greater_version_is_the_newer(committed):
    ada = make_subscriber(found_company("Acme"))
    api = Api(ada.company.key)
    api.post("/features", {"key": "projects", "type": "number"})
    api.delete(f"/customers/{ada.id}/entitlement-overrides/projects")
    path, seen = f"/customers/{ada.id}/state", []

    def write(who):
        for turn in range(3):
            own = Api(ada.company.key)
            body = {"value": 10 * turn + who, "reason": "x"}
            assert own.put(f"/customers/{ada.id}/entitlement-overrides/projects", body).status_code == 200
            credit = {"metric": "exports", "quantity": 1, "reason": "x"}
            assert own.post(f"/customers/{ada.id}/credits", credit).status_code == 201

    def look(_who):
        seen.extend(Api(ada.company.key).get(path).json() for _ in range(6))

    calls = [(write, 1), (write, 2), (look, 0), (look, 0)]
    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(lambda call: closing(*call), calls))

    told = [e["data"] for e in api.get("/events?type=entitlements.updated&limit=100").json()["data"]]
    copies = {copy["version"]: copy for copy in told}
    assert len(copies) == len(told) >= 12
    # The newest copy is what the call answers, to the letter.
    assert api.get(path).json() == copies[max(copies)]
    # A copy that was fetched says of what may be done what the event of its version said, and no credit is older.
    for copy in seen:
        if copy["version"] in copies:
            assert copy["entitlements"] == copies[copy["version"]]["entitlements"]
            assert len(copy["credits"]) >= len(copies[copy["version"]]["credits"])
    granted = [len(copies[version]["credits"]) for version in sorted(copies)]
    assert granted == sorted(granted)


def closing(call, who):
    """Run a call on a connection of its own."""
    try:
        call(who)
    finally:
        connection.close()
