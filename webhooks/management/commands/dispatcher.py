"""`manage.py dispatcher`: send events to apps."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from webhooks.dispatch.loop import Dispatcher, Limits
from webhooks.sending import Sender

if TYPE_CHECKING:
    from argparse import ArgumentParser

log = logging.getLogger("stackbe.dispatcher")
OPEN_FILES = 16_384


class Command(BaseCommand):
    help = "Send events to the apps' endpoints. SIGTERM lets what is under way end first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--places", type=int, default=512, help="deliveries at a time")
        parser.add_argument("--per-endpoint", type=int, default=16, help="… of one endpoint")
        parser.add_argument("--per-tenant", type=int, default=128, help="… of one tenant")
        parser.add_argument(
            "--lease",
            type=float,
            default=60.0,
            help="seconds after which a killed dispatcher's deliveries are due again; more than 45",
        )
        parser.add_argument("--grace", type=float, default=10.0, help="seconds that running sends get after SIGTERM")

    def handle(self, **options: Any) -> None:
        if settings.STACKBE_ROLE != "worker":
            raise CommandError("The dispatcher works with the worker's role: set STACKBE_ROLE=worker.")
        limits = Limits(
            places=options["places"],
            per_endpoint=options["per_endpoint"],
            per_tenant=options["per_tenant"],
            lease=timedelta(seconds=options["lease"]),
            grace_seconds=options["grace"],
        )
        allow_many_connections()
        log.info("dispatcher starts", extra={"places": limits.places})
        asyncio.run(dispatch(limits))
        log.info("dispatcher has stopped")


def allow_many_connections() -> None:
    """Raise the number of open files to what the system allows: many shells give a process 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


async def dispatch(limits: Limits) -> None:
    """Run until SIGTERM or SIGINT."""
    async with Sender(allow_local=settings.ALLOW_LOCAL_WEBHOOKS) as sender:
        dispatcher = Dispatcher(sender, limits)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, dispatcher.stop)
        await dispatcher.run()
