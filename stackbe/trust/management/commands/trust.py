"""`manage.py trust`: is every promise kept, on this very deployment?"""

from __future__ import annotations

import json
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from stackbe.trust.checks.shapes import State
from stackbe.trust.checks.table import PROMISES
from stackbe.trust.services.watching import run_checks


class Command(BaseCommand):
    """Run the checks of the trust page now, print and keep what they find."""

    help = "Check every promise of the trust page on this deployment. Exit status 1 where one is broken or late."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take which, and how it is printed."""
        parser.add_argument("promises", nargs="*", metavar="ID", help="such as E1 and A2; all of them without")
        parser.add_argument("--json", action="store_true", help="print one JSON text")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, print, and answer with the exit status."""
        if unknown := set(options["promises"]) - set(PROMISES):
            raise CommandError(f"No such promise: {', '.join(sorted(unknown))}. There are {', '.join(PROMISES)}.")
        rows = run_checks(options["promises"])
        if options["json"]:
            found = [{"id": r.promise_id, "state": r.state, "evidence": r.evidence} for r in rows]
            self.stdout.write(json.dumps(found))
        else:
            if not settings.PRODUCTION:
                self.stdout.write("This is a development start: what only a deployment has is NOT RUN.\n\n")
            for row in rows:
                self.stdout.write(f"{row.promise_id}  {State(row.state).word:<22}  {row.promise}\n    {row.evidence}")
            counts = {state: sum(row.state == state for row in rows) for state in State}
            self.stdout.write("\n" + ", ".join(f"{n} {state.word}" for state, n in counts.items() if n))
        if any(State(row.state).is_red for row in rows):
            sys.exit(1)
