"""The command-line client against a running copy: events come to this machine, none is lost, the catalogue travels."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from standardwebhooks.webhooks import Webhook

from tests.databases import ROOT
from tests.stack import free_port
from tests.webhooks.receiver import Receiver, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack import Stack

pytestmark = pytest.mark.xdist_group("live")
CLIENT = ROOT / "examples/cli/stackbe_cli.py"


class Client:
    """The client of one developer, with a home of their own."""

    def __init__(self, home: Path, url: str, key: str) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "STACKBE_"))}
        self.environment = own | {"XDG_STATE_HOME": str(home), "STACKBE_URL": url, "STACKBE_KEY": key}
        self.running: list[subprocess.Popen[str]] = []
        self.home = home

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run one command and return what it printed, or the sentence of a refusal where one is expected."""
        done = subprocess.run(
            [sys.executable, str(CLIENT), *words],
            env=self.environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return (done.stderr if code else done.stdout).strip()

    def listen(self, address: str, *words: str) -> subprocess.Popen[str]:
        """Start listening; return once it does."""
        command = [sys.executable, str(CLIENT), "listen", "--forward-to", address, "--every", "0.1", *words]
        process = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True)
        self.running.append(process)
        assert process.stdout is not None
        first = process.stdout.readline()
        assert "events of" in first, first
        return process

    @staticmethod
    def stop(process: subprocess.Popen[str], how: int = signal.SIGTERM) -> int:
        process.send_signal(how)
        process.communicate(timeout=20)
        return process.returncode


@pytest.fixture
def client(live_stack: Stack, tmp_path: Path) -> Iterator[Client]:
    found = Client(tmp_path, live_stack.base_url, live_stack.new_tenant()["apiKey"])
    yield found
    for process in found.running:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_it_is_one_file_with_nothing_but_the_standard_library():
    tree = ast.parse(CLIENT.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_events_arrive_signed_within_a_second_or_so_and_go_on_after_a_restart(client: Client):
    before = client("trigger", "customer.created")
    with Receiver() as receiver:
        secret = client("listen", "--forward-to", receiver.url, "--print-secret")
        listener = client.listen(receiver.url)
        began = time.monotonic()
        first = client("trigger", "payment.succeeded")
        [call] = receiver.wait_for(bool)
        took = time.monotonic() - began
        assert client.stop(listener) == 0
        missed = [client("trigger", "customer.updated") for _ in range(2)]
        killed = client.listen(receiver.url)
        receiver.wait_for(lambda calls: len(calls) == 3)
        client.stop(killed, signal.SIGKILL)
        last = client("trigger", "customer.updated")
        client.listen(receiver.url)
        calls = receiver.wait_for(lambda calls: calls[-1].id == last)

    assert took < 10  # a second on a quiet machine; starting `trigger` itself is in it
    assert call.id == first
    assert list(dict.fromkeys(each.id for each in calls)) == [first, *missed, last]
    assert before not in {each.id for each in calls}
    for each in calls:
        Webhook(secret).verify(each.body, each.headers)
    assert json.loads(call.body)["type"] == "payment.succeeded"


def test_a_server_that_is_not_there_is_waited_for_and_one_that_fails_is_said(client: Client):
    with Receiver() as receiver:
        address = f"127.0.0.1:{receiver.port}/hooks"
    listener = client.listen(address)
    made = client("trigger", "customer.created")
    assert listener.stdout is not None
    assert "verify with whsec_" in listener.stdout.readline()
    assert "waiting:" in listener.stdout.readline()

    with Receiver(lambda _: Reply(500), port=receiver.port) as again:
        again.wait_for(bool)
        line = listener.stdout.readline()
        assert "→ 500" in line
        assert f"resend {made}" in line
        client("resend", made, "--forward-to", address)
        assert [call.id for call in again.wait_for(lambda calls: len(calls) == 2)] == [made, made]


def test_only_some_types_are_brought_where_asked(client: Client):
    with Receiver() as receiver:
        client.listen(receiver.url, "--events", "customer.updated,customer.deleted")
        client("trigger", "customer.created")
        wanted = client("trigger", "customer.updated")
        [call] = receiver.wait_for(bool)

    assert call.id == wanted


def test_the_state_file_is_for_its_owner_alone(client: Client):
    client("listen", "--print-secret")

    [file] = client.home.rglob("*.json")
    assert file.stat().st_mode & 0o077 == 0
    assert client.environment["STACKBE_KEY"] not in file.read_text()


def test_refusals_are_sentences(client: Client):
    assert "customer.exploded" in client("trigger", "customer.exploded", code=1)
    assert "NOT_FOUND" in client("resend", "evt_1", "--forward-to", "localhost:1", code=1)
    client.environment["STACKBE_KEY"] = "sbk_test_nonsense"
    assert "UNAUTHORIZED" in client("trigger", "customer.created", code=1)
    client.environment["STACKBE_KEY"] = ""
    assert "STACKBE_KEY" in client("trigger", "customer.created", code=1)
    client.environment |= {"STACKBE_KEY": "x", "STACKBE_URL": f"http://127.0.0.1:{free_port()}"}
    assert "does not answer" in client("trigger", "customer.created", code=1)


def test_the_catalogue_is_pulled_and_pushed(client: Client, tmp_path: Path):
    file = tmp_path / "catalogue.json"
    client("catalogue", "pull", str(file))
    document = json.loads(file.read_text())
    plan = {"slug": "pro-as-code", "name": "Pro", "priceCents": 2900, "currency": "usd", "product": "as-code"}
    document["products"].append({"slug": "as-code", "name": "Orbit"})
    document["plans"].append(plan)
    file.write_text(json.dumps(document))

    assert json.loads(client("catalogue", "push", str(file), "--dry-run"))["changed"] is True
    assert "--yes" in client("catalogue", "push", str(file), code=1)
    assert "pro-as-code" not in client("catalogue", "pull")
    assert client("catalogue", "push", str(file), "--yes").endswith("applied")
    assert "pro-as-code" in client("catalogue", "pull")
    client("catalogue", "pull", str(file))
    assert json.loads(client("catalogue", "push", str(file), "--dry-run"))["changes"] == []
    plan["product"] = "nothing"
    file.write_text(json.dumps(document))
    assert "Unknown product nothing" in client("catalogue", "push", str(file), "--yes", code=1)
    file.write_text("{")
    assert "cannot be read as JSON" in client("catalogue", "push", str(file), code=1)
