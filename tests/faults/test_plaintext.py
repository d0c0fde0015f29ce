"""Check 15 on a running copy: after the whole main job, no secret and no address in any table or any log.

The other half, in one process with idempotent replies and every kind of token, is in tests/security/test_plaintext.py.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from tests.faults.acting import Listener, perform

if TYPE_CHECKING:
    from tests.stack import Stack

pytestmark = pytest.mark.xdist_group("live")
TOKENS = re.compile(r'"(sessionToken|refreshToken|token|secret|key)": ?"([^"]{20,})"')
ENVIRONMENT = ("SECRET_KEY", "STRIPE_SECRET_KEY", "STRIPE_PLATFORM_WEBHOOK_SECRETS", "STRIPE_CONNECT_WEBHOOK_SECRETS")


def dump(stack: Stack) -> dict[str, str]:
    """Return every row of every table as text, partitions too: the owner lifts the walls and puts them back."""
    found: dict[str, str] = {}
    with psycopg.connect(stack.environment["DATABASE_OWNER_URL"]) as owner:
        names = owner.execute(
            "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = 'public' and c.relkind = 'r' order by 1"
        ).fetchall()
        owner.rollback()
        for (name,) in names:
            table = sql.Identifier(str(name))
            owner.execute(sql.SQL("alter table {} no force row level security").format(table))
            rows = owner.execute(sql.SQL("select t::text from {} t").format(table)).fetchall()
            owner.rollback()
            found[str(name)] = "\n".join(str(text) for (text,) in rows)
    return found


def spellings(secret: str) -> set[str]:
    """Return how a secret would show: plain, in capitals' loss, as bytea, in base64."""
    raw = secret.encode()
    return {secret, secret.lower(), raw.hex(), base64.b64encode(raw).decode().rstrip("=")}


def test_after_the_main_job_nothing_secret_is_readable(live_stack: Stack, patient: None):
    story = Listener()
    run = perform(live_stack, story)
    known = run.play.known
    secrets = {
        "developer's address": known["email"],
        "customer's address": known["person"],
        "API key": known["key"][len("sbk_test_") + 8 :],
        "webhook secret": run.receiver.secret,
        "developer's link": run.mail("email")["links"][0].partition("#")[2].rpartition("=")[2],
        "customer's link": run.mail("person")["links"][0].partition("#")[2].rpartition("=")[2],
    }
    secrets |= {f"{name} {n}": text for n, (name, text) in enumerate(TOKENS.findall("\n".join(story.lines)))}
    secrets |= {name: live_stack.environment[name] for name in ENVIRONMENT}
    assert {"sessionToken", "refreshToken"} <= {name.split()[0] for name in secrets}
    assert all(len(secret) >= 16 for secret in secrets.values()), secrets

    tables = dump(live_stack)
    logs = {name: live_stack.log(name) for name in ("web", "worker", "dispatcher", "sandbox")}

    for table in ("accounts_customer", "accounts_user", "apikeys_apikey", "billing_subscription", "procrastinate_jobs"):
        assert tables[table], table
    assert "Orbit" in tables["billing_product"]
    assert '"route"' in logs["web"]
    places = tables | {f"{name}'s log": text for name, text in logs.items()}
    hits = [
        (name, place)
        for name, secret in secrets.items()
        for place, text in places.items()
        if any(spelling in text for spelling in spellings(secret))
    ]
    assert hits == []
