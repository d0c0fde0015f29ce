"""After the whole corpus of events, no table holds card data, a secret, a payload or an address."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import psycopg
import pytest
from django.db import connections

from billing.stripe.connect import connect_sandbox_account
from billing.stripe.sandbox.customers import CARD
from stackbe.kernel.serializers import holds_card_number
from stackbe.trust.checks.scanning import UUID
from tests.cast import found_company
from tests.databases import owner_url
from tests.queue import run_jobs
from tests.stripe.conftest import Shop
from tests.stripe.test_inbox import CONNECT, send, signed

EMAIL, NAME = "ada.lovelace@canary-mail.example", "Ada Canary Lovelace"
FORBIDDEN = {
    "an e-mail address": re.compile(r"canary-mail|@canary", re.IGNORECASE),
    "a name": re.compile(r"Canary Lovelace"),
    "a Stripe key": re.compile(r"\b[sr]k_(test|live)_\w+"),
    "a webhook secret": re.compile(r"whsec_\w{6,}"),
    "a fingerprint": re.compile(CARD["fingerprint"]),
    "a card's keys": re.compile(r"last4|fingerprint|exp_month|payment_method_details|billing_details|default_payment"),
    "a payload": re.compile(r"customer_details|invoice_settings|previous_attributes|pending_webhooks"),
}


@pytest.fixture
def worked_shop(cardlike_process: Any, committed: None, settings: Any) -> Shop:
    """A shop through which every event that the sandbox knows has gone, those we never asked for too."""
    settings.STRIPE_API_BASE = settings.STRIPE_CONNECT_BASE = cardlike_process.url
    settings.STRIPE_SANDBOX = True
    company = found_company("Acme")
    shop = Shop(company, cardlike_process, connect_sandbox_account(company.scope).account_id)
    shop.api.post("/customers", {"email": EMAIL, "name": NAME})
    subscription = shop.subscribe(EMAIL)
    live_through(shop, subscription["id"])
    return shop


def live_through(shop: Shop, subscription_id: str) -> None:
    """Refund, dispute, decline, dun, cancel: and post every event of it, subscribed to or not."""
    account, sandbox = shop.account_id, shop.sandbox
    charge = sandbox.get("/v1/charges", account)["data"][0]["id"]
    customer = sandbox.get("/v1/customers", account)["data"][0]["id"]
    sandbox.call("POST", "/v1/refunds", {"charge": charge, "amount": 100}, account=account)
    sandbox.call("POST", "/_sandbox/disputes", {"account": account, "charge": charge})
    sandbox.call("POST", "/_sandbox/payment", {"account": account, "customer": customer, "payment": "decline"})
    sandbox.call("POST", "/_sandbox/clock", {"account": account, "advance": "32d"})
    shop.api.post(f"/subscriptions/{subscription_id}/cancel", {"immediately": True})
    sandbox.call("POST", "/_sandbox/account", {"account": account, "chargesEnabled": False})
    for event in every_event(shop):
        body = json.dumps(event).encode()
        assert send(body, signed(body), CONNECT).status_code == 200
    run_jobs(tolerate=True)


def every_event(shop: Shop) -> list[dict[str, Any]]:
    return list(reversed(shop.sandbox.get("/v1/events?limit=100", shop.account_id)["data"]))


def tables() -> dict[str, list[str]]:
    """Return every row of every table of ours as text, read by their owner with the walls down for a moment."""
    found: dict[str, list[str]] = {}
    connections.close_all()
    with psycopg.connect(owner_url(os.environ["STACKBE_TEST_DATABASE"])) as database:
        names = [row[0] for row in database.execute(
            "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition"
            " and c.relname not in ('django_migrations', 'django_content_type', 'auth_permission')"
        )]  # fmt: skip
        for name in names:
            database.execute(f"alter table {name} no force row level security")
            found[name] = [
                row[0] for row in database.execute(f"select json_strip_nulls(row_to_json(t))::text from {name} t")
            ]
        database.rollback()
    return found


def test_no_table_holds_what_must_not_be_kept(worked_shop: Shop):
    types = {event["type"] for event in every_event(worked_shop)}
    assert {"payment_method.attached", "charge.succeeded", "charge.refunded", "charge.dispute.created"} <= types
    found = tables()
    assert found["billing_stripeevent"], "the scan sees the rows"
    assert found["djstripe_subscription"]
    assert found["billing_invoicereference"]

    hits = [
        f"{what} in {table}: {text[:300]}"
        for table, rows in found.items()
        for text in rows
        for what, pattern in FORBIDDEN.items()
        if pattern.search(text)
    ]
    # Of millions of random ids some hold the digits of a card's number.
    plain = ((table, UUID.sub("", text)) for table, rows in found.items() for text in rows)
    hits += [f"card number in {table}" for table, text in plain if holds_card_number(text)]

    assert hits == []

    charge = json.dumps(worked_shop.sandbox.get("/v1/charges", worked_shop.account_id)["data"][0])
    noticed = {what for what, pattern in FORBIDDEN.items() if pattern.search(charge)}
    assert noticed >= {"a card's keys", "a fingerprint"}, "the scan would notice"
