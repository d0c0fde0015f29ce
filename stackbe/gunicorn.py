"""How the web processes run, everywhere: `gunicorn -c stackbe/gunicorn.py stackbe.wsgi:application`.

`PORT`, `WEB_CONCURRENCY` and `WEB_THREADS` fit it to a machine. Given a certificate it speaks TLS itself, 1.2 or newer;
without one it expects a proxy that does.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import multiprocess

bind = os.environ.get("WEB_BIND", f"0.0.0.0:{os.environ.get('PORT', '8000')}").split(",")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# Threads, because a request may wait seconds for Stripe; a few, because each keeps a database connection.
worker_class = "gthread"
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
