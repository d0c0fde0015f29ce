"""The main job on a running copy whose parts are killed under it: nothing is lost, nothing happens twice."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from stackbe.runner.demo import main
from tests.faults.acting import Listener, Saboteur, perform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stack import Stack

pytestmark = pytest.mark.xdist_group("live")
TIMEOUT = 10  # of our calls to Stripe


def test_the_demo_passes_on_a_running_copy(live_stack: Stack, patient: None):
    assert main(["--url", live_stack.base_url, "--quiet"]) == 0


def test_worker_and_dispatcher_die_together_where_both_have_work(live_stack: Stack, patient: None):
    story = Saboteur(live_stack, ("worker", "dispatcher"), {5, 6, 8, 10})

    run = perform(live_stack, story)

    assert story.kills >= 6
    run.assert_nothing_twice()


@pytest.mark.slow
def test_the_worker_dies_in_every_step_and_nothing_is_lost_or_doubled(live_stack: Stack, patient: None):
    story = Saboteur(live_stack, ("worker",), set(range(1, 13)))

    run = perform(live_stack, story)

    assert story.kills >= 10
    run.assert_nothing_twice()


@pytest.mark.slow
def test_so_may_the_dispatcher(live_stack: Stack, patient: None):
    story = Saboteur(live_stack, ("dispatcher",), {5, 6, 7, 8, 10})

    run = perform(live_stack, story)

    assert story.kills >= 4
    run.assert_nothing_twice()


class Shop:
    """A tenant with something to sell, made that minute."""

    def __init__(self, stack: Stack) -> None:
        self.base_url = stack.base_url
        self.key = stack.new_tenant()["apiKey"]
        _, product = self.call("POST", "/products", {"name": "Orbit"})
        plan = {
            "name": "Pro", "productId": product["id"], "priceCents": 2900, "currency": "usd", "interval": "month",
        }  # fmt: skip
        _, self.plan = self.call("POST", "/plans", plan)
        _, self.customer = self.call("POST", "/customers", {"email": "grace@example.com"})

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Return the status and the JSON of an answer, whatever it is."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base_url}/v1{path}", data=data, method=method)
        request.add_header("Authorization", f"Bearer {self.key}")
        request.add_header("Content-Type", "application/json")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            reply: Any = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as refused:
            reply = refused
        return reply.status, json.loads(reply.read() or b"null")

    def check_out(self, key: str) -> tuple[int, Any]:
        """Ask for a checkout under an Idempotency-Key."""
        asked = {
            "customerId": self.customer["id"],
            "planId": self.plan["id"],
            "successUrl": "http://localhost:3000/welcome",
            "cancelUrl": "http://localhost:3000/pricing",
        }
        return self.call("POST", "/checkout/session", asked, Idempotency_Key=key)

    def assert_unavailable(self, key: str) -> None:
        """Assert that a checkout answers 503 in time, and that nothing is half done."""
        began = time.monotonic()
        status, body = self.check_out(key)
        assert (status, body["code"]) == (503, "STRIPE_UNAVAILABLE"), body
        assert time.monotonic() - began < TIMEOUT * 2
        assert self.call("GET", f"/subscriptions?customerId={self.customer['id']}")[1]["data"] == []

    def assert_succeeds(self, key: str) -> None:
        """Assert that the same request goes through now, and once."""
        status, session = self.check_out(key)
        assert status == 201, session
        assert self.check_out(key) == (201, session)


@pytest.fixture
def shop(live_stack: Stack) -> Shop:
    """Return a shop on the running copy."""
    return Shop(live_stack)


def test_with_stripe_down_a_checkout_answers_503_and_the_same_request_succeeds_later(live_stack: Stack, shop: Shop):
    live_stack.kill("sandbox")
    try:
        shop.assert_unavailable("while-down")
        assert shop.call("GET", "/me")[0] == 200
    finally:
        live_stack.start("sandbox")
        live_stack.wait()

    shop.assert_succeeds("while-down")


@pytest.fixture
def hanging(live_stack: Stack) -> Iterator[Callable[[], None]]:
    """Let the sandbox hang on checkouts until the returned function is called."""

    def control(method: str, body: dict[str, Any]) -> None:
        url = f"{live_stack.sandbox_url}/_sandbox/faults"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        request.method = method
        with urllib.request.urlopen(request, timeout=10) as reply:
            assert reply.status == 200

    control("POST", {"kind": "api_hang", "path": "/v1/checkout", "seconds": 60})
    yield lambda: control("DELETE", {})
    control("DELETE", {})


def test_with_stripe_hanging_a_checkout_gives_up_in_time_and_holds_nobody_up(shop: Shop, hanging: Callable[[], None]):
    asking = threading.Thread(target=shop.assert_unavailable, args=["while-hanging"])
    asking.start()
    assert shop.call("GET", f"/customers/{shop.customer['id']}")[0] == 200
    asking.join()

    hanging()
    shop.assert_succeeds("while-hanging")


def end_connections(stack: Stack) -> int:
    """End every connection of the copy, as a restart of PostgreSQL does; return how many there were."""
    statement = (
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where datname = current_database() and usename = current_user and pid <> pg_backend_pid()"
    )
    ended = 0
    for role in ("DATABASE_URL", "DATABASE_WORKER_URL"):  # a role may end its own
        with psycopg.connect(stack.environment[role], autocommit=True) as server:
            ended += sum(count for (count,) in server.execute(statement))
            # A goodbye takes its moment: a request that comes before it would meet the dying connection.
            time.sleep(0.2)
    return ended


@pytest.fixture
def supervised(live_stack: Stack) -> Iterator[None]:
    """Start again what ends, as `up` and every process manager do: the worker leaves when its database goes."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            for name, process in list(live_stack.processes.items()):
                if process.poll() is not None:
                    live_stack.start(name)

    watching = threading.Thread(target=watch)
    watching.start()
    yield
    over.set()
    watching.join()


def test_when_postgresql_drops_every_connection_all_processes_recover(
    live_stack: Stack, shop: Shop, supervised: None, patient: None
):
    for _ in range(3):
        assert shop.call("GET", "/me")[0] == 200
        # At least the web's own; the worker may just be on its way back from the drop before.
        assert end_connections(live_stack) >= 1
        answers = [shop.call("GET", "/me")[0] for _ in range(12)]
        assert answers == [200] * 12  # the dead connection is noticed before the request uses it

    perform(live_stack, Listener()).assert_nothing_twice()
