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

# For TLS 1.2: forward secrecy and authenticated encryption alone. TLS 1.3 has nothing else.
CIPHERS = ":".join(
    f"ECDHE-{proof}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for proof in ("ECDSA", "RSA")
)
certfile = os.environ.get("TLS_CERT_FILE") or None
keyfile = os.environ.get("TLS_KEY_FILE") or None


# The scheme and the caller are told by proxies alone, and those the application knows (stackbe/kernel/proxies.py).
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""


def ssl_context(_config: Any, default_ssl_context_factory: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """TLS as Mozilla's intermediate profile has it, whatever the machine's OpenSSL would still speak."""
    context = default_ssl_context_factory()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    # One curve that every client speaks: of OpenSSL's own choice Python cannot leave out those that the profile lacks.
    context.set_ecdh_curve("prime256v1")
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def child_exit(_server: Any, worker: Any) -> None:
    """Stop counting the gauges of a process that is gone."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped


def refuse_in_json(sock: socket.socket, status: int, _reason: str, message: str) -> None:
    """Answer what cannot be read as HTTP in the API's error shape; gunicorn itself would answer HTML.

    Nothing is known of such a request, its path neither, so every caller gets the shape of `/v1`.
    """
    from stackbe.kernel.headers import standing  # noqa: PLC0415  # it reads settings, which stand by now

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
    headers = {
        **standing(),
        "Connection": "close",
        "Content-Type": "application/json",
        "X-Request-Id": request_id,
        "Cache-Control": "no-store",
        "Content-Length": str(len(body)),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    util.write_nonblock(sock, f"HTTP/1.1 {found.value} {found.phrase}\r\n{head}\r\n".encode("ascii") + body)


util.write_error = refuse_in_json
