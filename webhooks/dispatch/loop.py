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
from webhooks.dispatch.queue import LEASE, Claimed, Parcel, Room, Unsendable, claim, open_claims
from webhooks.dispatch.record import Sent, record, release
from webhooks.outbox import CHANNEL
from webhooks.signing import sign

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from webhooks.sending import Sender

log = logging.getLogger("stackbe.dispatcher")
T = TypeVar("T")
POLL_SECONDS = 0.5
RECORD_BATCH = 500
GATHER_SECONDS = 0.02
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
        self._under_way: dict[asyncio.Task[None], Claimed] = {}
        self._per_endpoint: Counter[UUID] = Counter()
        self._per_tenant: Counter[UUID] = Counter()
        self._slow: set[UUID] = set()
        self._began: dict[asyncio.Task[None], float] = {}
        self._set_aside: set[asyncio.Task[None]] = set()
        self._results: list[Sent | Unsendable] = []
        self._have_results = asyncio.Event()

    def stop(self) -> None:
        """Claim no more; let what is under way end within the grace."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped, then finish or give back what was claimed."""
        listener = asyncio.create_task(self._listen())
        recorder = asyncio.create_task(self._record_for_ever())
        try:
            while not self._stopping.is_set():
                self._wake.clear()
                busy = await self._patiently(self._turn_once)
                if not busy:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
        finally:
            await self._finish()
            for task in (listener, recorder):
                task.cancel()
            await asyncio.gather(listener, recorder, return_exceptions=True)
            await self._flush()
            await self._in_thread(_disconnect)
            self._database.shutdown()

    async def _turn_once(self) -> bool:
        """Do one round; return whether there may be more to do at once."""
        fanned_out = await self._in_thread(fan_out_all)
        self._set_hanging_aside()
        free = self._limits.places - len(self._under_way) + len(self._set_aside)
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
        for task, began in self._began.items():
            if began > since or len(self._set_aside) >= self._limits.set_aside:
                break
            if task not in self._set_aside:
                self._set_aside.add(task)
                self._slow.add(self._under_way[task].endpoint_id)
                _count_down(self._per_tenant, self._under_way[task].tenant_id)

    def _start(self, opened: Parcel | Unsendable) -> None:
        if isinstance(opened, Unsendable):
            self._keep(opened)
            return
        task = asyncio.create_task(self._send(opened))
        self._under_way[task] = opened.claim
        self._began[task] = asyncio.get_running_loop().time()
        self._per_endpoint[opened.claim.endpoint_id] += 1
        self._per_tenant[opened.claim.tenant_id] += 1
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        ended = self._under_way.pop(task)
        del self._began[task]
        _count_down(self._per_endpoint, ended.endpoint_id)
        if task in self._set_aside:
            self._set_aside.remove(task)
        else:
            _count_down(self._per_tenant, ended.tenant_id)
        self._wake.set()
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("an attempt crashed", exc_info=failure, extra={"delivery": str(ended.id)})

    async def _send(self, parcel: Parcel) -> None:
        moment = wall_clock()
        headers = sign(parcel.secrets, parcel.message_id, int(moment.timestamp()), parcel.body)
        answer = await self._sender.post(
            parcel.url, headers, parcel.body, live=parcel.live, known_secrets=parcel.secrets
        )
        if answer.duration_ms >= SLOW_MS:
            self._slow.add(parcel.claim.endpoint_id)
        else:
            self._slow.discard(parcel.claim.endpoint_id)
        self._keep(Sent(parcel, answer, moment))

    def _keep(self, result: Sent | Unsendable) -> None:
        self._results.append(result)
        self._have_results.set()

    async def _record_for_ever(self) -> None:
        while True:
            await self._have_results.wait()
            # A transaction for each result would cost more than the sending: a moment's worth shares one.
            await asyncio.sleep(GATHER_SECONDS)
            self._have_results.clear()
            await self._flush()

    async def _flush(self) -> None:
        """Write results down, however long PostgreSQL is away."""
        while self._results:
            batch = self._results[:RECORD_BATCH]
            await self._patiently(partial(self._in_thread, partial(record, batch)))
            del self._results[: len(batch)]

    async def _finish(self) -> None:
        """Wait for what is under way as long as the grace lasts, then give the rest back."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self._limits.grace_seconds)
        unsent = dict(self._under_way)
        for task in unsent:
            task.cancel()
        await asyncio.gather(*unsent, return_exceptions=True)
        if unsent:
            with suppress(DatabaseError, InterfaceError):
                await self._in_thread(partial(release, list(unsent.values())))

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
