"""Periodic work on caught mail."""

from __future__ import annotations

from datetime import timedelta

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import periodic
from stackbe.mail.models import InboxMessage

KEEP = timedelta(days=7)


@periodic("mail.purge_inbox", "41 4 * * *")
def purge_inbox(timestamp: int) -> None:
    """Delete caught mail after a week; nobody signs in with it any more."""
    InboxMessage.unscoped.filter(sent_at__lt=wall_clock() - KEEP).delete()
