"""What the worker does so that the trust page stays true."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import periodic
from stackbe.trust.backups.base import back_up
from stackbe.trust.backups.drill import drill
from stackbe.trust.models import BackupRun

BACK_UP_EVERY = timedelta(days=1)
DRILL_EVERY = timedelta(days=7)


@periodic("trust.keep_backups", "7 * * * *")
def keep_backups(timestamp: int) -> None:
    """Take a backup once a day and restore one once a week, whenever the worker was last up."""
    if not settings.DATABASE_BACKUP_URL:
        return
    if is_due(BackupRun.Kind.BASE, BACK_UP_EVERY):
        back_up()
    if is_due(BackupRun.Kind.DRILL, DRILL_EVERY):
        drill()


def is_due(kind: str, every: timedelta) -> bool:
    """Say whether the last one that went well is too long ago; an hour of slack keeps the time of day."""
    last = BackupRun.unscoped.filter(kind=kind, succeeded=True).order_by("-started_at").first()
    return last is None or last.started_at < wall_clock() - every + timedelta(hours=1)
