"""What the worker does so that the trust page stays true."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import periodic
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import change
from stackbe.trust import chain_jobs, change_mail, leak_mail, rotation_mail, ticket_mail
from stackbe.trust.backups.base import back_up
from stackbe.trust.backups.drill import drill
from stackbe.trust.heads import keep_heads
from stackbe.trust.models import BackupRun
from stackbe.trust.services import chains, purging, tickets, watching
from stackbe.trust.shelves import shelf

# Importing them declares their jobs to the worker.
JOBS = (
    chain_jobs.verify_one_chain,
    change_mail.mail_trust_changes,
    leak_mail.mail_leaked_key,
    rotation_mail.mail_rotated_keys,
    ticket_mail.mail_ticket_answer,
    ticket_mail.mail_ticket_receipt,
    ticket_mail.mail_security_role,
)
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


@periodic("trust.look", "*/15 * * * *")
def look(timestamp: int) -> None:
    """See whether every promise is kept, and tell of what has changed."""
    watching.run_checks()


@periodic("trust.purge", "*/10 * * * *")
def purge(timestamp: int) -> None:
    """Let go of what the table of retention keeps no longer."""
    purging.purge()


@periodic("trust.chase_tickets", "*/5 * * * *")
def chase_tickets(timestamp: int) -> None:
    """Tell the security role of reports that have waited for 20 hours."""
    scope = platform_scope("tickets")
    with change(scope):
        tickets.chase_unanswered(scope)


@periodic("trust.keep_heads", "* * * * * 30")
def keep_audit_heads(timestamp: int) -> None:
    """Keep the signed heads of the audit chains where the operator wants them, half a minute after rows are chained."""
    if settings.AUDIT_HEADS:
        keep_heads(shelf(settings.AUDIT_HEADS))


@periodic("trust.verify_chains", "41 * * * *")
def verify_chains(timestamp: int) -> None:
    """Go through the audit chains that nobody has gone through for a day."""
    chains.verify_due()


def is_due(kind: str, every: timedelta) -> bool:
    """Say whether the last one that went well is too long ago; an hour of slack keeps the time of day."""
    last = BackupRun.unscoped.filter(kind=kind, succeeded=True).order_by("-started_at").first()
    return last is None or last.started_at < wall_clock() - every + timedelta(hours=1)
