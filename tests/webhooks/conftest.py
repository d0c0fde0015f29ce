"""A receiver, and a dispatcher that runs inside the test."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.db.backends.signals import connection_created

from stackbe.kernel.transactions import change, reading
from tests.cast import Company, found_company
from tests.webhooks.receiver import Receiver
from webhooks.dispatch.loop import Dispatcher, Limits
from webhooks.models import Delivery, WebhookEndpoint
from webhooks.outbox import emit
from webhooks.sending import Sender
from webhooks.services.endpoints import create_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that answers 200 unless the test sets `answer`."""
    with Receiver() as running:
        yield running


@pytest.fixture
def acme_committed(committed: None) -> Company:
    """Acme, committed, so that other connections see it."""
    return found_company("Acme")


@pytest.fixture
def globex_committed(committed: None) -> Company:
    """Globex, likewise."""
    return found_company("Globex")


class Desk:
    """What a test does around a running dispatcher, each in a transaction of its own."""

    def __init__(self, company: Company) -> None:
        """Work for one company."""
        self.scope = company.scope

    def endpoint(self, url: str, *events: str) -> WebhookEndpoint:
        """Make an endpoint; its secret is in the clear on the row."""
        with change(self.scope):
            return create_endpoint(self.scope, url=url, events=events or ("*",))

    def emit(self, count: int = 1, type: str = "customer.created") -> None:  # noqa: A002  # reads as what it is
        """Emit events in one change."""
        with change(self.scope):
            for number in range(count):
                emit(self.scope, type, {"number": number})

    def deliveries(self, **wanted: Any) -> list[Delivery]:
        """Return the deliveries as they stand."""
        with reading(self.scope):
            return list(Delivery.objects.within(self.scope).filter(**wanted).order_by("id"))

    def count(self, **wanted: Any) -> int:
        """Return how many deliveries there are."""
        with reading(self.scope):
            return Delivery.objects.within(self.scope).filter(**wanted).count()

    def make_due(self) -> None:
        """Let every retry be due now."""
        with change(self.scope):
            rows = Delivery.objects.within(self.scope).filter(status="pending", lease=None)
            rows.update(due_at="2020-01-01T00:00:00Z")


@contextmanager
def dispatching(limits: Limits | None = None, **sender_options: Any) -> Iterator[Dispatcher]:
    """Run a dispatcher in a thread, with the worker's database role, for the length of the block."""
    sender_options = {"allow_local": settings.ALLOW_LOCAL_WEBHOOKS} | sender_options
    loop, running = asyncio.new_event_loop(), threading.Event()
    found: list[Dispatcher] = []

    async def dispatch() -> None:
        async with Sender(**sender_options) as sender:
            found.append(Dispatcher(sender, limits))
            running.set()
            await found[0].run()

    def as_worker(connection: Any, **_: Any) -> None:
        if threading.current_thread().name.startswith("database"):
            with connection.cursor() as cursor:
                cursor.execute("set role stackbe_worker")

    connection_created.connect(as_worker, weak=False)
    thread = threading.Thread(target=loop.run_until_complete, args=(dispatch(),))
    thread.start()
    try:
        assert running.wait(5)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(found[0].stop)
        thread.join(30)
        loop.close()
        connection_created.disconnect(as_worker)
    assert not thread.is_alive()
