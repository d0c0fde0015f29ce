"""Periodic work on mail: what nobody asks about any more goes."""

from __future__ import annotations

from datetime import timedelta

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import every_tenant, periodic
from stackbe.kernel.scope import PLATFORM, platform_scope, system_scope
from stackbe.kernel.transactions import change
from stackbe.mail.models import InboxMessage, OutgoingMail

KEEP = timedelta(days=7)
KEEP_OUTCOMES = timedelta(days=30)


@periodic("mail.purge_inbox", "41 4 * * *")
def purge_inbox(timestamp: int) -> None:
    """Delete caught mail after a week; nobody signs in with it any more."""
    InboxMessage.unscoped.filter(sent_at__lt=wall_clock() - KEEP).delete()


@periodic("mail.purge_outcomes", "47 4 * * *")
def purge_outcomes(timestamp: int) -> None:
    """Delete what became of mails after 30 days. Addresses that bounced are kept until somebody lifts that."""
    moment = wall_clock()
    for tenant_id in every_tenant():
        scope = platform_scope("purge") if tenant_id == PLATFORM else system_scope(tenant_id, actor_name="purge")
        with change(scope):
            OutgoingMail.objects.within(scope).filter(asked_at__lt=moment - KEEP_OUTCOMES).delete()
