"""Check 15: after use, no secret and no address lies readable in the database, the mail store or a log."""

from __future__ import annotations

import base64
import logging

import pytest
from django.conf import settings as live_settings
from django.db import connection

from stackbe.kernel.logs import JsonFormatter
from tests.cast import Api
from tests.queue import run_jobs
from tests.signin.people import token_of

READABLE = (
    "select c.oid::regclass::text from pg_class c where c.relkind in ('r', 'p') and not c.relispartition"
    " and c.relnamespace = 'public'::regnamespace and has_table_privilege(c.oid, 'select')"
)


def dump():
    """Return every row that any of the serving roles can read, tenants' walls or not, table by table."""
    found: dict[str, str] = {}
    for role in ("stackbe_staff", "stackbe_worker", "stackbe_web"):
        with connection.cursor() as cursor:
            cursor.execute(f"set local role {role}")
            cursor.execute(READABLE)
            for (table,) in cursor.fetchall():
                cursor.execute(f"select t::text from {table} t")
                found[table] = found.get(table, "") + "\n".join(text for (text,) in cursor.fetchall())
            cursor.execute("set local role stackbe_web")
    return found


def spellings(secret):
    raw = secret.encode()
    return {secret, secret.lower(), raw.hex(), base64.b64encode(raw).decode().rstrip("=")}


@pytest.fixture
def used(acme, acme_api, mailbox, caplog, settings):
    """Use everything that hands out a secret; return the secrets by name."""
    settings.LOG_REQUESTS = True
    caplog.set_level(logging.DEBUG)
    auth = f"/apps/{acme.app}/auth"
    numbers = iter(range(100))

    def once():
        return {"Idempotency-Key": f"a-key-of-the-caller-{next(numbers)}"}

    made = acme_api.post(f"/apps/{acme.app}/api-keys", {"name": "x"}, **once()).json()
    rotated = acme_api.post(f"/apps/{acme.app}/api-keys/{made['id']}/rotate", {}, **once()).json()
    hook = acme_api.post("/webhook-endpoints", {"url": "https://example.com/hook", "events": ["*"]}, **once()).json()
    acme_api.post("/customers", {"email": "canary.ann@shop.example", "name": "Canary Ann"}, **once())
    acme_api.post(f"{auth}/magic-link", {"email": "canary.bob@shop.example"})
    link = token_of(mailbox.latest("canary.bob@shop.example"))
    session = Api(None).post(f"{auth}/verify", {"token": link}).json()
    acme_api.post(f"{auth}/magic-link", {"email": "canary.cy@shop.example"})
    unspent = token_of(mailbox.latest("canary.cy@shop.example"))
    refreshed = Api(None).post(f"{auth}/refresh", {"refreshToken": session["refreshToken"]}).json()
    Api(refreshed["sessionToken"]).get(f"{auth}/session")
    Api(None).post("/tenants", {"name": "Globex", "ownerEmail": "canary.dev@globex.example"}, **once())
    run_jobs(tolerate=True)
    developer = token_of(mailbox.latest("canary.dev@globex.example"))
    return {
        "api key": made["key"][17:],
        "rotated api key": rotated["key"][17:],
        "app's key": acme.key[17:],
        "tenant key": acme.tenant_key[17:],
        "webhook secret": hook["secret"],
        "spent link": link,
        "unspent link": unspent,
        "developer's link": developer,
        "session token": session["sessionToken"],
        "refreshed session token": refreshed["sessionToken"],
        "refresh token": session["refreshToken"],
        "next refresh token": refreshed["refreshToken"],
        "idempotency key": "a-key-of-the-caller",
        "customer's address": "canary.ann@shop.example",
        "customer's name": "Canary Ann",
        "signed-in address": "canary.bob@shop.example",
        "waiting address": "canary.cy@shop.example",
        "developer's address": "canary.dev@globex.example",
        "Stripe's key": live_settings.STRIPE_SECRET_KEY,
        "Stripe's webhook secret": live_settings.STRIPE_CONNECT_WEBHOOK_SECRETS[0],
        "master key": live_settings.STACKBE_MASTER_KEY.partition(":")[2],
    }


def test_no_secret_lies_readable_in_any_table(used):
    tables = dump()

    assert len(tables) > 40
    assert {"accounts_magiclink", "procrastinate_jobs", "webhooks_event"} <= set(tables)
    assert "Globex" in tables["accounts_tenant"]  # the dump reaches every tenant's rows
    assert "sbk_test_" in tables["apikeys_apikey"]
    hits = [
        (name, table)
        for name, secret in used.items()
        for table, text in tables.items()
        if any(spelling in text for spelling in spellings(secret))
    ]
    assert hits == []


def test_none_is_in_the_logs(used, caplog):
    formatter = JsonFormatter()
    lines = "\n".join(formatter.format(r) for r in caplog.get_records("setup") if not r.name.startswith("django.db"))

    assert '"route"' in lines
    assert [name for name, secret in used.items() if secret in lines] == []
