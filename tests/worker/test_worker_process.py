"""The worker as a process: it mails, stops cleanly, and loses nothing when it is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from django.db import connection

from accounts.services.developers import preview, request_sign_in
from tests.plugin import as_role
from tests.stack import ROOT, free_port, login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 60.0


class Slow:
    """An SMTP server that says when a mail has come in and answers when it is let."""

    def __init__(self) -> None:
        self.arrived, self.go_on = Event(), Event()
        self.taken: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        self.arrived.set()
        await asyncio.to_thread(self.go_on.wait, PATIENCE)
        self.taken.append(envelope.content.decode())
        return "250 OK"


class Worker:
    """One worker process on this test's database, its mail going to an address."""

    def __init__(self, folder: Path, mail_port: int) -> None:
        database = os.environ["STACKBE_TEST_DATABASE"]
        self.environment = os.environ | {
            "STACKBE_ROLE": "worker",
            "DATABASE_WORKER_URL": login("stackbe_worker", database),
            "DJANGO_SETTINGS_MODULE": "stackbe.settings",
            "EMAIL_URL": f"smtp://127.0.0.1:{mail_port}",
            "LOG_LEVEL": "INFO",
        }
        self.log = folder / "worker.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-W", "ignore", "-m", "django", "worker"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE)


def wait_for(what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
    return found


@pytest.fixture
def smtp() -> Iterator[tuple[Slow, int]]:
    port = free_port()
    server = Slow()
    controller = Controller(server, hostname="127.0.0.1", port=port)
    controller.start()
    yield server, port
    server.go_on.set()
    controller.stop()


@pytest.fixture
def worker(committed: None, tmp_path: Path, smtp: tuple[Slow, int]) -> Iterator[Worker]:
    process = Worker(tmp_path, smtp[1])
    process.start()
    yield process
    if process.process is not None and process.process.poll() is None:
        process.process.kill()
        process.process.wait()


def jobs() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "select status::text, count(*) from procrastinate_jobs where task_name = 'accounts.mail_developer_link'"
            " group by 1"
        )
        return dict(cursor.fetchall())


def token_in(mail: str) -> str:
    plain = mail.replace("=\r\n", "").replace("=3D", "=")
    return plain.partition("#token=")[2].split()[0]


def test_a_mail_goes_out_soon_and_a_stop_lets_it_end(worker, smtp):
    server, _ = smtp
    request_sign_in("ada@example.com")
    assert server.arrived.wait(PATIENCE)

    worker.process.send_signal(signal.SIGTERM)
    server.go_on.set()

    assert worker.process.wait(timeout=PATIENCE) == 0
    assert len(server.taken) == 1
    assert preview(token_in(server.taken[0])).masked_email == "a•••@example.com"
    assert jobs() == {}
    log = worker.log.read_text()
    assert "ada@example.com" not in log
    assert "sbl_" not in log


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_a_mail_loses_nothing(worker, smtp):
    server, _ = smtp
    request_sign_in("ada@example.com")
    assert server.arrived.wait(PATIENCE)

    worker.end(signal.SIGKILL)
    assert jobs() == {"doing": 1}
    server.go_on.set()
    already = len(server.taken)
    worker.start()

    wait_for(lambda: jobs() == {})
    assert len(server.taken) > already
    assert preview(token_in(server.taken[-1])).masked_email == "a•••@example.com"


@pytest.mark.slow
def test_losing_its_database_connections_does_not_end_its_work(worker, smtp):
    server, _ = smtp
    server.go_on.set()
    request_sign_in("ada@example.com")
    wait_for(lambda: jobs() == {} and server.taken)

    url = as_role(os.environ["STACKBE_TEST_MAINTENANCE_URL"], "stackbe_worker", os.environ["STACKBE_TEST_DATABASE"])
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'stackbe_worker' and datname = current_database()"
        )
    request_sign_in("bob@example.com")

    def done() -> bool:
        if worker.process.poll() is not None:
            worker.start()
        return jobs() == {} and len(server.taken) == 2

    wait_for(done)
