"""`manage.py worker`: run background jobs."""

from __future__ import annotations

import asyncio
import logging
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from procrastinate.contrib.django import app

log = logging.getLogger("stackbe.worker")
# A worker that was killed is noticed this many seconds after its last heartbeat.
HEARTBEAT_SECONDS = 3.0
STALLED_AFTER_SECONDS = 12.0
POLL_SECONDS = 2.0


class Command(BaseCommand):
    help = "Run background jobs: mail, Stripe's inbox, periodic work. SIGTERM lets running jobs end first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--concurrency", type=int, default=4, help="jobs at a time in this process")
        parser.add_argument("--grace", type=float, default=20.0, help="seconds that running jobs get after SIGTERM")

    def handle(self, **options: Any) -> None:
        if settings.STACKBE_ROLE != "worker":
            raise CommandError("The worker has a database role of its own: set STACKBE_ROLE=worker.")
        log.info("worker starts", extra={"concurrency": options["concurrency"]})
        asyncio.run(work(options["concurrency"], options["grace"]))
        log.info("worker has stopped")


async def work(concurrency: int, grace_seconds: float) -> None:
    """Run jobs until a signal comes or the database goes away; then whoever started us starts us again.

    Jobs are fetched over a connection of the worker's own. The jobs themselves, and what they queue in
    turn, use Django's connection: a job that is queued in a change must vanish with it. Hence a second app
    object with another connector, and not a replaced connector.
    """
    fetching = app.with_connector(app.connector.get_worker_connector())  # type: ignore[attr-defined]  # Django's has it
    async with fetching.open_async():
        await fetching.run_worker_async(
            name="worker",
            concurrency=concurrency,
            delete_jobs="successful",
            fetch_job_polling_interval=POLL_SECONDS,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            stalled_worker_timeout=STALLED_AFTER_SECONDS,
            shutdown_graceful_timeout=grace_seconds,
        )
