"""Background work: one queue in PostgreSQL, deferred in the change that asks for it.

A job's arguments are ids, never a secret and never an address. A job is run at least once; it opens
its own change with the scope of its tenant and must be harmless when run twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import orjson
from django.db import connection
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from stackbe.kernel.scope import PLATFORM
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from procrastinate.tasks import Task

F = TypeVar("F", bound=Callable[..., Any])
RETRY = RetryStrategy(max_attempts=10, exponential_wait=3)


def job(name: str, *, queue: str = "default") -> Callable[[F], Task[Any, Any, Any]]:
    """Declare a job. Names are `app.verb_noun` and never change: rows in the queue carry them."""

    def mark(work: F) -> Task[Any, Any, Any]:
        return app.task(name=name, queue=queue, retry=RETRY)(work)

    return mark


def periodic(name: str, cron: str, *, queue: str = "default") -> Callable[[F], Task[Any, Any, Any]]:
    """Declare work that the worker repeats; it takes the Unix time that it is due at.

    A sixth field of `cron` counts seconds. A run that has not begun keeps the next from being queued.
    """

    def mark(work: F) -> Task[Any, Any, Any]:
        task = app.task(name=name, queue=queue, queueing_lock=name)(work)
        return app.periodic(cron=cron)(task)

    return mark


def enqueue(task: Task[Any, Any, Any], **arguments: Any) -> None:
    """Queue a job in the open change: it runs if, and only if, the change commits."""
    require_change()
    task.defer(**arguments)


def parcel(task: Task[Any, Any, Any], **arguments: Any) -> tuple[str, str, int, str]:
    """Return what a database function that queues a job with its rows passes to `procrastinate_defer_jobs_v1`."""
    return task.queue, task.name, task.priority, orjson.dumps(arguments).decode()


def every_tenant() -> list[UUID]:
    """Return the ids of all tenants, the platform's own first: periodic work visits one after the other."""
    with connection.cursor() as cursor:
        cursor.execute("select id from lookup.tenants()")
        return [PLATFORM, *(row[0] for row in cursor.fetchall())]
