"""The app's door: a web server on loopback that takes webhooks and verifies each with a public library."""

from __future__ import annotations

import http.server
import json
import threading
import time
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


class Receiver:
    """Listens on a free port; keeps what was verified and counts what was not."""

    def __init__(self) -> None:
        self.secret = ""
        self.events: list[dict[str, Any]] = []
        self.forged = 0
        receiver = self

        class Door(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self.send_response(receiver.take(body, dict(self.headers)))
                self.end_headers()

            def log_message(self, *words: object) -> None:
                """Keep quiet: the demo says what came."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Return where to send."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hooks"

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        """Verify one delivery and return the status to answer."""
        try:
            Webhook(self.secret).verify(body.decode(), {k.lower(): v for k, v in headers.items()})
        except WebhookVerificationError:
            self.forged += 1
            return 401
        event = json.loads(body)
        if all(event["id"] != seen["id"] for seen in self.events):
            self.events.append(event)
        return 204

    def wait_for(self, kind: str, seconds: float = 20) -> dict[str, Any]:
        """Return the first event of a type, or fail after some seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for event in self.events:
                if event["type"] == kind:
                    return event
            time.sleep(0.1)
        raise LookupError(f"no {kind} within {seconds:.0f} s; came: {[e['type'] for e in self.events]}")

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
