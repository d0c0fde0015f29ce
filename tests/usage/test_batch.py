"""POST /v1/usage/track/batch"""

from __future__ import annotations

from tests.refusals import CARD, assert_needs_credential, assert_needs_scope, assert_refuses_each, never
from tests.usage.stage import make_customer, make_subscriber

PATH = "/usage/track/batch"


def test_each_event_has_its_result_in_the_order_given(acme, acme_api, ada):
    other = make_customer(acme, "bob@example.com")
    events = [
        ada.event(quantity=4),
        ada.event("nothing_of_the_kind"),
        other.event(),
        ada.event(quantity=7),
        ada.event(quantity=2, idempotencyKey="k"),
        ada.event(quantity=2, idempotencyKey="k"),
        {"customerId": never("cust"), "metric": "api_calls"},
    ]

    response = acme_api.post(PATH, {"events": events})

    assert response.status_code == 200, response.content
    told = [(r["success"], r.get("code"), r.get("currentUsage")) for r in response.json()["results"]]
    assert told == [
        (True, None, 4),
        (False, "METRIC_NOT_FOUND", None),
        (False, "NO_ACTIVE_SUBSCRIPTION", None),
        (False, "USAGE_LIMIT_EXCEEDED", None),
        (True, None, 6),
        (True, None, 6),
        (False, "CUSTOMER_NOT_FOUND", None),
    ]
    assert response.json()["results"][3]["usage"]["remaining"] == 6


def test_a_rivals_customer_is_one_that_never_was(globex, globex_api, ada):
    make_subscriber(globex)
    events = [ada.event(), {"customerId": never("cust"), "metric": "api_calls"}]

    hidden, absent = globex_api.post(PATH, {"events": events}).json()["results"]

    assert hidden == absent
    assert hidden["code"] == "CUSTOMER_NOT_FOUND"


def test_bad_input_is_refused_whole(acme_api, ada):
    good = ada.event()
    assert_refuses_each(
        acme_api,
        "POST",
        PATH,
        [
            ({"events": []}, "events"),
            ({"events": "all"}, "events"),
            ({"events": [good] * 1001}, "events"),
            ({"events": [good, {**good, "quantity": "2"}]}, "events"),
            ({"events": [{**good, "payload": "x"}]}, "events"),
            ({"events": [{**good, "idempotencyKey": CARD}]}, "events"),
            ({"events": [good], "atomic": True}, "atomic"),
        ],
    )
    assert acme_api.get(f"/usage?customerId={ada.id}").json()["metrics"][0]["currentUsage"] == 0


def test_a_thousand_events_are_one_call(acme_api, ada):
    ada.change_access(limits={})

    response = acme_api.post(PATH, {"events": [ada.event()] * 1000})

    assert response.status_code == 200
    assert acme_api.get(f"/usage?customerId={ada.id}").json()["metrics"][0]["currentUsage"] == 1000


def test_who_may(acme, ada):
    assert_needs_credential("POST", PATH, {"events": [ada.event()]})
    assert_needs_scope(acme.api("usage:read"), "usage:write", "POST", PATH, {"events": [ada.event()]})
