"""What was acknowledged is there after PostgreSQL and the web's workers were killed under load, to the unit."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock
from uuid import UUID

import psycopg
import pytest

from bench import processes
from bench.stand import database_in, run
from stackbe.kernel.ids import decode

pytestmark = pytest.mark.slow
KILLS, CLIENTS, LIMIT = 8, 6, 150
ANSWERS_BETWEEN = 40


@pytest.fixture
def folder():
    """A folder that PostgreSQL's own account can reach."""
    made = Path(tempfile.mkdtemp(prefix="stackbe-durable-", dir="/var/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def stand(folder):
    """A deployment's web processes on a PostgreSQL of their own that syncs to its disk."""
    with database_in(folder) as stand:
        [stand.asked] = json.loads(run(["-m", "bench.seed", "1", "3"], stand.ours))
        with psycopg.connect(stand.database.url("postgres"), autocommit=True) as owner:
            owner.execute(
                "update billing_access set limits = jsonb_set(limits, '{api_calls,included}', %s::text::jsonb)"
                " where customer_id = (select max(customer_id::text)::uuid from billing_access)",
                [LIMIT],
            )
        stand.web = stand.django("stackbe", "stackbe.wsgi", stand.ours)
        stand.web.wait()
        yield stand


class Books:
    """What clients were told."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.counted: dict[str, int] = defaultdict(int)
        self.granted: dict[str, int] = defaultdict(int)
        self.held: dict[str, int] = defaultdict(int)
        self.answers = self.repeated = 0
        self.odd: list[object] = []

    def until_more(self, answers: int) -> None:
        """Return when so many more were answered: each kill comes in the middle of work."""
        wanted, deadline = self.answers + answers, time.monotonic() + 120
        while self.answers < wanted:
            assert time.monotonic() < deadline, (self.answers, wanted)
            time.sleep(0.02)

    def note(self, book: dict[str, int], customer: str, quantity: int) -> None:
        with self.lock:
            book[customer] += quantity


class Client:
    """Asks until it is answered: under the same key, as a client should."""

    def __init__(self, stand, books: Books, over: Event, number: int) -> None:
        self.stand, self.books, self.over, self.number = stand, books, over, number
        self.chance = random.Random(number)  # reproducible, not secret

    def run(self) -> None:
        turn = 0
        while not self.over.is_set():
            turn += 1
            self.act(self.chance.choice(self.stand.asked["customers"]), f"{self.number}-{turn}")

    def act(self, customer: str, key: str) -> None:
        kind, quantity = self.chance.random(), self.chance.randint(1, 3)
        event = {"customerId": customer, "metric": "api_calls", "quantity": quantity}
        if kind < 0.7:
            status, _ = self.ask("/usage/track", event | {"idempotencyKey": key})
            if status == 200:
                self.books.note(self.books.counted, customer, quantity)
        elif kind < 0.8:
            events = [event | {"idempotencyKey": f"{key}-{place}"} for place in range(3)]
            _, told = self.ask("/usage/track/batch", {"events": events})
            self.books.note(self.books.counted, customer, quantity * sum(r["success"] for r in told["results"]))
        elif kind < 0.9:
            body = {"metric": "api_calls", "quantity": quantity, "reason": "x"}
            self.ask(f"/customers/{customer}/credits", body, key)
            self.books.note(self.books.granted, customer, quantity)
        else:
            status, _ = self.ask("/usage/reservations", event, key)
            if status == 201:
                self.books.note(self.books.held, customer, quantity)

    def ask(self, path: str, body: dict, key: str | None = None) -> tuple[int, dict]:
        while True:
            with suppress(OSError, http.client.HTTPException):
                status, told = self.once(path, body, key)
                if status in {200, 201, 409}:
                    self.books.answers += 1
                    return status, told
                if status != 503:
                    self.books.odd.append((path, status, told))
            self.books.repeated += 1
            time.sleep(0.05)

    def once(self, path: str, body: dict, key: str | None) -> tuple[int, dict]:
        connection = http.client.HTTPConnection("127.0.0.1", self.stand.web.port, timeout=20)
        headers = {"Authorization": f"Bearer {self.stand.asked['key']}", "X-Forwarded-Proto": "https"}
        headers |= {"Content-Type": "application/json", "X-Forwarded-For": "192.0.2.7", "Host": "localhost"}
        headers |= {"Idempotency-Key": key} if key else {}
        try:
            connection.request("POST", f"/v1{path}", json.dumps(body), headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()


def kill_all(pids) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_every_acknowledged_unit_survives_kills_of_postgresql_and_of_the_web(stand):
    books, over = Books(), Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(Client(stand, books, over, number).run) for number in range(CLIENTS)]
        try:
            for number in range(KILLS):
                books.until_more(ANSWERS_BETWEEN)
                if number % 2:
                    kill_all(processes.children(stand.web.process.pid) - {stand.web.process.pid})
                else:
                    postmaster = int((stand.database.data / "postmaster.pid").read_text().split("\n", 1)[0])
                    kill_all(processes.children(postmaster))
                    stand.database.start()
            books.until_more(ANSWERS_BETWEEN)
        finally:
            over.set()
        for each in running:
            each.result(timeout=60)

    assert books.odd == []
    assert books.repeated > 0
    with psycopg.connect(stand.database.url("postgres")) as owner:
        for customer in stand.asked["customers"]:
            used, held, credited = owner.execute(
                "select sum(used), sum(held), sum(credited) from usage_counter where customer_id = %s",
                [uuid_of(customer)],
            ).fetchone()
            granted, left = owner.execute(
                "select coalesce(sum(quantity), 0), coalesce(sum(remaining), 0) from usage_credit where customer_id = %s",
                [uuid_of(customer)],
            ).fetchone()
            told = (books.counted[customer], books.held[customer], books.granted[customer])
            assert (used, held, granted) == told
            assert credited + left == granted
            if customer == max(stand.asked["customers"], key=lambda each: uuid_of(each).int):
                assert used + held <= LIMIT + granted


def uuid_of(public_id: str) -> UUID:
    return decode("cust", public_id)
