"""Check 16: receivers that fail, dispatchers that are killed; every event arrives all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from django.db import connections
from standardwebhooks.webhooks import Webhook as StandardWebhook
from svix.webhooks import Webhook as SvixWebhook

from stackbe.kernel.transactions import reading
from tests import databases
from tests.cast import found_company
from tests.webhooks.conftest import Desk
from tests.webhooks.receiver import Call, Receiver, Reply
from webhooks.models import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = 120
KILLS = 3
MOST_FAILURES = 5


class Flaky:
    """Fails three of ten requests, and no event so often that it would be given up; verifies each as it comes."""

    def __init__(self) -> None:
        self.secret = ""
        self.forged: list[Exception] = []
        self._lock = threading.Lock()
        self._count = 0
        self._failed = Counter[str]()

    def __call__(self, call: Call) -> Reply:
        try:
            StandardWebhook(self.secret).verify(call.body, call.headers)
            SvixWebhook(self.secret).verify(call.body, call.headers)
        except Exception as forged:  # noqa: BLE001  # told at the end
            self.forged.append(forged)
        with self._lock:
            self._count += 1
            if self._count % 10 not in {2, 5, 8} or self._failed[call.id] == MOST_FAILURES:
                return Reply()
            self._failed[call.id] += 1
            return Reply(503)


def start(*options: str) -> subprocess.Popen[bytes]:
    """Start `manage.py dispatcher` as it runs in production, with the worker's role."""
    environment = os.environ | {"STACKBE_ROLE": "worker", "DJANGO_SETTINGS_MODULE": "stackbe.settings"}
    command = [sys.executable, "-m", "django", "dispatcher", "--lease", "3", *options]
    return subprocess.Popen(command, cwd=databases.ROOT, env=environment)


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Dispatchers that end with the test."""
    running: list[subprocess.Popen[bytes]] = []
    yield running
    for process in running:
        process.kill()
        process.wait()


def test_every_event_arrives_though_dispatchers_are_killed(
    committed: None, processes: list[subprocess.Popen[bytes]]
) -> None:
    survive(processes, EVENTS, KILLS, places=16)


def survive(processes: list[subprocess.Popen[bytes]], events: int, kills: int, places: int) -> None:
    """Send so many events through a failing receiver while dispatchers are killed; none is lost or altered."""
    desk = Desk(found_company("Acme"))
    flaky = Flaky()
    with Receiver(flaky) as receiver:
        flaky.secret = desk.endpoint(receiver.url).secret
        processes += [start("--places", str(places)), start("--places", str(places))]
        for kill in range(kills):
            desk.emit(events // kills)
            receiver.wait_for(lambda calls, n=kill: len(calls) > n * events // kills)  # type: ignore[misc]  # a default binds it
            victim = processes.pop(0)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            processes.append(start("--places", str(places)))
            desk.make_due()
        deadline = time.monotonic() + 60 + events / 20
        while desk.count(status="delivered") < events:
            assert time.monotonic() < deadline, desk.deliveries(status="pending")[:3]
            desk.make_due()
            time.sleep(0.3)

    with reading(desk.scope):
        announced = {event.public_id for event in Event.objects.within(desk.scope).defer("body")}
    assert {call.id for call in receiver.calls} == announced
    assert len(announced) == events
    assert len(receiver.calls) > events
    bodies = {(call.id, call.body) for call in receiver.calls}
    assert len(bodies) == events
    assert flaky.forged == []


def test_sigterm_ends_it_cleanly_and_what_was_under_way_is_finished(
    committed: None, processes: list[subprocess.Popen[bytes]]
) -> None:
    desk = Desk(found_company("Acme"))
    with Receiver(lambda _: Reply(hang=1)) as receiver:
        desk.endpoint(receiver.url)
        desk.emit()
        processes.append(start())
        receiver.wait_for(bool)
        processes[0].send_signal(signal.SIGTERM)
        code = processes[0].wait(15)

    [delivery] = desk.deliveries()
    assert code == 0
    assert (delivery.status, delivery.attempts) == ("delivered", 1)


def test_it_refuses_to_run_with_the_web_role(committed: None) -> None:
    environment = os.environ | {"STACKBE_ROLE": "web", "DJANGO_SETTINGS_MODULE": "stackbe.settings"}
    refused = subprocess.run(
        [sys.executable, "-m", "django", "dispatcher"],
        cwd=databases.ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert refused.returncode != 0
    assert "STACKBE_ROLE=worker" in refused.stderr


def test_it_goes_on_when_its_connections_are_cut(committed: None, processes: list[subprocess.Popen[bytes]]) -> None:
    desk = Desk(found_company("Acme"))
    with Receiver() as receiver:
        desk.endpoint(receiver.url)
        processes.append(start())
        desk.emit()
        receiver.wait_for(bool)
        database = os.environ["STACKBE_TEST_DATABASE"]
        with databases.maintenance() as server:
            server.execute("set role none")
            server.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                [database],
            )
        connections.close_all()
        desk.emit(5)
        receiver.wait_for(lambda calls: len(calls) >= 6)

    assert processes[0].poll() is None
