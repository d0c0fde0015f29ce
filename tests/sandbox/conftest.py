"""A sandbox of the tests' own, the official SDK in front of it, and a receiver for its webhooks."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe

from billing.stripe.sandbox.forms import decode
from tests.sandbox import openapi

ROOT = Path(__file__).resolve().parents[2]
PLATFORM_KEY = "sk_test_platformOfTheSandboxTests"
CLIENT_ID = "ca_sandboxTests"
VERSION = "2026-05-27.dahlia"
PLATFORM_SECRET, CONNECT_SECRET = "whsec_platformOfSandboxTests", "whsec_connectOfSandboxTests"
PLATFORM_PATH, CONNECT_PATH = "/webhooks/stripe/11111111-aaaa", "/webhooks/stripe/22222222-bbbb"
START_SECONDS = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Received:
    """One webhook as it arrived."""

    path: str
    body: bytes
    signature: str

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)


class Receiver(ThreadingHTTPServer):
    """Stands where the product's webhook endpoints would, and keeps what comes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ReceiverHandler)
        self.inbox: queue.Queue[Received] = queue.Queue()
        self.status = 200
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def of(self, account: str, *types: str, within: float = 10) -> list[Received]:
        """The next webhooks of an account, one for each type, in whatever order they come."""
        wanted, found, deadline = list(types), [], time.monotonic() + within
        while wanted:
            item = self.inbox.get(timeout=max(deadline - time.monotonic(), 0.01))
            if item.event.get("account") == account and item.event["type"] in wanted:
                wanted.remove(item.event["type"])
                found.append(item)
        return found

    def drain(self, account: str) -> list[Received]:
        """What is there now."""
        found = []
        while not self.inbox.empty():
            found.append(self.inbox.get())
        return [item for item in found if item.event.get("account") == account]


class ReceiverHandler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status == 200:
            self.server.inbox.put(Received(self.path, body, self.headers["Stripe-Signature"]))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class Page:
    """What a browser met."""

    status: int
    text: str
    location: str | None


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None


BROWSER = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))


@dataclass
class Sandbox:
    """A sandbox process."""

    state: Path
    receiver: Receiver
    port: int = field(default_factory=free_port)
    extra: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "STRIPE_SECRET_KEY": PLATFORM_KEY,
            "STRIPE_CLIENT_ID": CLIENT_ID,
            "STRIPE_API_VERSION": VERSION,
            "STRIPE_PLATFORM_WEBHOOK_SECRETS": f"{PLATFORM_SECRET},whsec_older",
            "STRIPE_CONNECT_WEBHOOK_SECRETS": CONNECT_SECRET,
            "STRIPE_PLATFORM_ENDPOINT_ID": PLATFORM_PATH.rpartition("/")[2],
            "STRIPE_CONNECT_ENDPOINT_ID": CONNECT_PATH.rpartition("/")[2],
            "BASE_URL": self.receiver.url,
            **self.extra,
        }

    def start(self) -> None:
        command = [sys.executable, "-m", "billing.stripe.sandbox", "--port", str(self.port), "--state", str(self.state)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                self.control("GET", "health")
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the sandbox did not start")

    def end(self, number: int = signal.SIGTERM) -> int:
        process, self.process = self.process, None
        process.send_signal(number)
        code = process.wait(15)
        process.stdout.close()
        return code

    def control(self, method: str, what: str, **given: Any) -> Any:
        body = json.dumps(given).encode() if method != "GET" else None
        query = "?" + urllib.parse.urlencode(given) if given and method == "GET" else ""
        request = urllib.request.Request(f"{self.url}/_sandbox/{what}{query}", data=body, method=method)
        with BROWSER.open(request, timeout=30) as response:
            return json.load(response)

    def browse(self, url: str, **form: str) -> Page:
        """Look at a page, or press a button on it."""
        data = urllib.parse.urlencode(form).encode() if form else None
        try:
            with BROWSER.open(urllib.request.Request(url, data=data), timeout=30) as response:
                return Page(response.status, response.read().decode(), None)
        except urllib.error.HTTPError as answer:
            with answer:
                return Page(answer.code, answer.read().decode(), answer.headers.get("Location"))

    def client(self, key: str = PLATFORM_KEY, **rest: Any) -> stripe.StripeClient:
        return stripe.StripeClient(
            key,
            base_addresses={"api": self.url, "connect": self.url},
            stripe_version=VERSION,
            http_client=rest.pop("http_client", None) or CheckedClient(timeout=30),
            max_network_retries=0,
            **rest,
        )


class CheckedClient(stripe.RequestsClient):
    """The SDK's HTTP client, which holds each request and each answer against Stripe's own document."""

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        parts = urlsplit(url)
        body, status, answered = super().request(method, url, headers, post_data)
        if parts.path.startswith("/v1/") and status == 200:
            given = decode(parts.query, post_data.decode() if isinstance(post_data, bytes) else post_data or "")
            faults = openapi.wrong_request(method, parts.path, given)
            faults += openapi.wrong(openapi.answer_schema(method, parts.path), json.loads(body), parts.path)
            assert not faults, faults
        return body, status, answered


@pytest.fixture(scope="session")
def receiver():
    server = Receiver()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def sandbox(receiver, tmp_path_factory):
    server = Sandbox(tmp_path_factory.mktemp("sandbox") / "state.sqlite", receiver)
    server.start()
    yield server
    server.end()


@pytest.fixture
def other_sandbox(receiver, tmp_path):
    """A sandbox that a test may kill."""
    server = Sandbox(tmp_path / "state.sqlite", receiver)
    server.start()
    yield server
    if server.process:
        server.end()


@pytest.fixture
def account(sandbox):
    """A connected account of this test alone."""
    return sandbox.control("POST", "accounts", name="Acme")["id"]


@pytest.fixture
def rival(sandbox):
    """Another tenant's connected account."""
    return sandbox.control("POST", "accounts", name="Globex")["id"]


@dataclass
class Shop:
    """The SDK bound to one connected account, with the few things that nearly every test needs."""

    sandbox: Sandbox
    account: str
    client: stripe.StripeClient

    @property
    def v1(self) -> Any:
        return self.client.v1

    @property
    def at(self) -> dict[str, str]:
        return {"stripe_account": self.account}

    def price(self, amount: int = 2900, *, product: str | None = None, **given: Any) -> Any:
        product = product or self.v1.products.create({"name": "Pro"}, self.at).id
        asked = {"product": product, "currency": "usd", "recurring": {"interval": "month"}} | given
        if asked.get("billing_scheme") != "tiered":
            asked["unit_amount"] = amount
        return self.v1.prices.create({name: value for name, value in asked.items() if value is not None}, self.at)

    def customer(self, **given: Any) -> Any:
        return self.v1.customers.create({"email": "ada@example.com"} | given, self.at)

    def payer(self, method: str = "pm_card_visa") -> Any:
        return self.customer(payment_method=method)

    def subscription(self, price: Any = None, customer: Any = None, **given: Any) -> Any:
        asked = {
            "customer": (customer or self.payer()).id,
            "items": [{"price": (price or self.price()).id, "quantity": given.pop("quantity", 1)}],
        }
        return self.v1.subscriptions.create(asked | given, self.at)

    def session(self, price: Any = None, **given: Any) -> Any:
        asked = {
            "mode": "subscription",
            "line_items": [{"price": (price or self.price()).id, "quantity": 1}],
            "success_url": f"{self.sandbox.receiver.url}/done?session={{CHECKOUT_SESSION_ID}}",
            "cancel_url": f"{self.sandbox.receiver.url}/back",
        }
        return self.v1.checkout.sessions.create(asked | given, self.at)

    def press(self, session: Any, action: str, **form: str) -> Page:
        return self.sandbox.browse(session.url, action=action, **form)

    def advance(self, by: str | int) -> None:
        self.sandbox.control("POST", "clock", account=self.account, advance=by)

    def pays(self, customer: str, payment: str) -> None:
        self.sandbox.control("POST", "payment", account=self.account, customer=customer, payment=payment)

    def reload(self, subscription: Any) -> Any:
        return self.v1.subscriptions.retrieve(subscription.id, None, self.at)

    def invoices(self, **where: Any) -> list[Any]:
        """Oldest first."""
        return list(reversed(self.v1.invoices.list(where, self.at).data))

    def events(self, *prefixes: str) -> list[str]:
        """Types of the account's events, oldest first."""
        found = reversed(self.v1.events.list({"limit": 100}, self.at).data)
        return [event.type for event in found if not prefixes or event.type.startswith(prefixes)]


@pytest.fixture
def shop(sandbox, account):
    return Shop(sandbox, account, sandbox.client())


@pytest.fixture(autouse=True)
def no_fault_left_behind(request):
    yield
    if "sandbox" in request.fixturenames:
        request.getfixturevalue("sandbox").control("DELETE", "faults")
