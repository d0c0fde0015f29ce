"""A receiver on loopback that records what arrives and answers as it is told."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Call:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        """Return the event's id."""
        return self.headers["webhook-id"]


@dataclass(frozen=True)
class Reply:
    """What to answer; `hang` waits for that many seconds or until the receiver closes."""

    status: int = 200
    body: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    hang: float = 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, *_: object) -> None:
        """Keep quiet of connections that a killed dispatcher cuts."""


class Receiver:
    """A server for the length of a `with` block."""

    def __init__(self, answer: Callable[[Call], Reply] | None = None, port: int = 0) -> None:
        """Answer 200 to everything unless told otherwise, on a free port unless one is named."""
        self.answer = answer or (lambda _: Reply())
        self.calls: list[Call] = []
        self.connections = 0
        self._arrived = threading.Condition()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), self._handler())
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        """Return where to send to."""
        return f"http://127.0.0.1:{self.port}/hooks"

    def __enter__(self) -> Self:
        """Start listening."""
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and let hanging requests go."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait_for(self, enough: Callable[[list[Call]], bool], seconds: float = 60) -> list[Call]:
        """Return the calls once there are enough of them, or fail."""
        with self._arrived:
            done = self._arrived.wait_for(lambda: enough(self.calls), seconds)
            assert done, f"after {seconds} s there were {len(self.calls)} calls"
            return list(self.calls)

    def _record(self, call: Call) -> None:
        with self._arrived:
            self.calls.append(call)
            self._arrived.notify_all()

    def _handler(receiver: Self) -> type[BaseHTTPRequestHandler]:  # noqa: N805  # the handler has a self too
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                receiver.connections += 1
                super().setup()

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                call = Call(self.path, headers, self.rfile.read(length), time.time())
                reply = receiver.answer(call)
                receiver._record(call)
                if reply.hang:
                    receiver._closing.wait(reply.hang)
                try:
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(reply.body)))
                    self.end_headers()
                    self.wfile.write(reply.body)
                except OSError:
                    self.close_connection = True

            def do_GET(self) -> None:
                receiver._record(Call(self.path, {}, b"", time.time()))
                self.send_error(405)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        return Handler
