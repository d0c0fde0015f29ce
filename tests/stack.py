"""A running copy for tests: web (2 processes), worker, dispatcher and sandbox, each as it is deployed.

Every process logs in as its own database role; nothing is shared with the test but HTTP.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from stackbe.runner.state import DATABASE_URLS
from tests import databases

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 40
# Runs management commands one after the other, since to start Django takes seconds where a command takes a moment.
HAND = """
import io, json, sys
import django
django.setup()
from django.core.management import call_command
from django.db import connections
for line in sys.stdin:
    said = io.StringIO()
    call_command(*json.loads(line), stdout=said)
    connections.close_all()
    print(json.dumps(said.getvalue()), flush=True)
"""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def login(role: str, database: str) -> str:
    """Return the URL of a database for a role that logs in itself."""
    parts = urlsplit(os.environ["STACKBE_TEST_MAINTENANCE_URL"])
    return urlunsplit((parts.scheme, f"{role}@", f"/{database}", parts.query, ""))


@dataclass
class Stack:
    """A running copy."""

    folder: Path
    environment: dict[str, str]
    base_url: str
    sandbox_url: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    hand: subprocess.Popen[str] | None = None

    @property
    def inbox_url(self) -> str:
        """Return where its mail is seen."""
        return f"{self.base_url}/dev/inbox"

    def start(self, name: str) -> None:
        """Start one of its processes."""
        web_port, sandbox_port = urlsplit(self.base_url).port, urlsplit(self.sandbox_url).port
        python = sys.executable
        role, command = {
            "web": (
                "web",
                [
                    python,
                    "-m",
                    "gunicorn",
                    "--config=stackbe/gunicorn.py",
                    "stackbe.wsgi",
                    "--workers=2",
                    f"--bind=127.0.0.1:{web_port}",
                ],
            ),
            "worker": ("worker", [python, "-m", "django", "worker"]),
            "dispatcher": ("worker", [python, "-m", "django", "dispatcher"]),
            "sandbox": (
                "web",
                [
                    python,
                    "-m",
                    "billing.stripe.sandbox",
                    "--port",
                    str(sandbox_port),
                    "--state",
                    str(self.folder / "sandbox.sqlite"),
                ],
            ),
        }[name]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment | {"STACKBE_ROLE": role},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """End a process and its children as a power cut would."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End everything."""
        if self.hand is not None:
            self.hand.communicate()
        for process in self.processes.values():
            os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(timeout=8)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes.clear()

    def wait(self) -> None:
        """Return when web and sandbox answer."""
        deadline = time.monotonic() + START_SECONDS
        for url in (f"{self.base_url}/healthz", f"{self.sandbox_url}/_sandbox/health"):
            while not self._answers(url):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{url} does not answer; logs in {self.folder}")
                time.sleep(0.1)

    def manage(self, *words: str, role: str = "owner") -> str:
        """Run a management command on this copy and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "django", *words],
            cwd=ROOT,
            check=False,
            capture_output=True,
            env=self.environment | {"STACKBE_ROLE": role},
            text=True,
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
        return done.stdout

    def ask(self, *words: str) -> str:
        """Run a management command as the web's role, in a process that waits for the next; return what it printed."""
        if self.hand is None or self.hand.poll() is not None:
            self.hand = subprocess.Popen(
                [sys.executable, "-c", HAND],
                cwd=ROOT,
                env=self.environment | {"STACKBE_ROLE": "web"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self.hand.stdin is not None
        assert self.hand.stdout is not None
        self.hand.stdin.write(f"{json.dumps(words)}\n")
        self.hand.stdin.flush()
        said = self.hand.stdout.readline()
        if not said:
            raise AssertionError(f"{' '.join(words)} failed; its error is on stderr")
        return str(json.loads(said))

    def new_tenant(self) -> dict[str, Any]:
        """Make a tenant with an app, a connected sandbox account and keys."""
        found: dict[str, Any] = json.loads(self.ask("new_tenant", "--json").splitlines()[-1])
        return found

    def log(self, name: str) -> str:
        """Return what a process wrote."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    @staticmethod
    def _answers(url: str) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as reply:  # our own loopback URL
                return bool(reply.status == 200)  # OK
        except (urllib.error.URLError, OSError):
            return False


def make(folder: Path, database: str) -> Stack:
    """Prepare a copy on free ports and a database of its own; nothing is started yet."""
    databases.create(database)
    return on(folder, {variable: login(role, database) for variable, role in DATABASE_URLS.items()})


def on(folder: Path, urls: dict[str, str]) -> Stack:
    """Prepare a copy on free ports and a database whose URLs are given; nothing is started yet."""
    web, sandbox = f"http://localhost:{free_port()}", f"http://127.0.0.1:{free_port()}"
    environment = os.environ | {
        "STACKBE_ENV": "development",
        "DJANGO_SETTINGS_MODULE": "stackbe.settings",
        "STACKBE_HOME": str(folder),
        "BASE_URL": web,
        **urls,
        "STRIPE_API_BASE": sandbox,
        "STRIPE_CONNECT_BASE": sandbox,
        "LOG_LEVEL": "INFO",
        # The demo is played many times a minute from one address, its refused calls among them.
        "LIMIT_FAILED_CREDENTIALS_PER_MINUTE": "1000",
        "LIMIT_AUTH_PER_MINUTE": "1000",
        "LIMIT_SIGNUP_PER_HOUR": "1000",
        "LIMIT_PAGE_PER_MINUTE": "10000",
        "LIMIT_SIGN_IN_MAIL_PER_15_MINUTES": "1000",
        "PYTHONWARNINGS": "ignore",
    }
    return Stack(folder, dict(environment), web, sandbox)
