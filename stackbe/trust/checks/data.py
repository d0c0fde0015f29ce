"""Data protection (D1, D2, W1)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings

from stackbe.kernel.clock import wall_clock
from stackbe.trust import operator
from stackbe.trust.checks.asking import as_role, ask, number
from stackbe.trust.checks.scanning import columns_named
from stackbe.trust.models import BackupRun
from stackbe.trust.retention import overdue

if TYPE_CHECKING:
    from stackbe.trust.checks.shapes import Found

# A day and a week, and the hours that a worker may have been down without anybody's fault.
BACKUP_LATE, DRILL_LATE = timedelta(hours=30), timedelta(days=8)
ERASURE_LATE = timedelta(days=1)
PROMISED_REGION = "us"
UNDONE = """
select count(*) from accounts_erasure e where e.done_at is null and e.asked_at < %s and e.kind <> 'tenant'
"""
NEVER_STORED = ("password_hash", "passwd", "payment_method", "card", "bank_account", "request_body", "payload")
# Django's column on developers, who have no password either: one character, and a check that it stays so.
PASSWORDS = "select count(*) from accounts_user where password <> '!'"
USED_LINKS = """
select (select count(*) from accounts_magiclink m where m.token_digest is null and m.expires_at < %s)
"""
COUNTS_ONLY = """
select count(*) from information_schema.columns
where table_schema = 'public' and table_name in ('usage_counter', 'usage_bucket') and column_name <> 'reached'
  and data_type in ('json', 'jsonb', 'text', 'bytea')
"""


def database(found: Found) -> None:
    """Look at the ages of the last backup and of the last drill that went well."""
    with as_role("staff") as staff:
        version = number(staff, "select current_setting('server_version_num')::int")
    found.need(version, f"PostgreSQL {version // 10000}.", "The database is not PostgreSQL.")
    if not settings.DATABASE_BACKUP_URL:
        found.stated("STATED_BACKUPS", "Nobody takes backups: DATABASE_BACKUP_URL is not set.")
        return
    _age(found, BackupRun.Kind.BASE, "backup", BACKUP_LATE)
    _age(found, BackupRun.Kind.DRILL, "restore drill", DRILL_LATE)


def _age(found: Found, kind: str, name: str, late: timedelta) -> None:
    runs = BackupRun.unscoped.filter(kind=kind).order_by("-started_at")
    good = runs.filter(succeeded=True).first()
    last = runs.filter(finished_at__isnull=False).first()
    if good is None:
        found.late(f"No {name} has gone well yet.")
        return
    when = f"{good.started_at:%d %b %Y, %H:%M} UTC"
    if last is not None and last.pk != good.pk and last.started_at > good.started_at:
        found.failed(f"The last {name} failed; the last good one was on {when}.")
    elif good.started_at < wall_clock() - late:
        found.late(f"The last {name} was on {when}.")
    else:
        found.need(holds=True, good=f"The last {name} was on {when}.", bad="")


def region_and_retention(found: Found) -> None:
    """Compare the region that the operator states, read the privacy policy, and look for what was kept too long."""
    said = settings.STATEMENTS.get("STATED_REGION", "")
    region = found.stated("STATED_REGION", "Where the data lies is not said.", f"the data lies in {said}.")
    if region:
        found.need(
            region.lower().startswith(PROMISED_REGION),
            "In the United States, as promised.",
            f"The data lies in {region}; the United States are promised.",
        )
    named = ", ".join(each.name for each in operator.providers())
    found.stated("STATED_PROVIDERS", "Who runs what is not said.", f"It is run with {named}, as listed below.")
    page = ask("GET", "/privacy")
    filled = page.status == 200 and operator.UNFILLED not in page.text  # noqa: PLR2004  # OK
    if filled:
        found.need(holds=True, good="The privacy policy is published.", bad="")
    elif settings.PRODUCTION:
        unsaid = ", ".join(operator.missing("privacy"))
        found.failed(f"The privacy policy is not published, or nobody has filled it in. {unsaid}".strip())
    else:
        found.not_run("A development start has no privacy policy of an operator.")
    with as_role("staff") as staff:
        undone = number(staff, UNDONE, [wall_clock() - ERASURE_LATE])
        found.need(undone == 0, "No erasure waits for more than a day.", f"{undone} erasures wait for more than a day.")
        kept = overdue(staff)
    found.need(not kept, "Nothing is kept longer than the table below says.", f"Kept too long: {', '.join(kept)}.")


def what_is_stored(found: Found) -> None:
    """Compare the schema with the table of what is stored and what is not."""
    with as_role("staff") as staff:
        named = columns_named(staff, NEVER_STORED)
        found.need(not named, "No column for passwords, cards or payloads.", f"Columns: {', '.join(named)}.")
        found.need(number(staff, PASSWORDS) == 0, "Nobody has a password.", "Somebody has a password.")
        found.need(number(staff, COUNTS_ONLY) == 0, "Usage is counts.", "A usage table could hold content.")
        kept = number(staff, USED_LINKS, [wall_clock() - timedelta(hours=26)])
        found.need(kept == 0, "No link is kept after use.", "Used links are kept.")
