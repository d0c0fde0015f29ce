"""`manage.py rotate_keys` killed in the middle, for each kind of key, while everything under the keys is read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from django.conf import settings
from django.db import connections

from accounts.models import App, SigningKey
from stackbe.kernel import attest
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.models import TenantKey, TenantSecret
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import change, reading
from stackbe.trust.services.rotation.kinds import KINDS
from tests.cast import Api, found_company
from tests.databases import ROOT
from tests.plugin import as_role
from tests.trust.test_rotate_keys import fill, read_all
from webhooks.models import WebhookEndpoint

pytestmark = pytest.mark.slow
# Where a run is stopped, by kind: at this change of the second tenant's (the platform's where it has the only key).
STOPS = {
    "master": ("kernel_tenantkey", "update"),
    "tenant": ("webhooks_webhookendpoint", "update"),
    "subject": ("kernel_subjectkey", "update"),
    "pepper": ("kernel_tenantsecret", "insert"),
    "attestation": ("kernel_tenantsecret", "insert"),
    "jwt": ("accounts_signingkey", "insert"),
    "webhook": ("webhooks_webhookendpoint", "update"),
}
BARRIER = 77
STOPPED = """
select exists (select from pg_locks where locktype = 'advisory' and objid = %s and not granted
  and database = (select oid from pg_database where datname = current_database()))
"""
PLATFORM = platform_scope("test")


class Reader:
    """Reads all that lies under a company's keys, and what they have signed, as long as it is let."""

    def __init__(self, company):
        self.company, self.api = company, Api(company.key)
        self.customer = self.api.get("/customers").json()["data"][0]["id"]
        self.session = self.api.post(f"/customers/{self.customer}/sessions").json()["sessionToken"]
        with reading(company.scope):
            self.hooks = {h.pk: h.secret for h in WebhookEndpoint.objects.within(company.scope)}
        with change(PLATFORM):
            self.signed = attest.attest(attest.RECEIPT, b"content")
        self.over, self.reads, self.wrong = threading.Event(), 0, []
        self.expected = self.look()

    def look(self):
        """Return what is seen; what was signed, hashed or sealed at the beginning must hold for ever."""
        session = Api(self.session).get(f"/apps/{self.company.app}/auth/session")
        check = self.api.get(f"/entitlements/check/anything?customerId={self.customer}")
        with reading(self.company.scope):
            hooks = WebhookEndpoint.objects.within(self.company.scope)
            signing = [self.hooks[hook.pk] in hook.signing_secrets(wall_clock()) for hook in hooks]
        with change(PLATFORM):
            public = {key["kid"]: attest.decoded(key["x"]) for key in attest.public_keys()}
        held = attest.holds(public[self.signed["kid"]], attest.RECEIPT, b"content", self.signed["signature"])
        return read_all(self.api) | {"told": (session.status_code, check.status_code), "signing": (signing, held)}

    def run(self):
        try:
            while not self.over.is_set():
                found = self.look()
                self.reads += 1
                if found != self.expected:
                    self.wrong.append(found)
                time.sleep(0.1)  # the run that is watched wants a processor too
        except Exception as error:  # noqa: BLE001  # whatever it is, the test names it
            self.wrong.append(error)
        finally:
            connections.close_all()


@contextmanager
def reading_on(readers):
    """Let readers read for the length of a block."""
    threads = [threading.Thread(target=reader.run) for reader in readers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for reader in readers:
            reader.over.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def owner():
    url = as_role(os.environ["STACKBE_TEST_MAINTENANCE_URL"], "stackbe_owner", os.environ["STACKBE_TEST_DATABASE"])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "create or replace function stop_here() returns trigger language plpgsql as"
            f" $$ begin perform pg_advisory_xact_lock({BARRIER}); return new; end $$"
        )
        yield connection
        connection.execute("select pg_advisory_unlock_all()")
        connection.execute("drop function stop_here() cascade")


def age(companies):
    """Let everything have been made two hours ago."""
    made = {"created_at": wall_clock() - timedelta(hours=2)}
    for scope in [PLATFORM, *(company.scope for company in companies)]:
        with change(scope):
            TenantKey.objects.within(scope).update(**made)
            TenantSecret.objects.within(scope).update(**made)
            if scope.app_id:
                SigningKey.objects.within(scope).update(**made)
                WebhookEndpoint.objects.within(scope).update(**made)


def made(company):
    """Return how many keys of each sort there are, replaced ones too."""
    with reading(company.scope):
        hooks = WebhookEndpoint.objects.within(company.scope)
        found = {
            "tenant": TenantKey.objects.within(company.scope).count(),
            "pepper": TenantSecret.objects.within(company.scope).filter(kind="pepper").count(),
            "jwt": SigningKey.objects.within(company.scope).count(),
            "webhook": max(len(hook.signing_secrets(wall_clock())) for hook in hooks),
        }
    with reading(PLATFORM):
        attesting = TenantSecret.objects.within(PLATFORM).filter(kind=attest.KIND).count()
    return found | {"attestation": attesting}


def started(kind):
    return subprocess.Popen(
        [sys.executable, "-m", "django", "rotate_keys", "--older-than", "1", "--only", kind],
        cwd=ROOT,
        env={
            **os.environ,
            "STACKBE_ROLE": "worker",
            "STACKBE_MASTER_KEY": settings.STACKBE_MASTER_KEY,
            "DJANGO_SETTINGS_MODULE": "stackbe.settings",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(holds):
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_each_kind_of_key_is_stopped_somewhere():
    assert list(STOPS) == [kind.name for kind in KINDS]


@pytest.mark.parametrize("kind", STOPS)
def test_a_run_that_is_killed_fails_no_reader_and_the_next_one_ends_it(committed, owner, new_master, kind):
    companies = [found_company(name) for name in ("Acme", "Globex")]
    for company in companies:
        fill(company)
        with change(company.scope):
            limits = {"api_limit_per_minute": 100_000, "session_limit_per_minute": 100_000}
            App.objects.within(company.scope).update(**limits)
    readers = [Reader(company) for company in companies]
    age(companies)
    if kind == "master":
        new_master(alone=False)
    if kind == "subject":  # they are moved when the tenant's key is another
        with started("tenant") as before:
            assert before.wait() == 0
    counted = [made(company) for company in companies]
    table, deed = STOPS[kind]
    whose = PLATFORM.tenant_id if kind == "attestation" else companies[1].tenant_id
    owner.execute(
        f"create trigger stop_here before {deed} on {table} for each row"
        f" when (new.tenant_id = '{whose}') execute function stop_here()"
    )
    owner.execute("select pg_advisory_lock(%s)", [BARRIER])

    with reading_on(readers):
        with started(kind) as process:
            try:
                until(lambda: process.poll() is not None or owner.execute(STOPPED, [BARRIER]).fetchone()[0])
                assert process.poll() is None, process.communicate()
                read = [reader.reads for reader in readers]
                until(lambda: all(r.wrong or r.reads > before + 1 for r, before in zip(readers, read, strict=True)))
            finally:
                process.kill()
        assert process.returncode == -signal.SIGKILL
        owner.execute("select pg_advisory_unlock(%s)", [BARRIER])
        owner.execute(f"drop trigger stop_here on {table}")
        with started(kind) as process:
            said, complaints = process.communicate()
        assert (process.returncode, complaints) == (0, "")
        with started(kind) as process:
            again, _ = process.communicate()

    assert [reader.wrong for reader in readers] == [[], []]
    assert "0 to do" in said
    assert f"{kind:12} 0 done, 0 to do" in again
    fresh = {kind: 1} if kind in counted[0] else {}
    assert [made(company) for company in companies] == [
        {name: count + fresh.get(name, 0) for name, count in before.items()} for before in counted
    ]
    if kind == "master":
        new_master(alone=True)
        assert [reader.look() for reader in readers] == [reader.expected for reader in readers]
