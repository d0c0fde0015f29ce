"""Drives the job queue from inside a test, on the test's own connection.

An ordinary test rolls back, so no worker process could see its jobs. These run in it, under the
worker's database role, as the worker would run them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection
from procrastinate.contrib.django import app

from stackbe.kernel.clock import wall_clock

DUE = """
select id, task_name, args from procrastinate_jobs
where status = 'todo' and (scheduled_at is null or scheduled_at <= %s) and id <> all(%s)
order by priority desc, id limit 1
"""


@contextmanager
def worker_rights() -> Iterator[None]:
    """Run statements as the worker's role."""
    with connection.cursor() as cursor:
        cursor.execute("set role stackbe_worker")
    try:
        yield
    finally:
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("set role stackbe_web")


def run_jobs(*, most: int = 200, tolerate: bool = False) -> list[str]:
    """Run every due job, and those that they queue in turn; return their names in order.

    A job's exception reaches the test and leaves the job in the queue; with `tolerate` the job is
    marked as failed and the rest go on.
    """
    with worker_rights():
        return _drain(most, tolerate=tolerate)


def run_in_turn(*names: str, most: int = 2000) -> None:
    """Run every due job, then periodic tasks one after another, each with the jobs that it queues."""
    with worker_rights():
        _drain(most)
        for name in names:
            app.tasks[name](timestamp=int(wall_clock().timestamp()))
            _drain(most)


def _drain(most: int, *, tolerate: bool = False) -> list[str]:
    done: list[str] = []
    while (job := _next_job()) is not None:
        identifier, name, arguments = job
        if len(done) >= most:
            raise AssertionError(f"more than {most} jobs; the last is {name}")
        try:
            app.tasks[name](**arguments)
            _finish(identifier, "succeeded")
        except Exception:
            if not tolerate:
                raise
            _finish(identifier, "failed")
        done.append(name)
    return done


def run_some_jobs(most: int, excused: tuple[type[Exception], ...]) -> None:
    """Run some of the due jobs. One that fails as is excused stays in the queue, as one that waits for its retry."""
    failed: list[int] = []
    with worker_rights():
        for _ in range(most):
            job = _next_job(failed)
            if job is None:
                return
            identifier, name, arguments = job
            try:
                app.tasks[name](**arguments)
                _finish(identifier, "succeeded")
            except excused:
                failed.append(identifier)


def run_periodic(name: str) -> None:
    """Run a periodic task once, as if it were due now."""
    with worker_rights():
        app.tasks[name](timestamp=int(wall_clock().timestamp()))


def queued() -> list[tuple[str, dict[str, Any]]]:
    """Return the names and arguments of the waiting jobs."""
    with connection.cursor() as cursor:
        cursor.execute("select task_name, args from procrastinate_jobs where status = 'todo' order by id")
        return [(name, json.loads(arguments)) for name, arguments in cursor.fetchall()]


def _next_job(without: Sequence[int] = ()) -> tuple[int, str, dict[str, Any]] | None:
    with connection.cursor() as cursor:
        cursor.execute(DUE, [wall_clock(), list(without)])
        row: tuple[int, str, str] | None = cursor.fetchone()
    return None if row is None else (row[0], row[1], json.loads(row[2]))


def _finish(identifier: int, status: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select procrastinate_finish_job_v1(%s, %s, false)", [identifier, status])
