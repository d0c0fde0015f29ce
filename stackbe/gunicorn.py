"""How the web processes run, everywhere: `gunicorn -c stackbe/gunicorn.py stackbe.wsgi:application`.

`PORT`, `WEB_CONCURRENCY` and `WEB_THREADS` fit it to a machine. Given a certificate it speaks TLS itself, 1.2 or newer;
without one it expects a proxy that does.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

from gunicorn import util
from prometheus_client import multiprocess

bind = os.environ.get("WEB_BIND", f"0.0.0.0:{os.environ.get('PORT', '8000')}").split(",")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# Threads, because a request may wait seconds for Stripe; a few, because each keeps a database connection.
worker_class = "stackbe.web_worker.PromptWorker"
threads = int(os.environ.get("WEB_THREADS", "4"))
timeout = 60
graceful_timeout = 25
keepalive = 75
# The heartbeat file on a disk would stall the workers whenever the disk does.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - where gunicorn's documentation puts it
# The application logs each request, without its secrets.
accesslog = None
errorlog = "-"
loglevel = os.environ.get("GUNICORN_LOG_LEVEL", "warning")
proc_name = "stackbe-web"
# Nobody asks the processes questions through a socket in the home folder; signals and /metrics do.
control_socket_disable = True
# Leaks in C libraries end with the process that has them; the jitter keeps the workers from leaving together.
max_requests = 50_000
max_requests_jitter = 5_000

UNREADABLE = (
    "This is not a request that HTTP/1.1 allows, or its address (at most 4,094 bytes with the method) or its headers"
    " (at most 100, of 8,190 bytes each) are too long. Shorten them; long values belong in the body."
)

certfile = os.environ.get("TLS_CERT_FILE") or None
keyfile = os.environ.get("TLS_KEY_FILE") or None


def ssl_context(_config: Any, default_ssl_context_factory: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """TLS 1.2 at least, whatever the machine's OpenSSL would still speak."""
    context = default_ssl_context_factory()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def child_exit(_server: Any, worker: Any) -> None:
    """Stop counting the gauges of a process that is gone."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped


def refuse_in_json(sock: socket.socket, status: int, _reason: str, message: str) -> None:
    """Answer what cannot be read as HTTP in the API's error shape; gunicorn itself would answer HTML.

    Nothing is known of such a request, its path neither, so every caller gets the shape of `/v1`.
    """
    crashed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    found = HTTPStatus.INTERNAL_SERVER_ERROR if crashed else HTTPStatus.BAD_REQUEST
    request_id = uuid4().hex
    said = {
        "statusCode": found.value,
        "message": "The server failed. Try again; tell us the requestId if it goes on." if crashed else UNREADABLE,
        "error": found.phrase,
        "code": "INTERNAL_ERROR" if crashed else "VALIDATION_ERROR",
        "requestId": request_id,
    }
    body = json.dumps(said).encode()
    head = (
        f"HTTP/1.1 {found.value} {found.phrase}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"X-Request-Id: {request_id}\r\nCache-Control: no-store\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode("ascii") + body)


util.write_error = refuse_in_json
