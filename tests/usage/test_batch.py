"""POST /v1/usage/track/batch"""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as some

from stackbe.kernel.clock import render, wall_clock
from tests.refusals import CARD, assert_needs_credential, assert_needs_scope, assert_refuses_each, never
from tests.usage.stage import add_metric, make_customer, make_subscriber
from usage.serializers import BatchInput
from usage.views.usage import plain_events

PATH = "/usage/track/batch"
GOOD = {"customerId": "cust_01jd0000000000000000000000", "metric": "calls"}
ODD = {
    "customerId": ["cust_01JD0000000000000000000000", "nonsense", None],
    "metric": [" calls", "", 5],
    "quantity": [7, 0, -1, "1", True, 10**13],
    "idempotencyKey": ["k1", "job-4711", "", " k", None, CARD, 7],
    "timestamp": ["2026-11-27T10:00:00Z", "2026-11-27T10:00:00.5+05:30", "2026-11-27T10:00:00", "today", 5, None],
    "value": ["x"],
}
oddities = some.sampled_from(sorted(ODD)).flatmap(
    lambda name: some.tuples(some.just(name), some.sampled_from(ODD[name]))
)
bodies = some.fixed_dictionaries(
    {"events": some.lists(some.lists(oddities, max_size=2).map(lambda odd: GOOD | dict(odd)), max_size=3)},
    optional={"atomic": some.just(True)},
)


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


def test_an_event_with_a_bad_field_says_which(acme, acme_api, ada):
    add_metric(acme, name="seats", aggregation="unique")
    old = render(wall_clock() - timedelta(hours=25))
    events = [ada.event(timestamp=old), ada.event("seats"), ada.event(value="x"), ada.event()]

    results = acme_api.post(PATH, {"events": events}).json()["results"]

    assert [r.get("code") for r in results] == ["VALIDATION_ERROR"] * 3 + [None]
    assert [r["message"].partition(":")[0] for r in results[:3]] == ["timestamp", "value", "value"]


def test_ordinary_events_are_read_as_the_whole_shape_reads_them():
    read = []

    @settings(max_examples=300, deadline=None)
    @given(body=bodies)
    def compare(body):
        form = BatchInput(data=body)
        short = plain_events(body)
        if short:
            assert form.is_valid(), form.errors
            assert short == [dict(event) for event in form.validated_data["events"]]
            read.append(short)

    compare()
    assert len(read) > 10


def test_a_thousand_events_are_a_handful_of_queries(acme_api, ada, django_assert_max_num_queries):
    ada.change_access(limits={})
    events = [ada.event(idempotencyKey=f"k{n}") for n in range(1000)]

    with django_assert_max_num_queries(15):
        results = acme_api.post(PATH, {"events": events}).json()["results"]

    assert [r["currentUsage"] for r in results] == list(range(1, 1001))


def test_a_rivals_customer_is_one_that_never_was(globex, globex_api, ada):
    make_subscriber(globex)
    events = [ada.event(), {"customerId": never("cust"), "metric": "api_calls"}]

    hidden, absent = globex_api.post(PATH, {"events": events}).json()["results"]

    assert hidden == absent
    assert hidden["code"] == "CUSTOMER_NOT_FOUND"


def test_what_is_wrong_with_a_whole_list_or_body_is_named_so(acme_api, ada):
    said = [list(acme_api.post(PATH, {"events": events}).json()["fields"]) for events in ([], "all", [7])]
    null = acme_api.client.generic("POST", f"/v1{PATH}", b"null", "application/json", headers=acme_api.headers)

    assert said == [["events"], ["events"], ["events.0"]]
    assert list(null.json()["fields"]) == ["nonFieldErrors"]


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
