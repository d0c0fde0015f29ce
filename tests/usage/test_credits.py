"""/v1/customers/:id/credits"""

from __future__ import annotations

from datetime import timedelta

import pytest

from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.subjects import erase_subject, export_subject
from stackbe.kernel.transactions import change
from tests.refusals import CARD, assert_hidden, assert_needs_credential, assert_needs_scope, assert_refuses_each, never
from tests.usage.stage import add_metric, allow, make_customer, make_subscriber, move_clock
from usage.models import Credit, CreditUse


def grant(api, customer, quantity, metric="api_calls", **more):
    body = {"metric": metric, "quantity": quantity, "reason": "goodwill", **more}
    response = api.post(f"/customers/{customer.id}/credits", body)
    assert response.status_code == 201, response.content
    return response.json()


def ledger(api, customer):
    return api.get(f"/customers/{customer.id}/credits").json()


def check(api, customer, quantity=1):
    return api.get(f"/usage/check?customerId={customer.id}&metric=api_calls&quantity={quantity}").json()


def track(api, customer, quantity):
    return api.post("/usage/track", customer.event(quantity=quantity))


def test_a_grant_is_shown_and_counts_in_every_answer(acme, acme_api, ada):
    made = grant(acme_api, ada, 5, expiresAt=render(wall_clock() + timedelta(days=3)))

    assert made["id"].startswith("crd_")
    assert (made["remaining"], made["priority"], made["expired"], made["uses"]) == (5, 50, False, [])
    said = check(acme_api, ada, 15)
    assert (said["allowed"], said["planLimit"], said["addonCredits"], said["effectiveLimit"]) == (True, 10, 5, 15)
    assert check(acme_api, ada, 16)["allowed"] is False
    assert acme_api.get(f"/usage?customerId={ada.id}").json()["metrics"][0]["limit"] == 15
    assert acme_api.get(f"/customers/{ada.id}/state").json()["credits"][0]["remaining"] == 5


def test_credits_are_spent_after_the_allowance_and_to_the_last(acme_api, ada):
    grant(acme_api, ada, 5)

    assert track(acme_api, ada, 12).json()["remaining"] == 3
    assert ledger(acme_api, ada)["balance"] == {"api_calls": 3}
    assert check(acme_api, ada)["addonCredits"] == 5
    assert track(acme_api, ada, 4).json()["code"] == "USAGE_LIMIT_EXCEEDED"
    assert track(acme_api, ada, 3).json()["remaining"] == 0
    spent = ledger(acme_api, ada)
    assert (spent["balance"], spent["ledger"][0]["remaining"]) == ({"api_calls": 0}, 0)
    assert [use["quantity"] for use in spent["ledger"][0]["uses"]] == [5]


def test_what_was_not_spent_lasts_into_the_next_period(acme, acme_api, ada):
    grant(acme_api, ada, 5)
    track(acme_api, ada, 12)

    move_clock(acme, days=32)

    assert track(acme_api, ada, 13).json()["remaining"] == 0
    assert [use["quantity"] for use in ledger(acme_api, ada)["ledger"][0]["uses"]] == [2, 3]


def test_grants_are_spent_by_priority_then_expiry_then_age(acme_api, ada):
    soon, late = (render(wall_clock() + timedelta(days=days)) for days in (5, 9))
    ids = [
        grant(acme_api, ada, 1, **more)["id"]
        for more in (
            {"priority": 60, "expiresAt": soon},
            {},
            {"expiresAt": late},
            {"expiresAt": soon},
            {"priority": 0},
            {},
        )
    ]

    order = []
    for used in range(11, 17):
        track(acme_api, ada, 10 if used == 11 else 1)
        track(acme_api, ada, 1) if used == 11 else None
        gone = {row["id"] for row in ledger(acme_api, ada)["ledger"] if row["remaining"] == 0}
        order += [ids.index(one) for one in gone if ids.index(one) not in order]

    assert order == [4, 3, 2, 1, 5, 0]
    assert track(acme_api, ada, 1).status_code == 409


def test_a_credit_is_spent_no_more_once_it_has_expired(acme, acme_api, ada):
    grant(acme_api, ada, 5, expiresAt=render(wall_clock() + timedelta(hours=1)))
    track(acme_api, ada, 11)

    move_clock(acme, hours=2)

    assert track(acme_api, ada, 1).status_code == 409
    said = ledger(acme_api, ada)
    assert (said["balance"], said["ledger"][0]["expired"], said["ledger"][0]["remaining"]) == (
        {"api_calls": 0},
        True,
        4,
    )


def test_credits_pay_for_overage_of_a_soft_metric_first(acme_api, ada):
    allow(ada, included=10, mode="soft")
    grant(acme_api, ada, 5)

    assert track(acme_api, ada, 18).json()["limit"] == 15
    assert ledger(acme_api, ada)["balance"] == {"api_calls": 0}


def test_a_batch_spends_them_too(acme_api, ada):
    grant(acme_api, ada, 5)

    results = acme_api.post("/usage/track/batch", {"events": [ada.event(quantity=8)] * 2}).json()["results"]
    more = acme_api.post("/usage/track/batch", {"events": [ada.event(quantity=3), ada.event(quantity=5)]}).json()

    assert [r["success"] for r in results] == [True, False]
    assert [r["success"] for r in more["results"]] == [True, False]
    assert ledger(acme_api, ada)["balance"] == {"api_calls": 4}


def test_a_correction_gives_back_what_was_not_used(acme_api, ada):
    grant(acme_api, ada, 3, priority=1)
    grant(acme_api, ada, 3)
    track(acme_api, ada, 15)

    acme_api.put("/usage/sync", {"customerId": ada.id, "metric": "api_calls", "value": 12})

    assert ledger(acme_api, ada)["balance"] == {"api_calls": 4}
    assert [row["remaining"] for row in ledger(acme_api, ada)["ledger"]] == [3, 1]


def test_what_a_correction_gives_back_to_an_expired_credit_is_not_in_its_answer(acme, acme_api, ada):
    grant(acme_api, ada, 5, expiresAt=render(wall_clock() + timedelta(hours=1)))
    grant(acme_api, ada, 2)
    track(acme_api, ada, 17)
    move_clock(acme, hours=2)

    said = acme_api.put("/usage/sync", {"customerId": ada.id, "metric": "api_calls", "value": 11}).json()

    assert (said["limit"], said["remaining"]) == (13, 2)
    assert check(acme_api, ada)["effectiveLimit"] == 13


def test_a_grant_is_told_with_the_whole_state_and_audited_under_a_greater_version(acme, acme_api):
    bob = make_customer(acme, "bob@example.com")
    acme_api.post("/metrics", {"name": "api_calls"})
    before = acme_api.get(f"/customers/{bob.id}/state").json()["version"]

    grant(acme_api, bob, 5)
    first = acme_api.get(f"/customers/{bob.id}/state").json()
    grant(acme_api, bob, 1)

    told = [e for e in acme_api.get("/events").json()["data"] if e["type"] == "entitlements.updated"]
    assert told[1]["data"] == first
    assert told[0]["data"]["version"] > first["version"] > before


def test_repeating_a_grant_under_one_key_grants_once(acme_api, ada):
    body = {"metric": "api_calls", "quantity": 5, "reason": "sorry"}
    path = f"/customers/{ada.id}/credits"

    first, again = (acme_api.post(path, body, Idempotency_Key="k") for _ in range(2))

    assert again.json() == first.json()
    assert len(ledger(acme_api, ada)["ledger"]) == 1


def test_the_ledger_is_paged_and_narrowed_to_a_metric(acme, acme_api, ada):
    add_metric(acme, name="other")
    for metric in ("api_calls", "other", "api_calls"):
        grant(acme_api, ada, 1, metric)

    page = acme_api.get(f"/customers/{ada.id}/credits?metric=api_calls&limit=1").json()
    rest = acme_api.get(f"/customers/{ada.id}/credits?metric=api_calls&cursor={page['nextCursor']}").json()

    assert (page["balance"], page["hasMore"], len(page["ledger"])) == ({"api_calls": 2}, True, 1)
    assert (rest["hasMore"], len(rest["ledger"])) == (False, 1)


def test_credits_are_exported_and_erased_with_their_owner(acme, acme_api, ada):
    grant(acme_api, ada, 5)
    track(acme_api, ada, 12)

    with change(acme.scope):
        found = export_subject(acme.scope, ada.uuid)["usage"]["credits"]
        erase_subject(acme.scope, ada.uuid)
        left = [model.objects.within(acme.scope).count() for model in (Credit, CreditUse)]

    assert [(row["remaining"], row["reason"]) for row in found] == [(3, "goodwill")]
    assert left == [0, 0]


@pytest.mark.parametrize("aggregation", ["max", "last"])
def test_a_level_takes_no_credits(acme, acme_api, ada, aggregation):
    add_metric(acme, name="level", aggregation=aggregation)
    body = {"metric": "level", "quantity": 1, "reason": "x"}

    assert list(acme_api.post(f"/customers/{ada.id}/credits", body).json()["fields"]) == ["metric"]


def test_how_a_metric_counts_stays_once_it_has_credits(acme_api, ada):
    grant(acme_api, ada, 5)
    found = next(m for m in acme_api.get("/metrics").json()["data"] if m["name"] == "api_calls")

    assert acme_api.patch(f"/metrics/{found['id']}", {"aggregation": "last"}).status_code == 409


def test_bad_input_is_refused_by_field(acme_api, ada):
    good = {"metric": "api_calls", "quantity": 1, "reason": "goodwill"}
    path = f"/customers/{ada.id}/credits"
    assert_refuses_each(
        acme_api,
        "POST",
        path,
        [
            *(({**good, "quantity": q}, "quantity") for q in (0, -1, 1.5, "1", True, None, 10**12 + 1)),
            *(({**good, "priority": p}, "priority") for p in (-1, 101, "1", 1.5)),
            *(({**good, "reason": r}, "reason") for r in ("", 5, "a\0b", CARD, "x" * 256)),
            ({**good, "expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
            ({**good, "expiresAt": "soon"}, "expiresAt"),
            ({**good, "metric": 5}, "metric"),
            ({**good, "payload": {}}, "payload"),
        ],
    )
    assert_refuses_each(acme_api, "POST", path, [({}, "quantity")], code="MISSING_REQUIRED_FIELD")
    assert acme_api.post(path, {**good, "metric": "nope"}).json()["code"] == "METRIC_NOT_FOUND"
    assert acme_api.get(f"{path}?metric=nope").json()["code"] == "METRIC_NOT_FOUND"
    assert ledger(acme_api, ada)["ledger"] == []


def test_who_may(acme, globex, globex_api, ada):
    make_subscriber(globex)
    path, body = f"/customers/{ada.id}/credits", {"metric": "api_calls", "quantity": 1, "reason": "x"}
    absent = f"/customers/{never('cust')}/credits"
    for method, sent, wanted in (("GET", None, "usage:read"), ("POST", body, "usage:write")):
        other = "usage:write" if method == "GET" else "usage:read"
        assert_needs_credential(method, path, sent)
        assert_needs_scope(acme.api(other), wanted, method, path, sent)
        assert_hidden(globex_api, method, path, absent, sent)
