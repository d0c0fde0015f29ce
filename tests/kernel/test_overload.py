"""More is asked than can be answered: the rest is refused quickly."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import psycopg
import pytest

from stackbe.kernel.overload import Prompt, waited


def served(path="/v1/me", longest=2.0):
    """Serve one request as a worker's thread would; return its status line, headers and body."""
    told = []

    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"answered"]

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path}
    body = Prompt(application, longest)(environ, lambda status, headers: told.extend((status, dict(headers))))
    return told[0], told[1], b"".join(body)


@pytest.fixture(autouse=True)
def on_time():
    yield
    waited(0)


def test_what_waited_too_long_is_refused_and_told_when_to_come_again():
    waited(2.1)

    status, headers, body = served()

    told = json.loads(body)
    assert (status, told["code"], headers["Retry-After"]) == ("503 Service Unavailable", "SERVICE_UNAVAILABLE", "1")
    assert told["requestId"] == headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("seconds", "asked"),
    [(1.9, {}), (60, {"path": "/healthz"}), (60, {"path": "/readyz"}), (60, {"longest": 0.0})],
)
def test_what_is_in_time_and_who_watches_is_answered(seconds, asked):
    waited(seconds)

    assert served(**asked)[2] == b"answered"


@pytest.mark.slow
@pytest.mark.xdist_group("live")
def test_while_the_database_is_held_up_all_are_refused_in_time_and_then_answered(live_stack):
    key = live_stack.new_tenant()["apiKey"]

    def ask(_number):
        request = urllib.request.Request(
            f"{live_stack.base_url}/v1/features", headers={"Authorization": f"Bearer {key}"}
        )
        began = monotonic()
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, None, monotonic() - began
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers["Retry-After"], monotonic() - began

    with psycopg.connect(live_stack.environment["DATABASE_URL"]) as holder:
        holder.execute("lock table billing_feature in access exclusive mode")
        with ThreadPoolExecutor(40) as pool:
            held_up = list(pool.map(ask, range(40)))
    assert {(status, retry) for status, retry, _ in held_up} == {(503, "1")}
    # Those that had a thread waited for the lock's five seconds, the others for a thread and not for long.
    assert max(seconds for _, _, seconds in held_up) < 9
    assert ask(0)[0] == 200
