"""A whole copy as it is deployed, on a PostgreSQL that syncs to its disk; each part killed, each reply lost, Stripe slow.

Patient clients sign in, count, buy and change their minds meanwhile. After each fault: what was acknowledged is there,
nothing was done twice, the books and the audit chain are whole, Stripe agrees, and every event has arrived.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from bench import processes
from stackbe.kernel.ids import encode
from stackbe.runner import devdb, state
from stackbe.runner.demo.client import Inbox
from stackbe.runner.demo.receiver import Receiver
from stackbe.runner.state import DATABASE_URLS
from tests import stack
from tests.faults.traffic import Books, Client, Shop, by_customer, under_traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("whole")]
CLIENTS, STRIKES, ANSWERS_BETWEEN = 3, 3, 25
SETTLED_SECONDS = 240
# What is on its way: jobs that are due, events of Stripe's not worked off, deliveries not made.
UNDER_WAY = """
select (select count(*) from procrastinate_jobs where status in ('todo', 'doing') and queueing_lock is null
          and coalesce(scheduled_at, now()) < now() + interval '10 minutes'),
       (select count(*) from billing_stripeevent where state in ('received', 'failed')),
       (select count(*) from webhooks_event where fanned_out_at is null),
       (select count(*) from webhooks_delivery where status = 'pending')
"""
# All that was emitted since somebody listens.
EMITTED = "select id from webhooks_event where created_at > (select created_at from webhooks_webhookendpoint)"


class Stand:
    """The copy, its shop, its clients, and who listens to its events."""

    def __init__(self, folder: Path, database: devdb.Server) -> None:
        self.database = database
        urls = {name: url for name, url in database.environment().items() if name in DATABASE_URLS}
        self.stack = stack.on(folder / "copy", urls)
        self.books = Books()
        self.receiver = Receiver()
        self.over = threading.Event()
        self.watching = threading.Thread(target=self.supervise)

    def open(self) -> None:
        """Start everything, and a shop in it."""
        self.stack.folder.mkdir()
        self.stack.manage("migrate", "--verbosity=0")
        for name in ("sandbox", "web", "worker", "dispatcher"):
            self.stack.start(name)
        self.stack.wait()
        self.watching.start()
        made = self.stack.new_tenant()
        self.app = made["appId"]
        self.shop = Shop(self.stack.base_url, self.stack.inbox_url, made["apiKey"], self.app, plan="")
        self.make("/metrics", {"name": "api_calls", "aggregation": "sum", "resets": "billing_period"})
        self.make("/features", {"key": "sso", "name": "Single sign-on", "type": "boolean"})
        product = self.make("/products", {"name": "Orbit"})
        plan = {
            "name": "Pro", "slug": "pro", "productId": product["id"], "priceCents": 2900, "currency": "usd",
            "interval": "month", "entitlements": {"sso": True},
            "usage": [{"metric": "api_calls", "included": 1_000_000, "mode": "hard"}],
        }  # fmt: skip
        self.shop.plan = self.make("/plans", plan)["id"]
        self.receiver.secret = self.make("/webhook-endpoints", {"url": self.receiver.url, "events": ["*"]})["secret"]
        self.clients = [Client(self.shop, self.books, self.over, number) for number in range(CLIENTS)]

    def make(self, path: str, body: dict[str, Any]) -> Any:
        status, told = self.shop.once("POST", path, body, {})
        assert status == 201, told
        return told

    def supervise(self) -> None:
        """Start again what ends, as every process manager does: the worker leaves when its database goes."""
        while not self.over.wait(0.2):
            for name, process in list(self.stack.processes.items()):
                if process.poll() is not None:
                    self.stack.start(name)

    def close(self) -> None:
        self.over.set()
        if self.watching.is_alive():
            self.watching.join()
        self.stack.stop()
        self.receiver.close()

    def sandbox(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the sandbox's own controls."""
        given = {"Content-Type": "application/json"}
        asked = urllib.request.Request(f"{self.stack.sandbox_url}/_sandbox/{path}", headers=given, method=method)
        asked.data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(asked, timeout=20) as reply:
            return json.load(reply)

    @contextmanager
    def bent(self, *faults: dict[str, Any]) -> Iterator[None]:
        """Put faults of Stripe's in force for the length of a block."""
        for fault in faults:
            self.sandbox("POST", "faults", fault)
        try:
            yield
        finally:
            self.sandbox("DELETE", "faults", {})

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.stack.environment["DATABASE_STAFF_URL"], autocommit=True) as staff:
            return staff.execute(query.encode()).fetchall()

    def settle(self) -> None:
        """Return when nothing is under way any more, at Stripe, in the queue or to the receiver."""
        deadline, quiet = time.monotonic() + SETTLED_SECONDS, 0
        while quiet < 3:  # what ends may bring something else forth
            with suppress(OSError, psycopg.OperationalError):
                waiting = (*self.rows(UNDER_WAY)[0], self.sandbox("GET", "health")["pendingDeliveries"])
                quiet = 0 if any(waiting) else quiet + 1
                assert time.monotonic() < deadline, waiting
            time.sleep(0.5)


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    folder = Path(tempfile.mkdtemp(prefix="stackbe-whole-", dir="/var/tmp"))
    state.private_folder(folder)
    database = devdb.server("development", folder)
    with database.running():
        made = Stand(folder, database)
        try:
            made.open()
            yield made
        finally:
            made.close()
    shutil.rmtree(folder, ignore_errors=True)


def kill_all(pids: set[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def postgresql(stand: Stand) -> None:
    postmaster = int((stand.database.data / "postmaster.pid").read_text().split("\n", 1)[0])
    kill_all(processes.children(postmaster))
    stand.database.start()


def workers_of_the_web(stand: Stand) -> None:
    arbiter = stand.stack.processes["web"].pid
    kill_all(processes.children(arbiter) - {arbiter})


def process(name: str) -> Callable[[Stand], None]:
    def strike(stand: Stand) -> None:
        stand.stack.kill(name)
        stand.stack.start(name)

    return strike


KILLS = {
    "postgresql": postgresql,
    "workers of the web": workers_of_the_web,
    "web": process("web"),
    "worker": process("worker"),
    "dispatcher": process("dispatcher"),
    "stripe": process("sandbox"),
}
# Stripe does its work and its reply is cut off; it tells twice and out of order; it takes its time, or longer than we wait.
BENT: dict[str, tuple[dict[str, Any], ...]] = {
    "replies of Stripe lost": ({"kind": "api_cut", "percent": 40},),
    "events of Stripe twice and out of order": ({"kind": "duplicate", "copies": 3}, {"kind": "reorder", "seconds": 3}),
    "Stripe slow": ({"kind": "api_hang", "percent": 50, "seconds": 2}, {"kind": "delay", "seconds": 2}),
    "Stripe too slow and failing": (
        {"kind": "api_hang", "percent": 15, "seconds": 12}, {"kind": "api_500", "percent": 25},
    ),
}  # fmt: skip


@pytest.mark.parametrize("part", KILLS)
def test_a_part_is_killed_under_traffic(stand, part):
    with under_traffic(stand.shop, stand.books, stand.clients):
        for _ in range(STRIKES):
            stand.books.until_more(ANSWERS_BETWEEN)
            KILLS[part](stand)
        stand.books.until_more(ANSWERS_BETWEEN)

    assert_in_order(stand)


@pytest.mark.parametrize("fault", BENT)
def test_stripe_misbehaves_under_traffic(stand, fault):
    with under_traffic(stand.shop, stand.books, stand.clients), stand.bent(*BENT[fault]):
        stand.books.until_more(STRIKES * ANSWERS_BETWEEN)

    assert_in_order(stand)


def test_clients_leave_before_they_are_answered_and_ask_again(stand):
    left, stand.shop.drops = stand.books.dropped, 40
    try:
        with under_traffic(stand.shop, stand.books, stand.clients):
            stand.books.until_more(STRIKES * ANSWERS_BETWEEN)
    finally:
        stand.shop.drops = 0

    assert stand.books.dropped > left
    assert_in_order(stand)


def test_at_the_end_each_kind_of_deed_was_done_often(stand):
    assert set(stand.books.done) == {"bought", "counted", "checked", "changed", "signed in"}
    assert stand.books.repeated > 0


def assert_in_order(stand: Stand) -> None:
    """Assert that all that was promised is kept, once, and that whoever looks it over finds nothing."""
    stand.settle()
    assert stand.books.odd == []
    assert_customers(stand)
    assert_people_are_in(stand)
    assert_told(stand)
    assert stand.rows("select task_name from procrastinate_jobs where status = 'failed'") == []
    assert "are in order" in stand.stack.manage("check_ledger", role="web")
    assert "they hold" in stand.stack.manage("verify_audit", role="staff")
    compared = stand.stack.manage("reconcile", "--dry-run", role="web")
    assert re.findall(r"(\d+) (subscriptions|facts of the catalogue) differ", compared) == [
        ("0", "subscriptions"), ("0", "facts of the catalogue"),
    ], compared  # fmt: skip


def assert_customers(stand: Stand) -> None:
    """Assert that each who paid has one subscription as it was left, one paid invoice, and what was counted."""
    books, shop = stand.books, stand.shop
    for customer in books.bought:
        [held] = shop.read("/subscriptions", customerId=customer)["data"]
        left = (held["status"], held["cancelAtPeriodEnd"], held["quantity"])
        assert left == ("active", books.ending.get(customer, False), books.seats.get(customer, 1)), customer
        assert books.subscription.get(customer, held["id"]) == held["id"]
        [paid] = shop.read("/invoices", customerId=customer)["data"]
        assert (paid["status"], paid["amountPaidCents"]) == ("paid", 2900), customer
        [usage] = shop.read("/usage", customerId=customer)["metrics"]
        assert usage["currentUsage"] == books.counted[customer], customer
    assert len(stand.rows("select from accounts_customer")) == len(books.bought)


def assert_people_are_in(stand: Stand) -> None:
    """Assert that who signed in is in, who signed out is out, and that each link asked for came, none of itself."""
    for token, wanted in [(t, 200) for t in stand.books.sessions] + [(t, 401) for t in stand.books.ended_sessions]:
        path, bearer = f"/apps/{stand.app}/auth/session", {"Authorization": f"Bearer {token}"}
        assert stand.shop.once("GET", path, None, bearer)[0] == wanted
    inbox = Inbox(stand.stack.inbox_url)
    for email, answered in stand.books.links.items():
        assert answered <= inbox.count(email) <= stand.books.link_requests[email], email


def assert_told(stand: Stand) -> None:
    """Assert that the receiver has every event there is and no other, and was told of each fact once."""
    there = {encode("evt", row[0]) for row in stand.rows(EMITTED)}
    came = {event["id"] for event in stand.receiver.events}
    assert came == there
    assert stand.receiver.forged == 0
    assert stand.rows("select id from webhooks_delivery where status <> 'delivered'") == []
    once = dict.fromkeys(stand.books.bought, 1)
    for kind in ("customer.created", "subscription.created", "payment.succeeded"):
        assert by_customer(stand.receiver.events, kind) == once, kind
