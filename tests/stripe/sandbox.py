"""The sandbox as a process, a door that records its webhooks, and the hands that work it."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.test import Client

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 20
SECRET_KEY = "sk_test_ofTheTestsAlone"


@dataclass(frozen=True)
class Delivery:
    """One webhook as the sandbox sent it."""

    path: str
    body: bytes
    signature: str

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)

    def post(self, client: Client | None = None) -> Any:
        """Hand it to our inbox as it came."""
        return (client or Client()).generic(
            "POST", self.path, self.body, "application/json", headers={"Stripe-Signature": self.signature}
        )


class Door(http.server.ThreadingHTTPServer):
    """Where the sandbox delivers to: everything is taken and kept."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[Delivery] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Door

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(Delivery(self.path, body, self.headers.get("Stripe-Signature", "")))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Keep the test's output quiet."""


@dataclass
class Sandbox:
    """A running sandbox."""

    url: str
    door: Door
    process: subprocess.Popen[bytes] = field(repr=False)

    def call(self, method: str, path: str, body: Any = None, account: str | None = None) -> Any:
        """Speak with it over HTTP: its controls in JSON, Stripe's API in forms."""
        headers = {"Authorization": f"Bearer {SECRET_KEY}"}
        if account:
            headers["Stripe-Account"] = account
        data = None
        if path.startswith("/_sandbox"):
            headers["Content-Type"] = "application/json"
            data = json.dumps(body or {}).encode() if method != "GET" else None
        elif body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            data = urllib.parse.urlencode(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def get(self, path: str, account: str) -> Any:
        """Read one of Stripe's routes as a connected account."""
        return self.call("GET", path, account=account)

    def press(self, page_url: str, action: str) -> int:
        """Press a button on a hosted page; redirects are not followed."""
        data = urllib.parse.urlencode({"action": action}).encode()
        request = urllib.request.Request(page_url, data=data, method="POST", headers={"Origin": self.url})
        opener = urllib.request.build_opener(_Stay())
        with opener.open(request, timeout=20) as answer:
            return int(answer.status)

    def authorize(self, account: str) -> str:
        """Connect an account on the OAuth page; return the code that Stripe hands back."""
        asked = {
            "client_id": os.environ["STRIPE_CLIENT_ID"], "response_type": "code", "action": "connect",
            "redirect_uri": f"{self.door.url}/back", "account": account,
        }  # fmt: skip
        data = urllib.parse.urlencode(asked).encode()
        request = urllib.request.Request(f"{self.url}/oauth/authorize", data=data, method="POST")
        with urllib.request.build_opener(_Stay()).open(request, timeout=20) as answer:
            back = urllib.parse.urlsplit(answer.headers["Location"])
        return urllib.parse.parse_qs(back.query)["code"][0]

    def pay(self, page_url: str) -> None:
        """Pay on a checkout page."""
        assert self.press(page_url, "pay") == 303

    def fault(self, kind: str, **more: Any) -> None:
        """Make something go wrong from now on."""
        self.call("POST", "/_sandbox/faults", {"kind": kind, **more})

    def heal(self) -> None:
        """End all faults."""
        self.call("DELETE", "/_sandbox/faults")

    def deliveries(self, account: str, *types: str) -> list[Delivery]:
        """Wait until nothing is left to deliver, then return what came for an account, oldest first."""
        deadline = time.monotonic() + 20
        while self.call("GET", "/_sandbox/health")["pendingDeliveries"]:
            assert time.monotonic() < deadline, "the sandbox does not deliver"
            time.sleep(0.02)
        return [
            each
            for each in list(self.door.received)
            if each.event.get("account") == account and (not types or each.event["type"] in types)
        ]


class _Stay(urllib.request.HTTPRedirectHandler):
    """Takes a redirect as the answer."""

    def http_error_303(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.status = code
        return fp


def start(port: int, state: Path, *, cardlike: bool = False) -> Sandbox:
    """Start a sandbox whose webhooks come to a door of ours."""
    door = Door()
    threading.Thread(target=door.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_")}
    environment |= {
        "STRIPE_SECRET_KEY": SECRET_KEY,
        "STRIPE_API_BASE": url,
        "STRIPE_CONNECT_BASE": url,
        "BASE_URL": door.url,
        "STACKBE_SANDBOX_CARDLIKE": "1" if cardlike else "",
    }
    command = [sys.executable, "-m", "billing.stripe.sandbox", "--port", str(port), "--state", str(state)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    sandbox = Sandbox(url, door, process)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            sandbox.call("GET", "/_sandbox/health")
            return sandbox
        except OSError:
            assert process.poll() is None, "the sandbox did not start"
            assert time.monotonic() < deadline, "the sandbox does not answer"
            time.sleep(0.05)


def stop(sandbox: Sandbox) -> None:
    """End the process and the door."""
    sandbox.process.terminate()
    sandbox.process.wait(20)
    sandbox.door.shutdown()
    sandbox.door.server_close()
