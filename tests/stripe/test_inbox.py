"""POST /webhooks/stripe/<endpoint>: what is forged leaves nothing, what is genuine is kept once."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from billing.models import StripeConnection, StripeEvent
from billing.stripe import inbox
from stackbe.kernel.transactions import reading
from tests.queue import queued, run_jobs
from tests.stripe.test_checkout import race

CONNECT = "/webhooks/stripe/0199aaaa-0000-4000-8000-000000000002"
PLATFORM = "/webhooks/stripe/0199aaaa-0000-4000-8000-000000000001"
SECRET = "whsec_connectOfTheTests"


def signed(body: bytes, *, secret: str = SECRET, age: int = 0) -> str:
    """Return the Stripe-Signature header, made as Stripe documents it."""
    moment = int(time.time()) - age
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def send(body: bytes, signature: str, path: str = CONNECT, **headers: str) -> Any:
    client = Client(raise_request_exception=False)
    return client.generic("POST", path, body, "application/json", headers={"Stripe-Signature": signature, **headers})


def event(account_id: str, **more: Any) -> bytes:
    """Return an event's bytes."""
    told = {
        "id": "evt_1", "object": "event", "type": "customer.subscription.updated", "account": account_id, "created": 1_700_000_000,
        "livemode": False, "data": {"object": {"id": "sub_none", "object": "subscription"}},
    }  # fmt: skip
    return json.dumps(told | more).encode()


def all_rows() -> dict[str, int]:
    """Count the rows of every table but the limiter's counters."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relpersistence = 'p'"
            " and has_table_privilege(c.oid, 'select')"
        )
        names = [row[0] for row in cursor.fetchall()]
        counts = {}
        for name in names:
            cursor.execute(f'select count(*) from "{name}"')
            counts[name] = cursor.fetchone()[0]
    return counts


def events(scope: Any) -> list[tuple[str, str]]:
    with reading(scope):
        return list(StripeEvent.objects.within(scope).values_list("event_id", "state"))


FORGERIES = {
    "a foreign secret": lambda body: (body, signed(body, secret="whsec_other")),
    "the platform's secret on the connect endpoint": lambda body: (
        body,
        signed(body, secret="whsec_platformOfTheTests"),
    ),
    "301 seconds old": lambda body: (body, signed(body, age=301)),
    "an hour ahead": lambda body: (body, signed(body, age=-3600)),
    "re-serialised": lambda body: (json.dumps(json.loads(body), indent=1).encode(), signed(body)),
    "no signature": lambda body: (body, ""),
    "no timestamp": lambda body: (body, "v1=" + "0" * 64),
    "two timestamps": lambda body: (body, f"t=1,{signed(body)}"),
    "another scheme": lambda body: (body, signed(body).replace("v1=", "v0=")),
    "a signature beyond ASCII": lambda body: (body, signed(body)[:-1] + "\xff"),
    "not UTF-8": lambda body: (b"\xff" + body, signed(b"\xff" + body, secret="x")),
}


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_event_is_refused_and_writes_nothing(connected: StripeConnection, how: str):
    before = all_rows()
    body, signature = FORGERIES[how](event(connected.account_id))

    answer = send(body, signature)

    assert answer.status_code == 400
    assert answer.json()["code"] == "STRIPE_SIGNATURE_INVALID"
    assert all_rows() == before


def test_secrets_the_wrong_way_round_are_said_to_be(connected: StripeConnection, monkeypatch: pytest.MonkeyPatch):
    told: list[bool] = []
    monkeypatch.setattr(inbox.log, "warning", lambda _, extra: told.append(extra["swapped"]))
    body = event(connected.account_id)

    send(body, signed(body, secret="whsec_platformOfTheTests"))
    send(body, signed(body, secret="whsec_other"))

    assert told == [True, False]


def test_forgeries_are_counted_and_then_turned_away(connected: StripeConnection, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inbox, "FORGERIES_PER_MINUTE", 3)
    counted = inbox.EVENTS.labels("forged")._value.get()
    body = event(connected.account_id)

    statuses = [send(body, "t=1,v1=0").status_code for _ in range(5)]

    assert statuses == [400, 400, 400, 429, 429]
    assert inbox.EVENTS.labels("forged")._value.get() == counted + 5
    assert send(body, signed(body)).status_code == 200, "what is genuine is never limited"


@pytest.mark.parametrize("age", [0, 299, -299])
def test_a_genuine_event_is_kept_as_a_reference_and_queued(
    connected: StripeConnection, acme: Any, age: int, monkeypatch: pytest.MonkeyPatch
):
    run_jobs()
    moment = time.time()
    monkeypatch.setattr(time, "time", lambda: moment)  # however busy the machine is, it is as old as that
    body = event(connected.account_id)

    answer = send(body, signed(body, age=age))

    assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert events(acme.scope) == [("evt_1", "received")]
    assert [name for name, _ in queued()] == ["billing.sync_stripe_object"]


def test_both_secrets_are_good_while_one_is_rotated(connected: StripeConnection, settings: Any):
    settings.STRIPE_CONNECT_WEBHOOK_SECRETS = ["whsec_new", SECRET]
    body = event(connected.account_id)

    assert send(body, signed(body, secret="whsec_new")).status_code == 200
    assert send(body, signed(body)).status_code == 200


def test_the_same_event_twice_is_one_row_and_one_job(connected: StripeConnection, acme: Any):
    run_jobs()
    body = event(connected.account_id)

    assert [send(body, signed(body)).status_code for _ in range(3)] == [200, 200, 200]

    assert len(events(acme.scope)) == 1
    assert len(queued()) == 1


@pytest.mark.parametrize(
    "more",
    [{"account": "acct_nobody"}, {"livemode": True}, {"type": "payment_method.attached"}, {"type": "invoice.created"}],
)
def test_what_is_not_ours_is_acknowledged_and_left_alone(connected: StripeConnection, acme: Any, more: Any):
    body = event(connected.account_id, **more)

    assert send(body, signed(body)).status_code == 200
    assert events(acme.scope) == []


def test_the_platforms_own_events_do_not_reach_tenants(connected: StripeConnection, acme: Any):
    body = event(connected.account_id)

    assert send(body, signed(body, secret="whsec_platformOfTheTests"), PLATFORM).status_code == 200
    assert events(acme.scope) == []


def test_an_unknown_endpoint_a_get_and_a_huge_body_are_refused(connected: StripeConnection):
    body = event(connected.account_id)
    huge = b" " * (inbox.BODY_BYTES + 1)

    assert send(body, signed(body), CONNECT[:-1] + "9").status_code == 404
    assert Client().get(CONNECT, headers={"Host": "localhost:8000"}).status_code == 405
    assert send(huge, signed(huge)).status_code == 413


NUL = b'{"id":"evt_\\u0000","type":"customer.subscription.updated","created":1,"account":"acct_1"}'


@pytest.mark.parametrize("body", [b"[]", b"{}", b"null", b'{"id":1}', b"not json", NUL])
def test_genuine_nonsense_is_a_400(connected: StripeConnection, body: bytes):
    assert send(body, signed(body)).status_code == 400


def test_with_the_database_down_stripe_is_asked_to_come_back(
    connected: StripeConnection, monkeypatch: pytest.MonkeyPatch
):
    def down(*_: Any) -> None:
        raise OperationalError("down")

    monkeypatch.setattr(inbox, "scopes_of_account", down)
    body = event(connected.account_id)

    answer = send(body, signed(body))

    assert answer.status_code == 503
    assert "Retry-After" in answer


def test_50_copies_at_once_are_one_effect(committed_shop: Any):
    shop = committed_shop
    shop.sandbox.pay(shop.checkout()["url"])
    created = shop.sandbox.deliveries(shop.account_id, "customer.subscription.created")[0]

    answers = race(50, lambda _: created.post())

    assert {answer.status_code for answer in answers} == {200}
    run_jobs()
    assert len([e for e in events(shop.company.scope) if e[0] == created.event["id"]]) == 1
    assert shop.events().count("subscription.created") == 1
    assert shop.current().json()["status"] == "active"


def test_no_payload_stays_behind(shop: Any):
    body = event(
        shop.account_id,
        data={"object": {"id": "sub_none", "object": "subscription", "note": "a-word-of-the-payload", "last4": "4242"}},
    )

    assert send(body, signed(body)).status_code == 200

    with connection.cursor() as cursor:
        cursor.execute("select row_to_json(e)::text from billing_stripeevent e")
        kept = cursor.fetchall()
        cursor.execute("select args::text from procrastinate_jobs")
        kept += cursor.fetchall()
    assert not any("a-word-of" in text or "4242" in text for (text,) in kept)
