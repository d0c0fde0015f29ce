"""A mail in a real worker's hands: refused for now, tried again by itself, sent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.controller import Controller
from django.db import connection

from stackbe.kernel.transactions import reading
from stackbe.mail.models import OutgoingMail
from tests.cast import Api, Company, found_company
from tests.databases import ROOT
from tests.mail.conftest import Catcher
from tests.stack import free_port, login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 60.0


@pytest.fixture
def server() -> Iterator[tuple[Catcher, int]]:
    """A mail server that refuses everything for now."""
    catcher, port = Catcher(), free_port()
    catcher.at_recipient = "451 4.7.1 try later"
    controller = Controller(catcher, hostname="127.0.0.1", port=port)
    controller.start()
    yield catcher, port
    controller.stop()


@pytest.fixture
def worker(committed: None, server: tuple[Catcher, int], tmp_path: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process on the test's own database, sending through the server."""
    environment = os.environ | {
        "STACKBE_ROLE": "worker",
        "DATABASE_WORKER_URL": login("stackbe_worker", os.environ["STACKBE_TEST_DATABASE"]),
        "DJANGO_SETTINGS_MODULE": "stackbe.settings",
        "EMAIL_URL": f"smtp://127.0.0.1:{server[1]}",
        "PYTHONWARNINGS": "ignore",
    }
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "django", "worker"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    yield process
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until(true: Callable[[], bool]) -> None:
    """Look again until it holds, or fail when patience is over."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)
        connection.close()


def outcome(company: Company) -> tuple[str, int]:
    with reading(company.scope):
        mail = OutgoingMail.objects.within(company.scope).get()
        return mail.status, mail.attempts


def test_the_worker_tries_again_by_itself_with_a_link_that_was_never_seen_before(server, worker):
    catcher, _ = server
    company = found_company("Acme")
    Api(company.key).post(f"/apps/{company.app}/auth/magic-link", {"email": "ada@example.com"})

    until(lambda: outcome(company)[1] >= 1)
    assert outcome(company)[0] == "waiting"
    catcher.at_recipient = "250 OK"
    until(lambda: outcome(company)[0] == "sent")

    ((envelope, _),) = catcher.caught
    assert envelope.rcpt_tos == ["ada@example.com"]
    assert outcome(company)[1] >= 2
