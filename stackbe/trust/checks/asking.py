"""How a check asks this very deployment: over the network as a stranger would, and in the database as each role."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
from django.conf import settings

from stackbe.trust.checks.shapes import NotRun

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SECONDS = 10
MOST_BYTES = 2 * 1024 * 1024
NAMES = {"web": "DATABASE_URL", "worker": "DATABASE_WORKER_URL", "staff": "DATABASE_STAFF_URL"}

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the site answered. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """Return the body as JSON, an empty object where it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return {}


def ask(
    method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, *, url: str = ""
) -> Answer:
    """Ask a page or an endpoint at BASE_URL, as a stranger would; redirects are not followed. Raises `NotRun`."""
    parts = urlsplit(url or settings.BASE_URL)
    host = parts.hostname or "localhost"
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, parts.port or 443, timeout=SECONDS, context=tls())
    else:
        connection = http.client.HTTPConnection(host, parts.port or 80, timeout=SECONDS)
    try:
        connection.request(method, path, body, {"User-Agent": "StackBE-trust", "Accept": "*/*", **(headers or {})})
        reply = connection.getresponse()
        text = reply.read(MOST_BYTES).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as failure:
        raise NotRun(f"{parts.scheme}://{parts.netloc} did not answer ({type(failure).__name__}).") from failure
    finally:
        connection.close()
    found: dict[str, str] = {}
    for name, value in reply.getheaders():
        found[name.lower()] = f"{found[name.lower()]}, {value}" if name.lower() in found else value
    return Answer(reply.status, found, text)


def ask_json(path: str, content: object, **headers: str) -> Answer:
    """POST a JSON text."""
    spelt = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask("POST", path, json.dumps(content).encode(), {"Content-Type": "application/json", **spelt})


def tls() -> ssl.SSLContext:
    """Return what a careful client speaks: TLS 1.2 or newer, the certificate verified."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def handshake(host: str, port: int, context: ssl.SSLContext) -> str | None:
    """Return the version of TLS that a handshake comes to, None where it is refused. Raises `NotRun`."""
    try:
        plain = socket.create_connection((host, port), timeout=SECONDS)
    except OSError as failure:
        raise NotRun(f"{host}:{port} did not answer ({type(failure).__name__}).") from failure
    with plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as wrapped:
                return wrapped.version()
        except (ssl.SSLError, OSError):
            return None


@contextmanager
def as_role(role: str) -> Iterator[Connection]:
    """Connect to the database as one of our roles. Raises `NotRun` where this process has no way to."""
    url = settings.ROLE_URLS.get(role, "")
    if not url:
        raise NotRun(f"{NAMES[role]} is not set for this process.")
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=SECONDS)
    except psycopg.OperationalError as failure:
        raise NotRun(f"The database does not let the {role} role in.") from failure
    with connection:
        connection.execute("set statement_timeout = '60s'")
        yield connection


def refused(connection: Connection, statement: str) -> bool:
    """Try what must not be allowed, and take it back; say whether the database refused it for want of a right."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return True
    except psycopg.Error:
        return False
    return False


def number(connection: Connection, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> int:
    """Return the one number that a query answers."""
    row = connection.execute(statement.encode(), values).fetchone()
    return int(row[0]) if row and row[0] is not None else 0
