"""What the web server hands over as a body, made what Django expects of one.

Django reads as many bytes as Content-Length names, so a chunked body (RFC 9112, section 7.1) would look
empty to it, and its fields unsent. And a body that nobody reads makes the server end the connection, which
a client that keeps it open learns from its next request: so what was refused for its size is read to its end.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

from stackbe.kernel.wire import BODY_BYTES

PIECE_BYTES = 64 * 1024
MOST_DISCARDED_BYTES = 4 * 1024 * 1024

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class WholeBodies:
    """Gives each chunked body a length, and reads off what the application leaves unread."""

    def __init__(self, application: WsgiApp) -> None:
        """Take the application that is served."""
        self.application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        stream = environ["wsgi.input"]
        if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            body = stream.read(BODY_BYTES + 1)
            environ["CONTENT_LENGTH"] = str(len(body))
            environ["wsgi.input"] = io.BytesIO(body)
        elif not _is_large(environ):
            return self.application(environ, start_response)
        answer = self.application(environ, start_response)
        _discard(stream)
        return answer


def _is_large(environ: dict[str, Any]) -> bool:
    length = environ.get("CONTENT_LENGTH") or "0"
    return length.isdigit() and BODY_BYTES < int(length) <= MOST_DISCARDED_BYTES


def _discard(stream: Any) -> None:
    left = MOST_DISCARDED_BYTES
    while left > 0 and (piece := stream.read(PIECE_BYTES)):
        left -= len(piece)
