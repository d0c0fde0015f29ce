"""One signed POST to a receiver whom nobody trusts: bounded, pinned, never redirected.

A receiver may hang, answer for ever, redirect to our metadata service or change its DNS
between two look-ups. So the name is resolved once per connection, every address is judged, the
connection goes to a judged address (TLS still proves the name), proxies of the environment are
ignored, at most 64 KiB of answer are read and the whole exchange ends after 30 seconds.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Self, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from webhooks.addresses import Target, TargetRefused, judge_address, judge_addresses, judge_url
from webhooks.masking import mask_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    Lookup: TypeAlias = Callable[[str, int], Awaitable[list[str]]]

TOTAL_SECONDS = 30.0
CONNECT_SECONDS = 10.0
LOOKUP_SECONDS = 5.0
BODY_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024
# Below the five seconds after which many servers drop an idle connection: a POST that meets
# such a drop could not be told from one that was processed.
KEEPALIVE_SECONDS = 4.0
LOOKUP_THREADS = 64
USER_AGENT = "StackBE-Webhooks/1.0"
BASE_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": USER_AGENT,
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}


class SendError(StrEnum):
    """Why an attempt did not deliver, for logs and the delivery list."""

    NONE = ""
    ADDRESS_REFUSED = "ADDRESS_REFUSED"
    DNS_FAILED = "DNS_FAILED"
    CONNECTION_FAILED = "CONNECTION_FAILED"
    TLS_FAILED = "TLS_FAILED"
    TIMEOUT = "TIMEOUT"
    PROTOCOL_ERROR = "PROTOCOL_ERROR"
    REDIRECT_NOT_FOLLOWED = "REDIRECT_NOT_FOLLOWED"
    BAD_STATUS = "BAD_STATUS"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt. `status` is None when nothing answered."""

    status: int | None
    error: SendError
    duration_ms: int
    excerpt: str = ""
    retry_after: str | None = None
    detail: str = ""

    @property
    def delivered(self) -> bool:
        """Any 2xx acknowledges."""
        return self.error is SendError.NONE


class LookupFailed(OSError):
    """The name has no answer in DNS, or none in time."""


class JudgedResolver(AbstractResolver):
    """Resolves a name once and hands out its addresses only if all of them are public."""

    def __init__(self, lookup: Lookup, *, allow_local: bool) -> None:
        """`lookup` maps a name and a port to addresses; tests pass a hostile one."""
        self._lookup = lookup
        self._allow_local = allow_local

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the judged addresses; raises `TargetRefused` or `LookupFailed`."""
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await self._lookup(host, port)
        except (OSError, UnicodeError, TimeoutError) as reason:
            raise LookupFailed(f"{host} could not be resolved") from reason
        judged = judge_addresses(found, allow_local=self._allow_local)
        families = {address: _family_of(address) for address in judged}
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=families[address],
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in judged
            if family in (socket.AF_UNSPEC, families[address])
        ]

    async def close(self) -> None:
        """Nothing is held open."""


class Sender:
    """A client for deliveries; use it as an async context manager and share it.

    `allow_local` is the development setting; `lookup` and `tls` are for tests, which bring a
    DNS and a certificate of their own.
    """

    def __init__(
        self,
        *,
        allow_local: bool = False,
        lookup: Lookup | None = None,
        tls: ssl.SSLContext | None = None,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        """Remember the rules; connections are opened inside the context."""
        self._allow_local = allow_local
        self._threads: ThreadPoolExecutor | None = None
        self._lookup = lookup or self._ask_system
        self._tls = tls
        self._total_seconds = total_seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the pool of connections."""
        connector = aiohttp.TCPConnector(
            resolver=JudgedResolver(self._lookup, allow_local=self._allow_local),
            socket_factory=self._open_socket,
            use_dns_cache=False,
            limit=0,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ssl=self._tls or ssl.create_default_context(),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection; a look-up that hangs is left to its thread."""
        if self._session is not None:
            await self._session.close()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        live: bool = False,
        known_secrets: Iterable[str] = (),
    ) -> Answer:
        """Send a body once and return what came of it. Never raises for the receiver's faults.

        `live` demands https. `known_secrets` are masked should the receiver echo them.
        """
        started = time.perf_counter()
        try:
            target = _judged(url, live, self._allow_local)
            async with asyncio.timeout(self._total_seconds):
                return await self._exchange(target, headers, body, known_secrets, started)
        except (TargetRefused, TimeoutError, aiohttp.ClientError, OSError, ValueError) as reason:
            error, detail = _explained(reason)
            return Answer(status=None, error=error, duration_ms=_elapsed_ms(started), detail=detail)

    async def _exchange(
        self,
        target: Target,
        headers: Mapping[str, str],
        body: bytes,
        known_secrets: Iterable[str],
        started: float,
    ) -> Answer:
        if self._session is None:
            raise RuntimeError("use the sender inside `async with`")
        async with self._session.post(
            URL(target.url, encoded=True),
            data=body,
            headers={**BASE_HEADERS, **headers},
            allow_redirects=False,
        ) as response:
            # The status is the acknowledgement; what follows is only for the log, so a body
            # that dribbles costs seconds and not the delivery.
            excerpt = await _read_at_most(response, MAX_ANSWER_BYTES)
            return Answer(
                status=response.status,
                error=_error_of(response.status),
                duration_ms=_elapsed_ms(started),
                excerpt=mask_answer(excerpt, known_secrets),
                retry_after=response.headers.get("Retry-After"),
            )

    def _open_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """Judge once more where every connection starts: no path leads around this door."""
        family, kind, protocol, _, destination = info
        judge_address(str(destination[0]), allow_local=self._allow_local)
        return socket.socket(family, kind, protocol)

    async def _ask_system(self, host: str, port: int) -> list[str]:
        """Ask the system's resolver in threads of our own: slow DNS must not hold the loop's."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup")
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [str(entry[4][0]) for entry in found]


@lru_cache(maxsize=4096)
def _judged(url: str, live: bool, allow_local: bool) -> Target:  # noqa: FBT001  # a cache key
    return judge_url(url, live=live, allow_local=allow_local)


async def _read_at_most(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the first bytes of the answer; a longer or slower one loses its connection."""
    read = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while len(read) < limit:
                chunk = await response.content.read(limit - len(read))
                if not chunk:
                    return bytes(read)
                read += chunk
    except (TimeoutError, aiohttp.ClientError):
        pass
    response.close()
    return bytes(read)


def _error_of(status: int) -> SendError:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return SendError.NONE
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return SendError.REDIRECT_NOT_FOLLOWED
    return SendError.BAD_STATUS


def _explained(failure: Exception) -> tuple[SendError, str]:
    """Return the error and the sentence that the log shows; the most specific kind first."""
    if isinstance(failure, TargetRefused):
        return SendError.ADDRESS_REFUSED, str(failure)
    if isinstance(failure, TimeoutError):
        return SendError.TIMEOUT, "no complete answer in time"
    if isinstance(failure, aiohttp.ClientConnectorDNSError):
        return SendError.DNS_FAILED, "the host name could not be resolved"
    kinds = (
        ((aiohttp.ClientSSLError, ssl.SSLError), SendError.TLS_FAILED),
        ((aiohttp.ClientConnectionError, OSError), SendError.CONNECTION_FAILED),
    )
    for classes, error in kinds:
        if isinstance(failure, classes):
            return error, type(failure).__name__
    return SendError.PROTOCOL_ERROR, type(failure).__name__


def _elapsed_ms(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)


def _family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
