"""The dispatcher's loop: fan out, claim, send many at once, write down.

The database work runs on one thread, one statement after the other; the sending runs on the event
loop, as many at once as there are places. PostgreSQL going away stops neither: results are kept and
written when it is back, and everything claimed falls due again by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import psycopg
from django.db import DatabaseError, InterfaceError, connection

from stackbe.kernel.clock import wall_clock
from webhooks.dispatch.fanout import fan_out_all
from webhooks.dispatch.opening import open_claims
from webhooks.dispatch.queue import LEASE, Parcel, Room, Unsendable, claim
from webhooks.dispatch.record import Sent, record, release
from webhooks.outbox import CHANNEL
from webhooks.signing import sign

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from uuid import UUID

    from webhooks.sending import Answer, Attempting, Sender

log = logging.getLogger("stackbe.dispatcher")
T = TypeVar("T")
POLL_SECONDS = 0.5
RECORD_BATCH = 1000
GATHER_SECONDS = 0.02
GATHER_TICKS = 10
CLAIM_SECONDS = 0.05
SLOW_MS = 5000
SET_ASIDE_SECONDS = 1.0
SLOWEST_RECONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a dispatcher does at once, and how long it holds and waits."""

    places: int = 512
    per_endpoint: int = 16
    per_tenant: int = 128
    set_aside: int = 2048
    lease: timedelta = LEASE
    grace_seconds: float = 10.0


class Dispatcher:
    """Sends what is due until it is told to stop. Any number may run side by side."""

    def __init__(self, sender: Sender, limits: Limits | None = None) -> None:
        """Take an open sender; nothing runs before `run`."""
        self._sender = sender
        self._limits = limits or Limits()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._database = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._under_way: dict[Flight, None] = {}
        self._set_aside = 0
        self._few = asyncio.Event()
        self._few_are = 0
        self._per_endpoint: Counter[UUID] = Counter()
        self._per_tenant: Counter[UUID] = Counter()
        self._slow: set[UUID] = set()
        self._results: list[Sent | Unsendable] = []
        self._have_results = asyncio.Event()
        self._hurry = False

    def stop(self) -> None:
        """Claim no more; let what is under way end within the grace."""
        self._stopping.set()
        self._wake.set()
        self._few.set()

    async def run(self) -> None:
        """Work until stopped, then finish or give back what was claimed."""
        listener = asyncio.create_task(self._listen())
        recorder = asyncio.create_task(self._record_for_ever())
        try:
            while not self._stopping.is_set():
                self._wake.clear()
                busy = await self._patiently(self._turn_once)
                await (self._until_few() if busy else self._until_woken())
        finally:
            await self._finish()
            for task in (listener, recorder):
                task.cancel()
            await asyncio.gather(listener, recorder, return_exceptions=True)
            await self._flush()
            await self._in_thread(_disconnect)
            self._database.shutdown()

    async def _until_woken(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)

    async def _until_few(self) -> None:
        """Wait until half of what is under way has ended, for a moment at most: few claims cost less than many."""
        self._few_are = self._held() // 2
        self._few.clear()
        if self._held() and not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._few.wait(), CLAIM_SECONDS)

    def _held(self) -> int:
        """Return how many places are taken."""
        return len(self._under_way) - self._set_aside

    async def _turn_once(self) -> bool:
        """Do one round; return whether there may be more to do at once."""
        fanned_out = await self._in_thread(fan_out_all)
        self._set_hanging_aside()
        free = self._limits.places - self._held()
        if free <= 0:
            return False
        room = Room(free, self._limits.per_endpoint, self._limits.per_tenant)
        take = partial(claim, room, self._taken(), dict(self._per_tenant), lease=self._limits.lease)
        claims = await self._in_thread(take)
        if claims:
            for opened in await self._in_thread(partial(open_claims, claims)):
                self._start(opened)
        return bool(fanned_out or claims)

    def _taken(self) -> dict[UUID, int]:
        """Return the places taken per endpoint; one that let us wait has room for one alone.

        Else a few hanging endpoints would hold every place for 30 seconds at a time.
        """
        nearly_full = dict.fromkeys(self._slow, self._limits.per_endpoint - 1)
        return nearly_full | {
            endpoint: self._limits.per_endpoint if endpoint in self._slow else count
            for endpoint, count in self._per_endpoint.items()
        }

    def _set_hanging_aside(self) -> None:
        """Give back the places of what has waited for an answer for a second, up to a number of its own.

        It still counts for its endpoint. So servers that hang hold up neither their tenant's others nor anybody else.
        """
        since = asyncio.get_running_loop().time() - SET_ASIDE_SECONDS
        for flight in self._under_way:
            if flight.began > since or self._set_aside >= self._limits.set_aside:
                break
            if not flight.aside:
                flight.aside = True
                self._set_aside += 1
                self._slow.add(flight.parcel.claim.endpoint_id)
                _count_down(self._per_tenant, flight.parcel.claim.tenant_id)

    def _start(self, opened: Parcel | Unsendable) -> None:
        if isinstance(opened, Unsendable):
            self._keep(opened)
            return
        moment = wall_clock()
        flight = Flight(self, opened, moment, asyncio.get_running_loop().time())
        try:
            flight.send(self._sender)
        except Exception:
            # Due again when its lease ends: what is ours to repair is not the receiver's failure.
            log.exception("an attempt crashed", extra={"delivery": str(opened.claim.id)})
            return
        self._under_way[flight] = None
        self._per_endpoint[opened.claim.endpoint_id] += 1
        self._per_tenant[opened.claim.tenant_id] += 1

    def landed(self, flight: Flight, answer: Answer) -> None:
        """Take note of an answer, and of the place that it frees."""
        self._forget(flight)
        if answer.duration_ms >= SLOW_MS:
            self._slow.add(flight.parcel.claim.endpoint_id)
        else:
            self._slow.discard(flight.parcel.claim.endpoint_id)
        self._keep(Sent(flight.parcel, answer, flight.at))

    def _forget(self, flight: Flight) -> None:
        del self._under_way[flight]
        claim = flight.parcel.claim
        _count_down(self._per_endpoint, claim.endpoint_id)
        if flight.aside:
            self._set_aside -= 1
        else:
            _count_down(self._per_tenant, claim.tenant_id)
        self._wake.set()
        if self._held() <= self._few_are or not self._under_way:
            self._few.set()

    def _keep(self, result: Sent | Unsendable) -> None:
        self._results.append(result)
        # What comes next for an endpoint that wants order waits for this to be written.
        self._hurry = self._hurry or result.claim.ordered
        self._have_results.set()

    async def _record_for_ever(self) -> None:
        while True:
            await self._have_results.wait()
            await self._gather()
            self._have_results.clear()
            await self._flush()

    async def _gather(self) -> None:
        """Let results come together: a transaction for each would cost more than the sending."""
        for _ in range(GATHER_TICKS):
            await asyncio.sleep(GATHER_SECONDS)
            if self._hurry or not self._held() or len(self._results) >= RECORD_BATCH:
                return

    async def _flush(self) -> None:
        """Write results down, however long PostgreSQL is away."""
        while self._results:
            batch, hurried = self._results[:RECORD_BATCH], self._hurry
            await self._patiently(partial(self._in_thread, partial(record, batch)))
            del self._results[: len(batch)]
            if hurried:
                self._hurry = any(result.claim.ordered for result in self._results)
                self._wake.set()

    async def _finish(self) -> None:
        """Wait for what is under way as long as the grace lasts, then give the rest back."""
        self._few_are = -1
        deadline = asyncio.get_running_loop().time() + self._limits.grace_seconds
        while self._under_way and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._few.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._few.wait(), left)
        unsent = [flight.parcel.claim for flight in self._under_way]
        for flight in list(self._under_way):
            flight.cancel()
            self._forget(flight)
        if unsent:
            with suppress(DatabaseError, InterfaceError):
                await self._in_thread(partial(release, unsent))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._database, work)

    async def _patiently(self, work: Callable[[], Awaitable[object]]) -> bool:
        """Run database work; while PostgreSQL is away, try again ever more slowly."""
        wait = 0.1
        while True:
            try:
                return bool(await work())
            except (DatabaseError, InterfaceError) as failure:
                log.warning("database unavailable", extra={"failure": type(failure).__name__})
                with suppress(DatabaseError, InterfaceError):
                    await self._in_thread(_disconnect)
            if self._stopping.is_set() and wait >= SLOWEST_RECONNECT_SECONDS:
                return False
            await asyncio.sleep(wait)
            wait = min(wait * 2, SLOWEST_RECONNECT_SECONDS)

    async def _listen(self) -> None:
        """Wake up when a change announces an event. A hint only: the poll finds all the same."""
        parameters = connection.get_connection_params()
        wanted = {k: parameters[k] for k in CONNECTION_PARAMETERS if k in parameters}
        while True:
            with suppress(psycopg.Error, OSError):
                async with await psycopg.AsyncConnection.connect(autocommit=True, **wanted) as hints:
                    await hints.execute(f"listen {CHANNEL}")
                    async for _ in hints.notifies():
                        self._wake.set()
            await asyncio.sleep(1)


class Flight:
    """A delivery between its start and its answer. Each is itself alone, whatever it carries."""

    __slots__ = ("aside", "at", "attempt", "began", "dispatcher", "parcel")

    def __init__(self, dispatcher: Dispatcher, parcel: Parcel, at: datetime, began: float) -> None:
        """`at` is the time that is signed and logged; `began` is the loop's, for measuring."""
        self.dispatcher, self.parcel, self.at, self.began = dispatcher, parcel, at, began
        self.aside = False
        self.attempt: Attempting | None = None

    def send(self, sender: Sender) -> None:
        """Sign and start."""
        parcel = self.parcel
        headers = sign(parcel.secrets, parcel.message_id, int(self.at.timestamp()), parcel.body)
        self.attempt = sender.begin(
            parcel.url, headers, parcel.body, self.landed, live=parcel.live, known_secrets=parcel.secrets
        )

    def landed(self, answer: Answer) -> None:
        """Bring the answer home."""
        self.dispatcher.landed(self, answer)

    def cancel(self) -> None:
        """Break it off."""
        if self.attempt is not None:
            self.attempt.cancel()


def _count_down(counter: Counter[UUID], key: UUID) -> None:
    """Take one away; what is at zero is forgotten."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _disconnect() -> None:
    """Close the connection of the thread that this runs on: Django keeps one for each."""
    connection.close()


CONNECTION_PARAMETERS = (
    "dbname", "user", "password", "host", "port", "options", "connect_timeout", "sslmode",
    "sslrootcert",
)  # fmt: skip
