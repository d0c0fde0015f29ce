"""What comes to a server that has more to do than it can is refused quickly, where it would be answered slowly.

A caller who has waited for seconds has mostly given up, and is in the queue again. So a request whose turn comes
too late is not worked on: it answers 503 with `Retry-After` at the cost of nearly nothing, and the queue drains.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from django.conf import settings

from stackbe.kernel import http, logs
from stackbe.kernel.errors import ServiceUnavailable
from stackbe.kernel.failures import error_body
from stackbe.kernel.headers import standing
from stackbe.kernel.wire import encode_json

if TYPE_CHECKING:
    from stackbe.kernel.bodies import WsgiApp

# Whoever watches the processes must not take a busy one for a dead one.
NEVER_REFUSED = frozenset({"/healthz", "/readyz", "/metrics"})
LATE = "More is asked of the server than it can answer just now. Nothing was changed; try again shortly."
RETRY_AFTER_SECONDS = 1
_turn = threading.local()


def waited(seconds: float) -> None:
    """Note for how long the request that this thread takes up now had waited for it."""
    _turn.waited = seconds


class Prompt:
    """Refuses requests that waited longer than so many seconds for a thread; 0 refuses none."""

    def __init__(self, application: WsgiApp, longest: float) -> None:
        """Take what answers the others."""
        self.application, self.longest = application, longest

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        seconds = getattr(_turn, "waited", 0.0)
        if not 0 < self.longest < seconds or environ["PATH_INFO"] in NEVER_REFUSED:
            return self.application(environ, start_response)
        identifier = http.request_id_of(environ)
        token = http.request_id.set(identifier)
        try:
            body = encode_json(error_body(ServiceUnavailable(LATE)))
            if settings.LOG_REQUESTS:
                logs.request_line(environ["REQUEST_METHOD"], "", ServiceUnavailable.status, round(seconds * 1000, 1))
        finally:
            http.request_id.reset(token)
        headers = {
            **standing(),
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Retry-After": str(RETRY_AFTER_SECONDS),
            "X-Request-Id": identifier,
            "Vary": "origin",
        }
        start_response("503 Service Unavailable", list(headers.items()))
        return [body]
