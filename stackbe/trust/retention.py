"""How long each kind of data is kept: the one table that the purge executes and the trust page shows.

What is kept until somebody erases it (customers, plans, invoices, the audit log) is listed without a time. A row with a
time names its table, the moment that the time counts from, and what goes: whole rows, or a part of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.services.second_factors import PENDING
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.idempotency import KEEP as STORED_REPLIES
from stackbe.kernel.ids import first_id

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    import psycopg

NOTHING, MINUTES = timedelta(0), PENDING
DAY, WEEK, MONTH, QUARTER = timedelta(days=1), timedelta(days=7), timedelta(days=30), timedelta(days=90)
# As long as browsers keep the cookie that they are known by.
BROWSERS = timedelta(days=400)
YEARS = timedelta(days=730)
# The purge runs every ten minutes; a check calls late what is still there after this much more.
SLACK = timedelta(hours=3)
PURGE = "trust.purge"
ENDED = "status in ('succeeded', 'failed', 'aborted', 'cancelled')"
LAST_STEP = (
    "coalesce((select max(e.at) from procrastinate_events e where e.job_id = procrastinate_jobs.id), '-infinity')"
)
ARCHIVED = "(select a.created_at from archive_archive a where a.id = archive_archivepart.archive_id)"


@dataclass(frozen=True, slots=True)
class Kept:
    """A kind of data, where it lies, and how long after which moment it stays.

    `since` is an SQL expression of that table; for `id` the time is the one inside a UUIDv7. `only` narrows the rows,
    `empties` says what is set instead of deleting. `platform` tables belong to no tenant.
    """

    kind: str
    table: str
    since: str
    time: timedelta
    counts: str
    only: str = ""
    empties: str = ""
    platform: bool = False
    by: str = PURGE

    def statement(self) -> str:
        """Return the SQL that lets go of what is old; its parameters are `before`, `now` and `tenant`."""
        verb = f"update {self.table} set {self.empties}" if self.empties else f"delete from {self.table}"  # noqa: S608  # the table's own words
        return f"{verb} where {self._condition()}{'' if self.platform else ' and tenant_id = %(tenant)s'}"

    def count(self) -> str:
        """Return the SQL that counts what is still there."""
        return f"select count(*) from {self.table} where {self._condition()}"  # noqa: S608  # as above

    def before(self, moment: datetime) -> Any:
        """Return what `since` is compared with."""
        bound = moment - self.time
        return first_id(bound) if self.since == "id" else bound

    @property
    def how_long(self) -> str:
        """Return the time in words."""
        if self.time < DAY:
            return f"{int(self.time.total_seconds() // 60)} minutes"
        return "1 day" if self.time == DAY else f"{self.time.days} days"

    @property
    def said(self) -> str:
        """Return how long it stays and after which moment, as the trust page and the privacy policy say it."""
        return f"{'at once' if self.time == NOTHING else self.how_long} {self.counts}"

    def _condition(self) -> str:
        return f"{self.since} < %(before)s" + (f" and {self.only}" if self.only else "")


# In the order in which it is executed: what hangs on other rows goes before them.
TABLE = (
    Kept("Sign-in links of customers", "accounts_magiclink", "expires_at", DAY, "after they expire"),
    Kept("Sign-in links of developers", "accounts_developerlink", "expires_at", DAY, "after they expire", platform=True),
    Kept("One-time codes", "accounts_onetimecode", "expires_at", DAY, "after they expire"),
    Kept("Ids of spent links", "accounts_spenttoken", "expires_at", NOTHING, "after they would have expired", platform=True),
    Kept("Sign-ins waiting for a second factor", "accounts_pendingsignin", "expires_at", DAY, "after they expire"),
    Kept("Visits to the security page", "accounts_securityvisit", "expires_at", DAY, "after they expire"),
    Kept("Sign-ins begun elsewhere", "accounts_socialattempt", "expires_at", NOTHING, "after they expire"),
    Kept("Customers' authenticators never confirmed", "accounts_customertotp", "created_at", MINUTES, "after they are begun", only="confirmed_at is null"),
    Kept("Developers' authenticators never confirmed", "accounts_totpfactor", "created_at", MINUTES, "after they are begun", only="confirmed_at is null", platform=True),
    Kept("Refresh tokens", "accounts_refreshtoken", "expires_at", NOTHING, "after they expire"),
    Kept("Sessions and login times of customers", "accounts_customersession", "expires_at", QUARTER, "after they end"),
    Kept("Browser sessions", "kernel_browsersession", "expire_date", NOTHING, "after they expire", platform=True),
    Kept("Browsers that developers are known by", "accounts_device", "last_seen_at", BROWSERS, "after they were last seen", platform=True),
    Kept("Invitations to a tenant", "accounts_memberinvitation", "expires_at", WEEK, "after they expire"),
    Kept("Invitations to an organization", "accounts_organizationinvite", "expires_at", MONTH, "after they expire"),
    Kept("Retired signing keys", "accounts_signingkey", "retired_at", DAY, "after the last token could verify"),
    Kept("Content of uploaded and exported files", "accounts_customerfile", "created_at", DAY, "after they are made", only="content is not null", empties="content = null"),
    Kept("That a file was uploaded or exported", "accounts_customerfile", "created_at", MONTH, "after it was made"),
    Kept("Content of archives", "archive_archivepart", ARCHIVED, DAY, "after they are made"),
    Kept("How an archive is wrapped", "archive_archive", "created_at", DAY, "after it was made", only="dropped_at is null", empties="dropped_at = %(now)s, wrapping = null"),
    Kept("That an archive was made", "archive_archive", "created_at", MONTH, "after it was made"),
    Kept("Replaced webhook secrets", "webhooks_webhookendpoint", "previous_secret_until", NOTHING, "after the overlap", empties="previous_secret = null, previous_secret_until = null"),
    Kept("What receivers of webhooks answered", "webhooks_attempt", "id", MONTH, "after the attempt", only="answer is not null", empties="answer = null"),
    Kept("Attempts to deliver", "webhooks_attempt", "id", QUARTER, "after they were made"),
    Kept("Deliveries", "webhooks_delivery", "id", QUARTER, "after they were made", only="status <> 'pending'"),
    Kept("Events and their bodies", "webhooks_event", "id", QUARTER, "after they happened"),
    Kept("What became of mails", "mail_outgoingmail", "asked_at", MONTH, "after they were asked for"),
    Kept("Mails caught in development", "mail_inboxmessage", "sent_at", WEEK, "after they were caught", platform=True),
    Kept("Replies stored for a repeated request", "kernel_idempotencyrecord", "created_at", STORED_REPLIES, "after the request"),
    Kept("Counters", "kernel_counter", "to_timestamp(expires_at)", NOTHING, "after they run out", platform=True),
    Kept("Finished background jobs", "procrastinate_jobs", LAST_STEP, timedelta(days=14), "after they ended", only=ENDED, platform=True),
    Kept("Answers to tickets", "trust_ticketanswer", "answered_at", YEARS, "after they were given", platform=True),
    Kept("Tickets", "trust_ticket", "opened_at", YEARS, "after they were opened", only="not exists (select from trust_ticketanswer a where a.ticket_id = trust_ticket.id)", platform=True),
    Kept("Checks that found nothing new", "trust_trustcheck", "checked_at", MONTH, "after they ran", only="not changed", platform=True),
    Kept("Checks that found a change", "trust_trustcheck", "checked_at", YEARS, "after they ran", platform=True),
    Kept("Records of backups and drills", "trust_backuprun", "started_at", YEARS, "after they ran", platform=True),
)  # fmt: skip
# What no clock lets go of, or another job does: (kind, how long, who).
OTHERWISE = (
    ("Customers, their names and addresses", "while the account is active, or until they are erased", "the erasure that somebody asks for"),
    ("Subscriptions, plans, features", "while the account is active", "the account's deletion"),
    ("Invoices: numbers, dates, totals", "as long as the law asks; without a name once the person is erased", "nobody"),
    ("Usage counts", "25 months, or as long as the app says", "usage.keep_within_bounds"),
    ("The audit log", "for good; what it says of a person is unreadable once they are erased, and the network address that an act came from stays", "nobody"),
    ("Counts of the rate limits", "two windows, a day at most each", "trust.purge"),
    ("Backups", f"{settings.BACKUP_KEEP_DAYS} days, or as the provider of the database keeps them", "the daily backup"),
    ("Log lines", "as long as the operator keeps them; e-mail addresses, keys and tokens are masked in them", "the operator"),
)  # fmt: skip


def overdue(connection: psycopg.Connection[tuple[Any, ...]]) -> list[str]:
    """Return the kinds of which something is kept longer than the table says, as the connection's role sees it."""
    moment = wall_clock() - SLACK
    found = []
    for kept in TABLE:
        readable = connection.execute("select has_table_privilege(%s, 'select')", [kept.table]).fetchone()
        if not (readable and readable[0]):
            continue
        row = connection.execute(kept.count().encode(), {"before": kept.before(moment)}).fetchone()
        if row and row[0]:
            found.append(kept.kind.lower())
    return found
