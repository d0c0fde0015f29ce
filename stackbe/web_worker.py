"""gunicorn's threaded worker, which knows how long a request waited for a thread."""

from __future__ import annotations

import os
import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

LONGEST_WAIT_SECONDS = float(os.environ.get("WEB_QUEUE_SECONDS", "2"))


class PromptWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn is untyped
    """Notes for how long a connection with something to read waited, and refuses what waited too long."""

    def load_wsgi(self) -> None:
        """Put the refusal in front of the application, whose settings stand only now."""
        super().load_wsgi()
        from stackbe.kernel.overload import Prompt  # noqa: PLC0415  # it reads settings

        self.wsgi: Any = Prompt(self.wsgi, LONGEST_WAIT_SECONDS)

    def enqueue_req(self, conn: Any) -> None:
        """Let a connection wait for a thread."""
        conn.came_at = time.monotonic()
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Serve what a connection asks, in a thread that is free now."""
        from stackbe.kernel.overload import waited  # noqa: PLC0415  # likewise

        # What its sender takes to send it from now on makes no request late.
        waited(time.monotonic() - conn.came_at)
        return super().handle(conn)
