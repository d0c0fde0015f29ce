"""`manage.py reconcile [--dry-run] [--app app_…]`: bring our rows in step with Stripe, and say where they were not."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.stripe.reconcile import compare, look_for_missed, repair_mismatch
from billing.stripe.scopes import connected_scopes
from stackbe.kernel.errors import ApiError
from stackbe.kernel.ids import encode


class Command(BaseCommand):
    help = (
        "Compare every live subscription with Stripe and repair what differs. Exits 1 where an account cannot be read."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what differs and change nothing")
        parser.add_argument("--app", default="", help="one app alone, by its id")

    def handle(self, **options: Any) -> None:
        unread = seen = 0
        for scope, account_id in connected_scopes("reconcile"):
            name = encode("app", scope.app)
            if options["app"] not in {"", name}:
                continue
            seen += 1
            try:
                if not options["dry_run"]:
                    found = look_for_missed(scope, account_id)
                    self.stdout.write(f"{name} {account_id}: {found.missed + found.stuck} events made up for.")
                mismatches = compare(scope, account_id)
                for each in mismatches:
                    self.stdout.write(f"{name} {each.sentence}")
                    if not options["dry_run"]:
                        repair_mismatch(scope, account_id, each)
            except ApiError as failure:
                unread += 1
                self.stderr.write(f"{name} {account_id}: {failure}")
                continue
            done = "differ" if options["dry_run"] else "repaired"
            self.stdout.write(f"{name} {account_id}: {len(mismatches)} subscriptions {done}.")
        if options["app"] and not seen:
            raise CommandError("No connected app has this id.")
        if unread:
            raise CommandError(f"{unread} accounts could not be read.")
