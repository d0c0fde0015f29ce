"""`manage.py check_ledger [--app app_…]`: whether every payment was announced once and every step is explained."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import App
from billing.services.ledger import find_faults
from stackbe.kernel.jobs import every_tenant
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import reading


class Command(BaseCommand):
    help = (
        "Check that every paid invoice was announced exactly once, and that every subscription and every access is"
        " what its recorded steps make of it. Changes nothing; exits 1 where something is wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--app", default="", help="one app alone, by its id")

    def handle(self, **options: Any) -> None:
        looked_at = wrong = 0
        for tenant_id in every_tenant():
            whole = system_scope(tenant_id, actor_name="ledger")
            with reading(whole):
                apps = list(App.objects.within(whole))
            for app in apps:
                if options["app"] not in {"", app.public_id}:
                    continue
                looked_at += 1
                scope = whole.for_app(app.pk, app.environment, app.clock_offset)
                with reading(scope):
                    faults = find_faults(scope)
                for fault in faults:
                    self.stdout.write(f"{app.public_id} {fault}")
                wrong += len(faults)
        if options["app"] and not looked_at:
            raise CommandError("No app has this id.")
        if wrong:
            raise CommandError(f"{wrong} faults in the books of {looked_at} apps.")
        self.stdout.write(f"The books of {looked_at} apps are in order.")
