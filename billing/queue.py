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
FOLLOW_SEATS = "billing.follow_seats"
MAIL_REMINDER = "billing.mail_reminder"
MIGRATE_SUBSCRIBERS = "billing.migrate_subscribers"


def defer_refresh(scope: Scope, plan_id: UUID | None, *, after: UUID) -> None:
    """Queue in the open change that access be refreshed for the customers that follow `after`."""
    require_change()
    app.configure_task(REFRESH_ACCESS).defer(
        app_id=str(scope.app), plan_id=str(plan_id) if plan_id else None, after=str(after)
    )


def defer_announcement(scope: Scope, organization_id: UUID | None = None, *, after: UUID = NIL) -> None:
    """Queue in the open change that the app hear of each customer who has the default plan, or an organization's."""
    require_change()
    whose = {"organization_id": str(organization_id)} if organization_id else {}
    app.configure_task(ANNOUNCE_DEFAULT).defer(app_id=str(scope.app), after=str(after), **whose)


def defer_reminder(scope: Scope, subscription_id: UUID, kind: str, mail_id: UUID) -> None:
    """Queue in the open change that a customer be mailed about their subscription."""
    require_change()
    app.configure_task(MAIL_REMINDER).defer(
        app_id=str(scope.app), subscription_id=str(subscription_id), kind=kind, mail_id=str(mail_id)
    )


def defer_follow_seats(scope: Scope, subscription_id: UUID) -> None:
    """Queue in the open change that a subscription's quantity at Stripe follow its organization's members.

    Jobs for one subscription run one after the other, so that none writes an older count over a newer.
    """
    require_change()
    task = app.configure_task(FOLLOW_SEATS, queue="stripe", lock=f"seats:{subscription_id}")
    task.defer(app_id=str(scope.app), subscription_id=str(subscription_id))


def defer_migration(scope: Scope, migration_id: UUID) -> None:
    """Queue in the open change that the next subscribers of a plan be taken to its newest version."""
    require_change()
    task = app.configure_task(MIGRATE_SUBSCRIBERS, queue="stripe")
    task.defer(app_id=str(scope.app), migration_id=str(migration_id))
