"""`manage.py rotate_keys`: replace keys while everything runs."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from stackbe.kernel import ids
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import every_tenant
from stackbe.kernel.scope import system_scope
from stackbe.trust.services.rotation import peppers, telling
from stackbe.trust.services.rotation.kinds import KINDS, Kind, retire_where_done

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

BY_DEFAULT = [kind.name for kind in KINDS if not kind.only_by_name]


class Command(BaseCommand):
    """Go through all tenants; kill it at any time, and run it again."""

    help = (
        "Replace keys and move what lies under them, in small transactions, while everything runs. It can be killed"
        " at any time and run again: what is left to do is read from the rows."
    )

    unused = dropped = told = 0

    def add_arguments(self, parser: CommandParser) -> None:
        """Take which keys, whose, and how old."""
        names = ", ".join(kind.name for kind in KINDS)
        parser.add_argument(
            "--only", metavar="KINDS", default=",".join(BY_DEFAULT),
            help=f"of {names}, by commas; all but webhook by default, whose receivers must learn theirs",
        )  # fmt: skip
        parser.add_argument(
            "--older-than", type=float, default=24.0, metavar="HOURS", help="leave younger keys alone (24)"
        )
        parser.add_argument("--tenant", metavar="ID", help="only this tenant, ten_…")
        parser.add_argument(
            "--drop-peppers", type=float, metavar="DAYS",
            help="forget peppers that were replaced so long ago, and revoke API keys that were not used since",
        )  # fmt: skip
        parser.add_argument("--dry-run", action="store_true", help="count what would be touched, and touch nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate, say how much, and end with status 1 where something could not be read."""
        kinds, moment = self._kinds(options["only"]), wall_clock() - timedelta(hours=options["older_than"])
        touched, left, faults = dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0), list[str]()
        for tenant_id in self._tenants(options["tenant"]):
            scope = system_scope(tenant_id, actor_name="operator")
            if not options["dry_run"]:
                for kind in kinds:
                    touched[kind] += kind.rotate(scope, moment, faults)
                retire_where_done(scope, moment)
            for kind in kinds:
                left[kind] += kind.pending(scope, moment)
            self._peppers(scope, options)
            self.told += not options["dry_run"] and telling.tell_owners(scope)
        for kind in kinds:
            done = "" if options["dry_run"] else f"{touched[kind]:,} done, "
            self.stdout.write(f"{kind.name:12} {done}{left[kind]:,} to do: {kind.says}")
        self._tell_of_peppers(options)
        if self.told:
            self.stdout.write(f"Owners of {self.told:,} accounts are mailed what is new.")
        for fault in faults:
            self.stderr.write(fault)
        if faults:
            sys.exit(1)

    def _peppers(self, scope: Scope, options: dict[str, Any]) -> None:
        days = options["drop_peppers"]
        before = None if days is None else wall_clock() - timedelta(days=days)
        self.unused += peppers.waiting_for_use(scope, before)
        if before is not None and not options["dry_run"]:
            self.dropped += peppers.drop_peppers(scope, before)

    def _tell_of_peppers(self, options: dict[str, Any]) -> None:
        if options["drop_peppers"] is not None:
            verb = "would be revoked" if options["dry_run"] else "were revoked"
            self.stdout.write(f"{self.dropped:,} peppers dropped; {self.unused:,} API keys that were not used {verb}.")
        elif self.unused:
            self.stdout.write(f"{self.unused:,} API keys lie under a pepper that was replaced, until they are used.")

    def _kinds(self, asked: str) -> list[Kind]:
        by_name = {kind.name: kind for kind in KINDS}
        names = [name.strip() for name in asked.split(",") if name.strip()]
        if unknown := [name for name in names if name not in by_name]:
            raise CommandError(f"--only knows {', '.join(by_name)}; not {', '.join(unknown)}.")
        return [kind for kind in KINDS if kind.name in names]

    def _tenants(self, asked: str | None) -> list[UUID]:
        if asked is None:
            return every_tenant()
        try:
            return [ids.decode("ten", asked)]
        except ids.MalformedId:
            raise CommandError(f"--tenant wants an id such as ten_01jd…, not {asked}.") from None
