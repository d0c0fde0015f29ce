"""A key is proven and its event counted in one call, where no transaction of the caller's is open."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from django.db import transaction

from accounts.models import App
from apikeys.models import ApiKey
from billing.models import Access
from stackbe.kernel.transactions import change
from tests.cast import Api, found_company
from tests.usage.stage import make_customer, make_subscriber, move_clock
from tests.usage.test_races import counted
from usage import hot

NEVER = "cust_01jd0000000000000000000000"
READER = "entitlements:read"


@pytest.fixture
def ada(committed):
    return make_subscriber(found_company("Acme"))


@pytest.fixture
def asked(monkeypatch):
    """Collect which of the two statements proved a key."""
    names: list[str] = []

    def watched(statement, ask):
        def row(*parameters):
            found = ask(*parameters)
            if found is not None:
                names.append(statement.name.decode())
            return found

        return row

    monkeypatch.setattr(hot.TRACK, "row_alone", watched(hot.TRACK, hot.TRACK.row_alone))
    monkeypatch.setattr(hot.AUTHORISE, "row", watched(hot.AUTHORISE, hot.AUTHORISE.row))
    return names


def same_for(ada, email):
    """Return a customer who has what another has."""
    other = make_customer(ada.company, email)
    with change(ada.company.scope):
        row = Access.objects.within(ada.company.scope).get(customer_id=ada.uuid)
        row.pk, row.customer_id = None, other.uuid
        row.save(force_insert=True)
    return other


def told(answer):
    """Return a status, what was said without the request's id, and what the limit is."""
    document = {name: value for name, value in answer.json().items() if name != "requestId"}
    return answer.status_code, document, answer.headers["X-RateLimit-Limit"]


def test_one_call_answers_as_two_do(ada, asked):
    writer, reader = Api(ada.company.key), ada.company.api(READER)
    bob = make_customer(ada.company, "bob@example.com")
    others = [ada, same_for(ada, "eve@example.com")]
    answers = []
    for who, kept_open in zip(others, (nullcontext, transaction.atomic), strict=True):
        events = [
            (writer, who.event()),
            (writer, who.event(quantity=3, idempotencyKey="k1")),
            (writer, who.event(quantity=3, idempotencyKey="k1")),
            (writer, who.event(quantity=7)),
            (writer, who.event("exports", quantity=9)),
            (writer, who.event("nothing")),
            (writer, who.event(customerId=NEVER)),
            (writer, bob.event()),
            (reader, who.event()),
        ]
        heard = []
        for api, event in events:
            with kept_open():
                heard.append(told(api.post("/usage/track", event)))
        answers.append(heard)

    assert answers[0] == answers[1]
    assert [status for status, *_ in answers[0]] == [200, 200, 200, 409, 200, 404, 404, 403, 403]
    assert asked == ["usage_track_proved"] * 9 + ["apikeys_authorise"] * 9
    assert counted(ada) == 2 * (1 + 3 + 9)


def test_one_call_counts_by_the_clock_of_the_app(ada, asked):
    Api(ada.company.key).post("/usage/track", ada.event())
    move_clock(ada.company, days=40)

    later = Api(ada.company.key).post("/usage/track", ada.event()).json()

    assert later["currentUsage"] == 1
    assert asked == ["usage_track_proved"] * 2


def test_what_a_key_may_no_more_is_not_counted(ada, asked):
    company, api = ada.company, Api(ada.company.key)
    with change(company.scope):
        App.objects.within(company.scope).update(hot_limit_per_minute=1)

    statuses = [api.post("/usage/track", ada.event()).status_code for _ in range(3)]

    with change(company.scope):
        App.objects.within(company.scope).update(hot_limit_per_minute=1000)
        ApiKey.objects.within(company.scope).update(revoked_at="2026-01-01T00:00:00Z")
    assert statuses == [200, 429, 429]
    assert api.post("/usage/track", ada.event()).status_code == 401
    assert set(asked) == {"usage_track_proved"}
    assert counted(ada) == 1
