"""One signed POST to a receiver whom nobody trusts: bounded, pinned, never redirected.

A receiver may hang, answer for ever, redirect to our metadata service or change its DNS
between two look-ups. So a name is resolved once by a look-up of our own, every address is judged, the
connection goes to a judged address (TLS still proves the name), proxies of the environment are
ignored, at most 64 KiB of answer are read and the whole exchange ends after 30 seconds.
"""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Self, TypeAlias

import pycurl

from webhooks.addresses import Target, TargetRefused, judge_addresses, judge_url
from webhooks.masking import mask_answer
from webhooks.wire import Exchange, Pinned, Reply, Request, Wire, header_lines

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping

    Lookup: TypeAlias = Callable[[str, int], Awaitable[list[str]]]

TOTAL_SECONDS = 30.0
LOOKUP_SECONDS = 5.0
BODY_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024
LOOKUP_THREADS = 64
# For this long the next requests to a name go where the last look-up led.
LOOKUP_HOLDS_SECONDS = 4.0
MOST_NAMES = 4096
USER_AGENT = "StackBE-Webhooks/1.0"
BASE_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": USER_AGENT,
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}
# A server that is asked to say first whether it wants the body costs a second way there and back.
NO_EXPECT = "Expect:"
BASE_LINES = [*header_lines(BASE_HEADERS), NO_EXPECT]
NOT_CONNECTED = {
    pycurl.E_COULDNT_CONNECT,
    pycurl.E_SEND_ERROR,
    pycurl.E_RECV_ERROR,
    pycurl.E_GOT_NOTHING,
    pycurl.E_PARTIAL_FILE,
}
TLS = {
    pycurl.E_SSL_CONNECT_ERROR,
    pycurl.E_PEER_FAILED_VERIFICATION,
    pycurl.E_SSL_CERTPROBLEM,
    pycurl.E_SSL_CIPHER,
    pycurl.E_SSL_CACERT_BADFILE,
    pycurl.E_SSL_ISSUER_ERROR,
    pycurl.E_SSL_SHUTDOWN_FAILED,
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


DETAILS = {
    SendError.DNS_FAILED: "the host name could not be resolved",
    SendError.TIMEOUT: "no complete answer in time",
    SendError.TLS_FAILED: "the certificate does not prove the host name, or there was no common TLS",
    SendError.CONNECTION_FAILED: "the connection was refused, reset or closed before an answer",
    SendError.PROTOCOL_ERROR: "what answered does not speak HTTP",
}


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


class JudgedNames:
    """Resolves a name once and hands out its addresses only if all of them are public."""

    def __init__(self, lookup: Lookup, *, allow_local: bool) -> None:
        """`lookup` maps a name and a port to addresses; tests pass a hostile one."""
        self._lookup = lookup
        self._allow_local = allow_local
        self._known: dict[Target, tuple[float, Pinned]] = {}

    def known(self, target: Target) -> Pinned | None:
        """Return where a target leads, if that needs no look-up or the last one still holds."""
        until, pinned = self._known.get(target, (0.0, None))
        if time.monotonic() < until:
            return pinned
        return self._keep(target, (target.host,)) if target.is_address else None

    async def resolve(self, target: Target) -> Pinned:
        """Return where a target leads; raises `TargetRefused` or `LookupFailed`."""
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await self._lookup(target.host, target.port)
        except (OSError, UnicodeError, TimeoutError) as reason:
            raise LookupFailed(f"{target.host} could not be resolved") from reason
        judged = judge_addresses(found, allow_local=self._allow_local)
        return self._keep(target, tuple(judged))

    def _keep(self, target: Target, addresses: tuple[str, ...]) -> Pinned:
        if len(self._known) >= MOST_NAMES:
            self._known.clear()
        pinned = Pinned(target, addresses)
        self._known[target] = (time.monotonic() + LOOKUP_HOLDS_SECONDS, pinned)
        return pinned


class Caller:
    """Asks servers that a tenant named, behind the wall; use it as an async context manager and share it.

    `allow_local` is the development setting; `lookup` and `ca_file` are for tests, which bring a
    DNS and a certificate of their own.
    """

    def __init__(self, *, allow_local: bool = False, lookup: Lookup | None = None, ca_file: str | None = None) -> None:
        """Remember the rules; connections are opened inside the context."""
        self._allow_local = allow_local
        self._threads: ThreadPoolExecutor | None = None
        self._names = JudgedNames(lookup or self._ask_system, allow_local=allow_local)
        self._ca_file = ca_file
        self._wire: Wire | None = None

    async def __aenter__(self) -> Self:
        """Open the pool of connections."""
        self._wire = Wire(allow_local=self._allow_local, ca_file=self._ca_file)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection; a look-up that hangs is left to its thread."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _call(self, target: Target, request: Request) -> Reply:
        """Return what came of a request to a target.

        Raises `TargetRefused`, `LookupFailed`, or `TimeoutError` where the look-up took all the time.
        """
        pinned = self._names.known(target) or await self._look_up(target, request)
        ended: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        exchange = self._open_wire().start(pinned, request, ended.set_result)
        try:
            return await ended
        except asyncio.CancelledError:
            self._open_wire().abandon(exchange)
            raise

    async def _look_up(self, target: Target, request: Request) -> Pinned:
        """Return where a target leads; the time that it takes is the request's."""
        began = time.monotonic()
        async with asyncio.timeout(request.seconds):
            pinned = await self._names.resolve(target)
        request.seconds -= time.monotonic() - began
        return pinned

    def _open_wire(self) -> Wire:
        if self._wire is None:
            raise RuntimeError("use it inside `async with`")
        return self._wire

    async def _ask_system(self, host: str, port: int) -> list[str]:
        """Ask the system's resolver in threads of our own: slow DNS must not hold the loop's."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup")
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [str(entry[4][0]) for entry in found]


class Sender(Caller):
    """A client for deliveries."""

    def __init__(
        self,
        *,
        allow_local: bool = False,
        lookup: Lookup | None = None,
        ca_file: str | None = None,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        """`total_seconds` is the patience with one receiver."""
        super().__init__(allow_local=allow_local, lookup=lookup, ca_file=ca_file)
        self._total_seconds = total_seconds

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
        ended: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        attempt = self.begin(url, headers, body, ended.set_result, live=live, known_secrets=known_secrets)
        try:
            return await ended
        except asyncio.CancelledError:
            attempt.cancel()
            raise

    def begin(  # all of a delivery
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        told: Callable[[Answer], None],
        *,
        live: bool = False,
        known_secrets: Iterable[str] = (),
    ) -> Attempting:
        """Begin what `post` does and return at once: `told` gets the answer, later, from the event loop.

        Of many at a time a coroutine for each would cost as much as the sending.
        """
        lines = [*BASE_LINES, *header_lines(headers)]
        request = Request("POST", lines, body, self._total_seconds, BODY_SECONDS, MAX_ANSWER_BYTES)
        attempt = Attempting(self._open_wire(), request, known_secrets, told)
        try:
            target = _judged(url, live, self._allow_local)
        except TargetRefused as refused:
            attempt.fail_soon(refused)
            return attempt
        pinned = self._names.known(target)
        if pinned is None:
            attempt.start_after(self._look_up(target, request))
        else:
            attempt.start(pinned)
        return attempt


class Attempting:
    """One delivery under way."""

    __slots__ = ("_exchange", "_known_secrets", "_looking_up", "_request", "_soon", "_started", "_told", "_wire")

    def __init__(
        self, wire: Wire, request: Request, known_secrets: Iterable[str], told: Callable[[Answer], None]
    ) -> None:
        """Start the clock."""
        self._wire, self._request, self._known_secrets, self._told = wire, request, known_secrets, told
        self._exchange: Exchange | None = None
        self._looking_up: asyncio.Task[None] | None = None
        self._soon: asyncio.Handle | None = None
        self._started = time.perf_counter()

    def start(self, pinned: Pinned) -> None:
        """Send to where the target leads."""
        self._exchange = self._wire.start(pinned, self._request, self._replied)

    def start_after(self, look_up: Coroutine[None, None, Pinned]) -> None:
        """Send to where a look-up leads."""
        self._looking_up = asyncio.get_running_loop().create_task(self._start_after(look_up))

    async def _start_after(self, look_up: Coroutine[None, None, Pinned]) -> None:
        try:
            pinned = await look_up
        except (TargetRefused, LookupFailed, TimeoutError) as failure:
            self._fail(failure)
        else:
            self.start(pinned)

    def fail_soon(self, failure: Exception) -> None:
        """Tell of a failure, but not before whoever began this holds it."""
        self._soon = asyncio.get_running_loop().call_soon(self._fail, failure)

    def cancel(self) -> None:
        """Break it off; nobody is told."""
        if self._exchange is not None:
            self._wire.abandon(self._exchange)
        for each in (self._looking_up, self._soon):
            if each is not None:
                each.cancel()

    def _fail(self, failure: Exception) -> None:
        if isinstance(failure, TargetRefused):
            self._told(self._unanswered(SendError.ADDRESS_REFUSED, str(failure)))
        elif isinstance(failure, LookupFailed):
            self._told(self._unanswered(SendError.DNS_FAILED))
        else:
            self._told(self._unanswered(SendError.TIMEOUT))

    def _replied(self, reply: Reply) -> None:
        """Judge a reply. The status is the acknowledgement; what follows it is only for the log."""
        self._exchange = None
        if reply.status is None:
            self._told(self._unanswered(error_of(reply), reply.refused))
            return
        error = _judge_status(reply.status)
        excerpt = mask_answer(reply.body, self._known_secrets)
        self._told(Answer(reply.status, error, self._elapsed_ms(), excerpt, reply.retry_after))

    def _unanswered(self, error: SendError, detail: str = "") -> Answer:
        """Return the answer of an attempt that got none, with the sentence that the log shows."""
        return Answer(None, error, self._elapsed_ms(), detail=detail or DETAILS[error])

    def _elapsed_ms(self) -> int:
        return round((time.perf_counter() - self._started) * 1000)


@lru_cache(maxsize=4096)
def _judged(url: str, live: bool, allow_local: bool) -> Target:  # noqa: FBT001  # a cache key
    return judge_url(url, live=live, allow_local=allow_local)


def _judge_status(status: int) -> SendError:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return SendError.NONE
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return SendError.REDIRECT_NOT_FOLLOWED
    return SendError.BAD_STATUS


def error_of(reply: Reply) -> SendError:
    """Return why nothing answered."""
    if reply.refused:
        return SendError.ADDRESS_REFUSED
    if reply.code == pycurl.E_OPERATION_TIMEDOUT:
        return SendError.TIMEOUT
    if reply.code == pycurl.E_COULDNT_RESOLVE_HOST:
        return SendError.DNS_FAILED
    if reply.code in TLS:
        return SendError.TLS_FAILED
    return SendError.CONNECTION_FAILED if reply.code in NOT_CONNECTED else SendError.PROTOCOL_ERROR
