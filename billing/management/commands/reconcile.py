"""`manage.py reconcile [--dry-run] [--app app_…]`: bring our rows in step with Stripe, and say where they were not."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from billing.stripe.drift import catalogue_drift, repair_catalogue
from billing.stripe.reconcile import compare, look_for_missed, repair_mismatch
from billing.stripe.scopes import connected_scopes
from stackbe.kernel.errors import ApiError
from stackbe.kernel.ids import encode
from stackbe.kernel.transactions import reading

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope


class Command(BaseCommand):
    help = (
        "Compare every live subscription and the catalogue with Stripe, and repair what differs. Exits 1 where an"
        " account cannot be read."
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
                self.reconcile(scope, account_id, name, repairs=not options["dry_run"])
            except ApiError as failure:
                unread += 1
                self.stderr.write(f"{name} {account_id}: {failure}")
        if options["app"] and not seen:
            raise CommandError("No connected app has this id.")
        if unread:
            raise CommandError(f"{unread} accounts could not be read.")

    def reconcile(self, scope: Scope, account_id: str, name: str, *, repairs: bool) -> None:
        """Compare one app with its account; say each difference and, where it `repairs`, remove it."""
        done = "repaired" if repairs else "differ"
        if repairs:
            found = look_for_missed(scope, account_id)
            self.stdout.write(f"{name} {account_id}: {found.missed + found.stuck} events made up for.")
        mismatches = compare(scope, account_id)
        for each in mismatches:
            self.stdout.write(f"{name} {each.sentence}")
            if repairs:
                repair_mismatch(scope, account_id, each)
        self.stdout.write(f"{name} {account_id}: {len(mismatches)} subscriptions {done}.")
        with reading(scope):
            drifted = catalogue_drift(scope)
        for difference in drifted:
            self.stdout.write(f"{name} {difference.sentence}")
        if drifted and repairs:
            repair_catalogue(scope)
        self.stdout.write(f"{name} {account_id}: {len(drifted)} facts of the catalogue {done}.")
