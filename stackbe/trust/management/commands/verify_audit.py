"""`manage.py verify_audit`: whether the audit log is what was written."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from stackbe.archive.trusted import trusted_keys
from stackbe.kernel import ids
from stackbe.kernel.archives import ArchiveRefused
from stackbe.kernel.chain import verify_chains
from stackbe.trust.heads import Kept, lost_heads, read_heads
from stackbe.trust.objects import StoreFailed
from stackbe.trust.shelves import shelf

if TYPE_CHECKING:
    from collections.abc import Iterator


class Command(BaseCommand):
    """Go through every tenant's chain; a fault is exit status 1."""

    help = "Go through the audit chains and find rows that were edited, deleted, swapped or cut off at the end."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take one tenant, and where heads and keys are."""
        parser.add_argument("--tenant", metavar="ID", help="only the chain of this tenant, ten_…")
        parser.add_argument(
            "--heads", metavar="PLACE", help="a file, folder or s3://bucket/folder of signed heads, if not AUDIT_HEADS"
        )
        parser.add_argument(
            "--keys", type=Path, metavar="FILE", help="public keys that you kept; else those of this instance"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what was found."""
        tenant = self._tenant(options["tenant"])
        with staff_connection() as staff:
            kept, lost = self._kept(staff, options["heads"], options["keys"])
            verdict = verify_chains(staff, tenant, kept.heads)
        # Where a chain ends before its newest head, it has been said.
        gone = [fault for (owner, number), fault in lost.items() if kept.heads.get(owner, (0, ""))[0] != number]
        faults = [fault for fault in kept.faults + gone if tenant is None or tenant in fault] + verdict.faults
        for fault in faults:
            self.stderr.write(fault)
        outcome = "do not hold" if faults else "hold"
        self.stdout.write(f"{verdict.rows:,} rows, chains of {len(verdict.heads):,} tenants: they {outcome}.")
        if verdict.unsealed:
            self.stdout.write(f"{verdict.unsealed:,} rows are not chained yet: the worker does it every minute.")
        if kept.heads:
            self.stdout.write(f"Compared with {len(kept.heads):,} signed heads, the newest of {kept.newest}.")
        else:
            self.stdout.write("No signed heads to compare with (AUDIT_HEADS): a tail that was cut off would not show.")
        if faults:
            sys.exit(1)

    def _tenant(self, asked: str | None) -> str | None:
        if asked is None:
            return None
        try:
            return str(ids.decode("ten", asked) if asked.startswith("ten_") else UUID(asked))
        except ValueError:
            raise CommandError(f"--tenant wants an id such as ten_01jd…, not {asked}.") from None

    def _kept(
        self, staff: psycopg.Connection[tuple[object, ...]], heads: str | None, keys: Path | None
    ) -> tuple[Kept, dict[tuple[str, int], str]]:
        """Return the newest heads that are kept, and a sentence for each that the chains have lost."""
        named = heads or settings.AUDIT_HEADS
        if not named:
            return Kept(), {}
        try:
            place, trusted = shelf(named), trusted_keys(keys)
            if heads and not place.is_there():
                raise CommandError(f"There are no heads at {heads}.")
            lost = lost_heads(place, trusted, staff)
            return read_heads(place, trusted), {
                (owner, number): f"Tenant {owner}: seal {number} is not the head that was kept elsewhere on {moment}:"
                " the log was cut, and has grown again."
                for (owner, number), moment in lost.items()
            }
        except (ArchiveRefused, StoreFailed, ValueError) as refused:
            raise CommandError(str(refused)) from None


@contextmanager
def staff_connection() -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Yield a connection that sees all tenants' rows and may change none of them.

    Any other role sees no tenant's rows here, and would find that nothing is wrong with them: so a process of another
    role logs in as staff, or is told that it cannot look.
    """
    if "staff" in settings.DATABASES or settings.STACKBE_ROLE == "staff":
        chosen = connections["staff" if "staff" in settings.DATABASES else "default"]
        chosen.ensure_connection()
        yield chosen.connection
    elif not settings.ROLE_URLS.get("staff"):
        sentence = "Only the staff role sees every chain: set DATABASE_STAFF_URL, or run it with STACKBE_ROLE=staff."
        raise CommandError(sentence)
    else:
        with psycopg.connect(settings.ROLE_URLS["staff"], autocommit=True) as own:
            yield own
