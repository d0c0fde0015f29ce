"""The names under which billing's own background work is queued; billing/jobs.py does it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from procrastinate.contrib.django import app

from stackbe.kernel.ids import NIL
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

REFRESH_ACCESS = "billing.refresh_access"
ANNOUNCE_DEFAULT = "billing.announce_default"


def defer_refresh(scope: Scope, plan_id: UUID | None, *, after: UUID) -> None:
    """Queue in the open change that access be refreshed for the customers that follow `after`."""
    require_change()
    app.configure_task(REFRESH_ACCESS).defer(
        app_id=str(scope.app), plan_id=str(plan_id) if plan_id else None, after=str(after)
    )


def defer_announcement(scope: Scope, *, after: UUID = NIL) -> None:
    """Queue in the open change that the app hear of each customer who has the default plan."""
    require_change()
    app.configure_task(ANNOUNCE_DEFAULT).defer(app_id=str(scope.app), after=str(after))
