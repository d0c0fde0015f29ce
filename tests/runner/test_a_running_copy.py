"""`manage.py up` for real: every server, killed one after the other, and a clean end."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stackbe.runner import ports, processes
from stackbe.runner.devdb import Server
from stackbe.runner.state import REPOSITORY
from tests.runner.test_supervise import until

# One worker process runs them, so that one copy is installed, migrated and started.
pytestmark = pytest.mark.xdist_group("copy")

START_SECONDS = 240


def free_port():
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port < ports.LAST_PORT and ports.is_free(port) and ports.is_free(port + 1):
            return port


class Copy:
    """One `manage.py up` in a state folder of its own."""

    def __init__(self, home, port):
        self.home, self.port = home, port
        self.log = home / "log"
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.environment = {**kept, "STACKBE_HOME": str(home)}

    def up(self):
        with self.log.open("w") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, cwd=REPOSITORY, stdout=log, stderr=log)
        until(lambda: "StackBE is at" in self.said() or self.process.poll() is not None, seconds=START_SECONDS)
        assert self.process.poll() is None, self.said()

    @property
    def command(self):
        return [sys.executable, "manage.py", "up", "--port", str(self.port)]

    def said(self):
        return self.log.read_text()

    def status(self, path):
        try:
            with urllib.request.urlopen(f"http://localhost:{self.port}{path}", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return None

    def down(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(timeout=120)


@pytest.fixture(scope="module")
def shared_copy():
    with TemporaryDirectory(prefix="stackbe-up-", dir="/var/tmp") as folder:
        home = Path(folder)
        home.chmod(0o711)
        copy = Copy(home, free_port())
        copy.up()
        copy.first_said = copy.said()
        yield copy
        if copy.process.poll() is None:
            copy.down()
        Server(home / "postgres").stop()


@pytest.fixture
def copy(shared_copy):
    """The copy, up again where the test before this one took it down."""
    if shared_copy.process.poll() is not None:
        shared_copy.up()
    return shared_copy


def born(copy):
    """The recorded children and when each was born."""
    return set(json.loads((copy.home / "up.children").read_text()).items())


def test_all_servers_answer(copy):
    assert copy.status("/healthz") == 200
    assert copy.status("/readyz") == 200
    assert copy.status("/v1/me") == 401
    assert not ports.is_free(copy.port + 1), "the sandbox listens"


def test_the_first_start_shows_progress_and_seeds_once(copy):
    said = copy.first_said

    assert re.search(r"\d+ migrations in \d+ s", said)
    assert "seed_demo` failed" not in said
    assert f"StackBE is at http://localhost:{copy.port}" in said
    assert (copy.home / "postgres" / "seeded").exists()


def test_the_other_spelling_of_this_machine_is_redirected(copy):
    connection = http.client.HTTPConnection("127.0.0.1", copy.port, timeout=5)
    connection.request("GET", "/security")
    answer = connection.getresponse()
    connection.close()

    assert answer.status in {301, 308}
    assert answer.headers["Location"] == f"http://localhost:{copy.port}/security"


def test_a_second_up_is_refused_with_a_sentence(copy):
    second = subprocess.run(
        copy.command, env=copy.environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )

    assert second.returncode == 1
    assert f"running already: http://localhost:{copy.port}, process {copy.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr


def test_every_killed_server_comes_back(copy):
    before = born(copy)

    for pid, _ in before:
        os.kill(int(pid), signal.SIGKILL)

    until(lambda: len(born(copy) - before) == len(before), seconds=120)
    until(lambda: copy.status("/readyz") == 200, seconds=120)
    until(lambda: not ports.is_free(copy.port + 1), seconds=120)


def test_a_killed_database_comes_back_and_the_servers_find_it(copy):
    pid = int((copy.home / "postgres" / "pg18" / "postmaster.pid").read_text().split("\n", 1)[0])

    os.kill(pid, signal.SIGKILL)

    until(lambda: "PostgreSQL had died and was started again" in copy.said(), seconds=90)
    until(lambda: copy.status("/readyz") == 200 and copy.status("/v1/me") == 401, seconds=90)


@pytest.mark.slow
def test_a_stop_ends_everything_and_the_next_start_takes_seconds(copy):
    children = born(copy)
    database = int((copy.home / "postgres" / "pg18" / "postmaster.pid").read_text().split("\n", 1)[0])

    assert copy.down() == 0

    assert copy.said().rstrip().endswith("Stopped.")
    assert [pid for pid, _ in children if processes.look_up(int(pid))] == []
    assert processes.look_up(database) is None
    assert ports.is_free(copy.port)

    copy.up()
    assert "migrations in" not in copy.said()
    assert "Installing" not in copy.said()


@pytest.mark.slow
def test_what_a_killed_up_left_behind_is_ended_by_the_next(copy):
    left = born(copy)
    copy.process.kill()
    copy.process.wait()

    copy.up()

    assert f"Ended {len(left)} processes that an earlier `up` left behind." in copy.said()
    assert not left & born(copy)
    assert copy.down(signal.SIGINT) == 0
