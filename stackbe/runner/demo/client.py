"""A client of the public API that shows what it sends and what it gets, and stops at the first wrong answer."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

TIMEOUT_SECONDS = 30
LONGEST_LINE = 200


class WrongAnswer(Exception):
    """What came back is not what the documentation promises."""


class Story:
    """Prints the steps as they happen."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.number = 0
        self.quiet = quiet

    def step(self, title: str) -> None:
        """Begin a step."""
        self.number += 1
        self.say(f"\n{self.number:2}. {title}")

    def say(self, line: str) -> None:
        """Print a line, cut where it is long."""
        if not self.quiet:
            sys.stdout.write((line if len(line) < LONGEST_LINE else line[: LONGEST_LINE - 1] + "…") + "\n")
            sys.stdout.flush()

    def expect(self, holds: object, what: str) -> None:
        """Go on if it holds, else stop."""
        if not holds:
            raise WrongAnswer(what)
        self.say(f"      ✓ {what}")


class Api:
    """Calls to `/v1` with one credential."""

    def __init__(self, base_url: str, story: Story, token: str = "", **headers: str) -> None:
        self.base_url, self.story, self.token = base_url, story, token
        self.headers = headers

    def call(self, method: str, path: str, body: Any = None, *, status: int = 200, **headers: str) -> Any:
        """Send a call, show it, and return the answer's JSON. Another status than expected stops the demo."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base_url}/v1{path}", data=data, method=method)  # noqa: S310 - http(s) URL of the servers under demonstration
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        for name, value in {**self.headers, **headers}.items():
            request.add_header(name.replace("_", "-"), value)
        self.story.say(f"      → {method} /v1{path}" + (f"  {json.dumps(body)}" if body is not None else ""))
        try:
            reply: Any = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310 - likewise
        except urllib.error.HTTPError as refused:
            reply = refused
        text = reply.read().decode()
        self.story.say(f"      ← {reply.status} {text}")
        if reply.status != status:
            raise WrongAnswer(f"{method} /v1{path} answered {reply.status}, expected {status}")
        return json.loads(text) if text else None

    def get(self, path: str, **more: Any) -> Any:
        """GET."""
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        """POST."""
        return self.call("POST", path, {} if body is None else body, **more)


class SandboxAccount:
    """A connected account on the Stripe sandbox, as its owner speaks with it. `url` is the sandbox's."""

    def __init__(self, account: str) -> None:
        self.account, self.url, self.key = account, "", ""

    def call(self, method: str, path: str, body: Any) -> Any:
        """Send a call: a control of the sandbox in JSON, one of Stripe's routes as a form with the owner's key."""
        if path.startswith("/_sandbox/"):
            return self._send(method, path, json.dumps(body or {}).encode(), "application/json")
        if not self.key:
            self.key = self.call("POST", "/_sandbox/keys", {"account": self.account})["secretKey"]
        data = urllib.parse.urlencode(body).encode() if body else None
        return self._send(method, path, data, "application/x-www-form-urlencoded")

    def _send(self, method: str, path: str, data: bytes | None, content_type: str) -> Any:
        headers = {"Content-Type": content_type, "Authorization": f"Bearer {self.key}"}
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method, headers=headers)  # noqa: S310 - the sandbox that the checkout page is on
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310 - likewise
            return json.load(reply)


def until(what: str, ask: Callable[[], Any], seconds: float = 20) -> Any:
    """Ask until the answer is truthy; stop after some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.2)
    raise WrongAnswer(f"{what}: not within {seconds:.0f} s")


class Inbox:
    """The development inbox."""

    def __init__(self, url: str) -> None:
        self.url = url

    def wait_for(self, address: str, *, newer_than: int = 0) -> dict[str, Any]:
        """Return the newest mail to an address, once there are more than `newer_than`."""
        found = until(f"mail to {address}", lambda: self._more(address, newer_than))
        newest: dict[str, Any] = found[0]
        return newest

    def count(self, address: str) -> int:
        """Return how many mails have come."""
        return len(self._list(address))

    def _more(self, address: str, newer_than: int) -> list[dict[str, Any]]:
        mails = self._list(address)
        return mails if len(mails) > newer_than else []

    def _list(self, address: str) -> list[dict[str, Any]]:
        url = f"{self.url}?format=json&to={urllib.parse.quote(address)}"
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310 - likewise
            found = json.load(reply)
        mails: list[dict[str, Any]] = found if isinstance(found, list) else found["data"]
        return mails
