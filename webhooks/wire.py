"""HTTP by libcurl on the event loop: one request to one judged server, pinned, bounded and never redirected.

A request on a kept connection costs a fraction of what a client in Python takes. Nothing here waits: sockets
that are ready and timers that run out bring a transfer forward, and whoever started it is told of its end.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import pycurl

from webhooks.addresses import Target, TargetRefused, judge_address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Told: TypeAlias = Callable[["Reply"], None]

CONNECT_SECONDS = 10.0
MAX_HEAD_BYTES = 64 * 1024
SWEEP_SECONDS = 0.1
# Below the five seconds after which many servers drop an idle connection: a POST that meets
# such a drop could not be told from one that was processed.
KEEPALIVE_SECONDS = 4
# A connection that is never idle follows its name to another address after this time.
CONNECTION_SECONDS = 60
IDLE_CONNECTIONS = 1024
KEPT_HANDLES = 512
ANSWERED = 200
NO_SOCKET: int = pycurl.SOCKET_BAD

_EVENTS = {
    pycurl.POLL_IN: selectors.EVENT_READ,
    pycurl.POLL_OUT: selectors.EVENT_WRITE,
    pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
}
_READY = {
    selectors.EVENT_READ: pycurl.CSELECT_IN,
    selectors.EVENT_WRITE: pycurl.CSELECT_OUT,
    selectors.EVENT_READ | selectors.EVENT_WRITE: pycurl.CSELECT_IN | pycurl.CSELECT_OUT,
}


class Pinned:
    """A judged target and the judged addresses that a connection for it may go to."""

    __slots__ = ("addresses", "answers", "url")

    def __init__(self, target: Target, addresses: tuple[str, ...]) -> None:
        """Spell it as libcurl takes it: the URL, and a look-up in place of one of its own (none for an address)."""
        self.addresses, self.url = addresses, target.url
        spelt = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
        self.answers = [] if addresses == (target.host,) else [f"{target.host}:{target.port}:{spelt}"]


@dataclass(slots=True, repr=False)
class Request:
    """What to ask of a server, and the bounds of it. It has no repr: headers may hold a token.

    It takes `seconds` at most. Of a body that is longer than `most_bytes`, or that takes `body_seconds` more than
    the head, only what has come by then is given.
    """

    method: str
    headers: Sequence[str]
    body: bytes | None
    seconds: float
    body_seconds: float
    most_bytes: int


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """What came back. `status` is None where no whole head of an answer did; then `code` is libcurl's reason.

    `whole` says whether `body` is all of it. It has no repr, since a body may hold a token.
    """

    status: int | None
    code: int = pycurl.E_OK
    refused: str = ""
    body: bytes = b""
    whole: bool = True
    retry_after: str | None = None


class Exchange:
    """One of libcurl's handles and what passes through it. It is used for one request after another."""

    __slots__ = (
        "allow_local", "body", "ends_at", "handle", "head", "head_room", "loop", "pinned", "refused", "request", "told",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, certificates: Mapping[int, str | None], *, allow_local: bool
    ) -> None:
        """Set what is the same for every request."""
        self.loop, self.allow_local = loop, allow_local
        self.head: list[bytes] = []
        self.body = bytearray()
        self.told: Told | None = None
        self.handle = handle = pycurl.Curl()
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        # An empty proxy is none, whatever the environment says.
        handle.setopt(pycurl.PROXY, "")
        handle.setopt(pycurl.PATH_AS_IS, 1)
        handle.setopt(pycurl.CONNECTTIMEOUT_MS, int(CONNECT_SECONDS * 1000))
        handle.setopt(pycurl.MAXAGE_CONN, KEEPALIVE_SECONDS)
        handle.setopt(pycurl.MAXLIFETIME_CONN, CONNECTION_SECONDS)
        handle.setopt(pycurl.SSL_VERIFYPEER, 1)
        handle.setopt(pycurl.SSL_VERIFYHOST, 2)
        handle.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        for option, path in certificates.items():
            if path is None:
                handle.unsetopt(option)
            else:
                handle.setopt(option, path)
        handle.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        handle.setopt(pycurl.HEADERFUNCTION, self._take_head)
        handle.setopt(pycurl.WRITEFUNCTION, self._take)

    def prepare(self, pinned: Pinned, request: Request, told: Told) -> None:
        """Take one request."""
        self.pinned, self.request, self.told = pinned, request, told
        self.refused, self.ends_at, self.head_room = "", 0.0, MAX_HEAD_BYTES
        self.head.clear()
        self.body = bytearray()
        handle = self.handle
        handle.setopt(pycurl.URL, pinned.url)
        handle.setopt(pycurl.RESOLVE, pinned.answers)
        handle.setopt(pycurl.HTTPHEADER, request.headers)
        handle.setopt(pycurl.TIMEOUT_MS, max(1, int(request.seconds * 1000)))
        if request.method == "GET":
            handle.setopt(pycurl.HTTPGET, 1)
        else:
            handle.setopt(pycurl.POST, 1)
            handle.setopt(pycurl.POSTFIELDS, request.body or b"")

    def _open_socket(self, _: int, address: tuple[int, int, int, tuple[str, int]]) -> socket.socket | int:
        """Judge once more where every connection starts: no path leads around this door."""
        family, kind, protocol, destination = address
        try:
            judged = judge_address(str(destination[0]), allow_local=self.allow_local)
            if judged not in self.pinned.addresses:
                raise TargetRefused(f"{judged} is not what the name was resolved to.")
            opened = socket.socket(family, kind, protocol)
        except TargetRefused as refused:
            self.refused = str(refused)
            return NO_SOCKET
        except OSError:
            return NO_SOCKET
        # libcurl works on a copy of its own.
        self.loop.call_soon(opened.close)
        return opened

    def _take_head(self, line: bytes) -> int | None:
        """Keep a line of a head, up to a bound for all of it; taking none ends the transfer."""
        self.head.append(line)
        self.head_room -= len(line)
        return 0 if self.head_room < 0 else None

    def _take(self, data: bytes) -> int:
        """Keep what is read of a body; taking less than was given ends the transfer."""
        room = self.request.most_bytes - len(self.body)
        self.body += data[:room]
        return min(len(data), room)

    def reply(self, code: int) -> Reply:
        """Return what came of it. A whole head is an answer, whatever became of the body."""
        status = self.handle.getinfo(pycurl.RESPONSE_CODE)
        head = _last_head(self.head) if code or status // 100 != ANSWERED // 100 else []
        if status < ANSWERED or head is None:
            return Reply(None, code or pycurl.E_GOT_NOTHING, self.refused)
        retry_after = next((line[12:].strip() for line in head if line[:12].lower() == b"retry-after:"), None)
        return Reply(
            status,
            code,
            body=bytes(self.body),
            whole=not code,
            retry_after=None if retry_after is None else retry_after.decode("latin-1"),
        )

    def forget(self) -> None:
        """Hold on to nothing of what passed through."""
        self.told = None
        self.head.clear()
        self.body = bytearray()

    def dribbles(self, now: float) -> bool:
        """Say whether the head has been there for so long that the rest is not waited for."""
        if not self.head or _last_head(self.head) is None or self.handle.getinfo(pycurl.RESPONSE_CODE) < ANSWERED:
            return False
        if not self.ends_at:
            self.ends_at = now + self.request.body_seconds
        return now >= self.ends_at


class Wire:
    """Carries any number of requests at once. It belongs to the event loop that runs when it is made."""

    def __init__(self, *, allow_local: bool, ca_file: str | None = None) -> None:
        """`ca_file` takes the place of the system's certificate authorities, for tests."""
        self._loop = asyncio.get_running_loop()
        self._allow_local = allow_local
        self._certificates = _certificates(ca_file)
        self._sockets = selectors.DefaultSelector()
        self._loop.add_reader(self._sockets.fileno(), self._on_ready)
        self._multi = self._fresh_multi()
        self._timer: asyncio.TimerHandle | None = None
        self._call_at: float | None = None
        self._called_soon = False
        self._sweeper: asyncio.Handle | None = None
        self._under_way: dict[pycurl.Curl, Exchange] = {}
        self._spare: list[Exchange] = []
        self._used_at = self._loop.time()

    def close(self) -> None:
        """End every transfer, untold, and close every connection."""
        for timer in (self._timer, self._sweeper):
            if timer is not None:
                timer.cancel()
        for exchange in list(self._under_way.values()):
            self.abandon(exchange)
        for exchange in self._spare:
            exchange.handle.close()
        self._close_multi()
        self._loop.remove_reader(self._sockets.fileno())
        self._sockets.close()

    def start(self, pinned: Pinned, request: Request, told: Told) -> Exchange:
        """Begin a request; `told` hears of its end, from the event loop and never before this returns."""
        exchange = self._spare.pop() if self._spare else self._fresh_exchange()
        exchange.prepare(pinned, request, told)
        self._under_way[exchange.handle] = exchange
        self._multi.add_handle(exchange.handle)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        return exchange

    def abandon(self, exchange: Exchange) -> None:
        """Break a transfer off, its connection too; nobody is told."""
        if self._under_way.pop(exchange.handle, None) is not None:
            self._multi.remove_handle(exchange.handle)
            exchange.told = None
            exchange.handle.close()

    def _fresh_multi(self) -> pycurl.CurlMulti:
        multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_MAXCONNECTS, IDLE_CONNECTIONS)
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        return multi

    def _close_multi(self) -> None:
        self._multi.close()
        for key in list(self._sockets.get_map().values()):
            self._sockets.unregister(key.fd)

    def _fresh_exchange(self) -> Exchange:
        return Exchange(self._loop, self._certificates, allow_local=self._allow_local)

    def _watch(self, what: int, number: int, *_: object) -> None:
        """Wait for what libcurl wants of a socket."""
        with suppress(KeyError, ValueError, OSError):
            if what == pycurl.POLL_REMOVE:
                self._sockets.unregister(number)
            elif number in self._sockets.get_map():
                self._sockets.modify(number, _EVENTS[what])
            else:
                self._sockets.register(number, _EVENTS[what])

    def _set_timer(self, milliseconds: int) -> None:
        """Note when libcurl wants to be called. A timer that is set already may ring early, and is set anew then."""
        if milliseconds == 0:
            self._call_at = None
            if not self._called_soon:
                self._called_soon = True
                self._loop.call_soon(self._on_soon)
        elif milliseconds < 0:
            self._call_at = None
        else:
            self._call_at = self._loop.time() + milliseconds / 1000
            if self._timer is None or self._timer.when() > self._call_at:
                self._set_alarm(self._call_at)

    def _set_alarm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._on_alarm)

    def _on_soon(self) -> None:
        self._called_soon = False
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._tell()

    def _on_alarm(self) -> None:
        self._timer, wanted = None, self._call_at
        if wanted is None:
            return
        if wanted > self._loop.time():
            self._set_alarm(wanted)
            return
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._tell()
        if self._timer is None and self._call_at is not None:
            self._set_alarm(max(self._call_at, self._loop.time() + 0.001))

    def _on_ready(self) -> None:
        for key, events in self._sockets.select(0):
            self._multi.socket_action(key.fd, _READY[events])
        self._tell()

    def _tell(self) -> None:
        """Tell of all transfers that have ended."""
        left = 1
        while left:
            left, well, failed = self._multi.info_read()
            for handle in well:
                self._end(handle, pycurl.E_OK)
            for handle, code, _ in failed:
                self._end(handle, code)

    def _end(self, handle: pycurl.Curl, code: int) -> None:
        exchange = self._under_way.pop(handle, None)
        if exchange is None:
            return
        reply = exchange.reply(code)
        self._multi.remove_handle(handle)
        told = exchange.told
        exchange.forget()
        if len(self._spare) < KEPT_HANDLES:
            self._spare.append(exchange)
        else:
            handle.close()
        if told is not None:
            told(reply)

    def _sweep(self) -> None:
        """End bodies that dribble, and close all connections once none has been used for their keep-alive."""
        now = self._loop.time()
        for exchange in [each for each in self._under_way.values() if each.dribbles(now)]:
            self._end(exchange.handle, pycurl.E_OPERATION_TIMEDOUT)
        if self._under_way:
            self._used_at = now
        elif now - self._used_at > KEEPALIVE_SECONDS:
            self._close_multi()
            self._multi = self._fresh_multi()
            self._sweeper = None
            return
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)


def _certificates(ca_file: str | None) -> dict[int, str | None]:
    """Return where the certificate authorities lie: the libcurl of a wheel knows nothing of this system's."""
    if ca_file is not None:
        return {pycurl.CAINFO: ca_file, pycurl.CAPATH: None}
    paths = ssl.get_default_verify_paths()
    return {pycurl.CAINFO: paths.cafile, pycurl.CAPATH: paths.capath}


def _last_head(lines: Sequence[bytes]) -> list[bytes] | None:
    """Return the header lines of the last answer (interim ones come before it), None where they have no end yet."""
    begins = next((at for at in range(len(lines) - 1, -1, -1) if lines[at].startswith(b"HTTP/")), None)
    if begins is None:
        return None
    ends = next((at for at in range(begins, len(lines)) if not lines[at].strip()), None)
    return None if ends is None else list(lines[begins + 1 : ends])


def header_lines(headers: Mapping[str, str]) -> list[str]:
    """Return headers as libcurl takes them; one that would begin another line raises `ValueError`."""
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in headers.items()]
    text = "".join(lines)
    if "\r" in text or "\n" in text or "\0" in text:
        raise ValueError("a header holds a line break")
    return lines
