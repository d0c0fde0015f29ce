"""Revocation bites on the very next request, on every web process, however warm its caches."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cast import found_company
from tests.stack import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 40


class Server:
    """One gunicorn with one process, on the test's database."""

    def __init__(self) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "gunicorn", "-c", "stackbe/gunicorn.py", "stackbe.wsgi:application"]
        environment = os.environ | {
            "WEB_BIND": f"127.0.0.1:{self.port}",
            "WEB_CONCURRENCY": "1",
            "DJANGO_SETTINGS_MODULE": "stackbe.settings",
            "PYTHONWARNINGS": "ignore",
        }
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def call(self, key, method="GET", path="/v1/me", body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body) if body else None, headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read() or b"null")
        finally:
            connection.close()

    def wait(self, key):
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self.call(key)
            except ConnectionError:
                assert time.monotonic() < deadline, "gunicorn did not start"
                assert self.process.poll() is None, "gunicorn gave up"
                time.sleep(0.05)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def company(committed):
    """A tenant that other processes see."""
    return found_company("Acme")


@pytest.fixture
def servers(company):
    """Two web processes that have both served this tenant."""
    running = [Server(), Server()]
    try:
        for server in running:
            assert server.wait(company.key)[0] == 200
        yield running
    finally:
        for server in running:
            server.stop()


def test_a_revoked_rotated_or_archived_key_is_refused_by_the_other_process_at_once(company, servers):
    one, other = servers
    keys = f"/v1/apps/{company.app}/api-keys"

    for _ in range(5):
        made = one.call(company.key, "POST", keys, {"name": "x"})[1]
        assert [s.call(made["key"])[0] for s in (one, other) * 3] == [200] * 6

        assert one.call(company.key, "DELETE", f"{keys}/{made['id']}")[0] == 204
        assert other.call(made["key"])[0] == 401
        assert one.call(made["key"])[0] == 401

    made = one.call(company.key, "POST", keys, {"name": "x"})[1]
    assert other.call(made["key"])[0] == 200
    successor = one.call(company.key, "POST", f"{keys}/{made['id']}/rotate")[1]
    assert other.call(made["key"])[0] == 401
    assert other.call(successor["key"])[0] == 200

    customer = one.call(company.key, "POST", "/v1/customers", {"email": "joe@shop.example"})[1]
    hot = f"/v1/entitlements/check/anything?customerId={customer['id']}"
    made = one.call(company.key, "POST", keys, {"name": "x"})[1]
    assert [s.call(made["key"], path=hot)[0] for s in (one, other) * 3] == [200] * 6
    assert one.call(company.key, "DELETE", f"{keys}/{made['id']}")[0] == 204
    assert [s.call(made["key"], path=hot)[0] for s in (other, one)] == [401, 401]

    assert one.call(company.key, "DELETE", f"/v1/apps/{company.app}")[0] == 204
    assert other.call(successor["key"])[0] == 401
    assert one.call(successor["key"])[0] == 401
