"""The session that asks, read in one call: see the migration of `accounts_session_shown`."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from accounts.customer_rows import CustomerRow
from accounts.services.proofs import Proven
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.limits import MINUTE, Allowance
from stackbe.kernel.statements import Statement

COUNTED = frozenset({"ok", "limited"})


@dataclass(frozen=True, slots=True)
class Row(CustomerRow):
    """The row of that call."""

    organization_id: UUID | None
    organization_role: str | None
    session_limit: int
    remaining: int
    reset_ms: int

    @property
    def allowance(self) -> Allowance:
        """Return what the session's limit answered."""
        return Allowance(self.outcome == "ok", self.session_limit, self.remaining, self.reset_ms / 1000, MINUTE)


SHOWN = Statement(
    "accounts_session_shown",
    f"select {Row.columns()} from accounts_session_shown(%s, %s, %s, %s, %s)",  # noqa: S608  # our own column names
)


def shown(claims: Proven) -> Row | None:
    """Ask the database once; None where the ordinary way must answer."""
    row = SHOWN.row(claims.session_id, claims.key_id, claims.app_id, claims.customer_id, wall_clock())
    return Row(*row) if row[0] in COUNTED else None
