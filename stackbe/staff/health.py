"""How the service fares: for each part a figure, a verdict and a day of plots.

All is counted from rows that are there anyway, read with the staff role; keys are UUIDv7, so the last day is a
range of each primary key. Counts of failures that leave no row are kept by the hour (kernel/tally.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connections

from stackbe.kernel import tally
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import first_id
from stackbe.trust.services.chains import LATE

if TYPE_CHECKING:
    from collections.abc import Mapping

HOURS, HEIGHT = 24, 36
JOBS = "console:procrastinate_procrastinatejob_changelist"
GOOD, WARN, BAD = "good", "warn", "bad"


@dataclass(frozen=True, slots=True)
class Plot:
    """One series, an hour a bar, the oldest first."""

    label: str
    values: list[int]
    tone: str = ""

    @property
    def bars(self) -> list[dict[str, Any]]:
        """Return the drawn bars: ten units wide each, the highest fills the height."""
        highest = max([*self.values, 1])
        drawn = []
        for place, value in enumerate(self.values):
            height = max(2, round(HEIGHT * value / highest)) if value else 0
            ago = HOURS - 1 - place
            words = f"{value} {'in the last hour' if ago == 0 else f'{ago} to {ago + 1} hours ago'}"
            drawn.append({"x": place * 10 + 1, "y": HEIGHT - height, "height": height, "words": words})
        return drawn

    @property
    def total(self) -> int:
        """Return the day's sum."""
        return sum(self.values)


@dataclass(frozen=True, slots=True)
class Panel:
    """One part of the service."""

    title: str
    verdict: str
    figure: str
    words: str
    plots: list[Plot] = field(default_factory=list)
    link: str = ""
    link_words: str = ""
    query: str = ""

    @property
    def word(self) -> str:
        """Return what to do about it, in a word."""
        return {GOOD: "Good", WARN: "Look", BAD: "Act"}[self.verdict]


QUEUES = """
select count(*) filter (where j.status = 'todo' and (j.scheduled_at is null or j.scheduled_at <= %(now)s)),
  count(*) filter (where j.status = 'doing'), count(*) filter (where j.status = 'failed'),
  coalesce(extract(epoch from %(now)s - min(e.at) filter (
    where j.status = 'todo' and (j.scheduled_at is null or j.scheduled_at <= %(now)s))), 0)
from procrastinate_jobs j left join procrastinate_events e on e.job_id = j.id and e.type = 'deferred'
where j.status in ('todo', 'doing', 'failed')
"""
# Each counts by the hour: (hours ago, of which kind, how many).
HOURLY: Mapping[str, str] = {
    "stripe": """
select floor(extract(epoch from %(now)s - received_at) / 3600)::int,
  case when state = 'failed' or (state = 'received' and error_class <> '') then 'failed'
    when recovered then 'repaired' else 'in step' end, count(*)
from billing_stripeevent where id >= %(first)s group by 1, 2
""",
    "webhooks": """
select floor(extract(epoch from %(now)s - attempted_at) / 3600)::int,
  case when response_status between 200 and 299 then 'taken' else 'failed' end, count(*)
from webhooks_attempt where id >= %(first)s group by 1, 2
""",
    "signin": """
select floor(extract(epoch from %(now)s - occurred_at) / 3600)::int,
  case when action like '%%refused' then 'refused' else 'signed in' end, count(*)
from kernel_auditevent where id >= %(first)s
  and action in ('developer.signed_in', 'staff.entered', 'factor.refused', 'customer.factor_refused')
group by 1, 2
""",
    "mail": """
select floor(extract(epoch from %(now)s - asked_at) / 3600)::int,
  case when status in ('refused', 'bounced') then 'came back' when status = 'waiting' then 'waiting' else 'sent' end,
  count(*)
from mail_outgoingmail where id >= %(first)s group by 1, 2
""",
}
WAITING = """
select
  (select count(*) from billing_stripeevent where state = 'received'),
  (select coalesce(extract(epoch from %(now)s - min(received_at)), 0) from billing_stripeevent
    where state = 'received'),
  (select count(*) from webhooks_delivery where status = 'pending' and due_at <= %(now)s),
  (select coalesce(extract(epoch from %(now)s - min(due_at)), 0) from webhooks_delivery
    where status = 'pending' and due_at <= %(now)s),
  (select count(*) from webhooks_webhookendpoint where not enabled and deleted_at is null),
  (select count(*) from mail_outgoingmail where status = 'waiting' and asked_at > %(now)s - interval '1 day'),
  (select coalesce(extract(epoch from %(now)s - min(asked_at)), 0) from mail_outgoingmail
    where status = 'waiting' and asked_at > %(now)s - interval '1 day'),
  chains.*
from (select count(*), count(*) filter (where not holds), count(*) filter (where verified_at < %(late)s)
  from trust_chain) chains
"""


def panels(database: str) -> list[Panel]:
    """Return every part's panel, from a handful of queries."""
    moment = wall_clock()
    first, late = first_id(moment - timedelta(hours=HOURS)), moment - LATE
    asked: dict[str, Any] = {"now": moment, "first": first, "late": late}
    with connections[database].cursor() as cursor:
        cursor.execute(QUEUES, asked)
        todo, doing, failed, age = cursor.fetchone()
        cursor.execute(WAITING, asked)
        stripe_waits, stripe_age, due, due_age, silent, mails, mail_age, *chains = cursor.fetchone()
        hourly: dict[str, dict[str, list[int]]] = {}
        for name, statement in HOURLY.items():
            cursor.execute(statement, asked)
            hourly[name] = by_kind(cursor.fetchall())
    return [
        queue_panel(todo, doing, failed, float(age)),
        errors_panel(),
        stripe_panel(hourly["stripe"], stripe_waits, float(stripe_age)),
        webhook_panel(hourly["webhooks"], due, float(due_age), silent),
        sign_in_panel(hourly["signin"]),
        mail_panel(hourly["mail"], mails, float(mail_age)),
        chains_panel(*chains),
    ]


def queue_panel(todo: int, doing: int, failed: int, age: float) -> Panel:
    """Return how long work waits."""
    verdict = BAD if age > 300 else WARN if age > 30 or failed else GOOD  # noqa: PLR2004  # seconds, as readyz has them
    words = f"{todo} waiting, {doing} running, {failed} given up. The figure is how long the oldest waits."
    query = "?status__exact=failed" if failed else ""
    return Panel("Queue", verdict, spoken(age), words, [], JOBS, "Jobs", query)


def errors_panel() -> Panel:
    """Return how many answers were our own fault."""
    errors = tally.hours(tally.SERVER_ERROR, HOURS)
    verdict = BAD if sum(errors[-2:]) > 10 else WARN if sum(errors) else GOOD  # noqa: PLR2004  # more than a stray one
    words = "answers with 500 or above in a day, API and pages. The log has each with its request id."
    plots = [Plot("Answers with 500 or above", errors, BAD)]
    return Panel("Errors", verdict, str(sum(errors)), words, plots)


def stripe_panel(found: dict[str, list[int]], waiting: int, age: float) -> Panel:
    """Return whether Stripe's events are worked off, and what had to be repaired."""
    failed, repaired = found.get("failed", EMPTY), found.get("repaired", EMPTY)
    verdict = BAD if age > 300 else WARN if sum(failed) or sum(repaired) else GOOD  # noqa: PLR2004  # seconds
    words = (
        f"repaired in a day: events that never came or were not worked off, and were found. {waiting} wait now, the"
        f" oldest for {spoken(age)}."
    )
    plots = [
        Plot("In step", found.get("in step", EMPTY)),
        Plot("Repaired", repaired, WARN),
        Plot("Failed", failed, BAD),
    ]
    return Panel(
        "Stripe", verdict, str(sum(repaired)), words, plots, "console:billing_stripeevent_changelist", "Stripe’s inbox"
    )


def webhook_panel(found: dict[str, list[int]], due: int, age: float, silent: int) -> Panel:
    """Return how apps take their events."""
    failed, taken = found.get("failed", EMPTY), found.get("taken", EMPTY)
    tries = sum(failed) + sum(taken)
    share = 100 * sum(failed) / tries if tries else 0.0
    verdict = BAD if age > 300 else WARN if share > 20 or silent else GOOD  # noqa: PLR2004  # seconds, per cent
    words = (
        f"of {tries} tries in a day failed. {due} deliveries are due, the oldest for {spoken(age)};"
        f" {silent} endpoints are switched off."
    )
    plots = [Plot("Taken", taken), Plot("Failed", failed, BAD)]
    return Panel(
        "Webhooks", verdict, f"{share:.0f} %", words, plots, "console:webhooks_delivery_changelist", "Deliveries"
    )


def sign_in_panel(found: dict[str, list[int]]) -> Panel:
    """Return how many come in, and how many second factors were refused."""
    refused, came = found.get("refused", EMPTY), found.get("signed in", EMPTY)
    verdict = WARN if sum(refused) > max(10, sum(came)) else GOOD  # typing errors are ordinary
    words = "second factors refused in a day. Below, with developers and staff who signed in."
    return Panel(
        "Sign-in", verdict, str(sum(refused)), words, [Plot("Signed in", came), Plot("Refused", refused, WARN)]
    )


def mail_panel(found: dict[str, list[int]], waiting: int, age: float) -> Panel:
    """Return whether mail goes out."""
    back = found.get("came back", EMPTY)
    returned = sum(back)
    verdict = BAD if age > 300 else WARN if age > 30 or returned else GOOD  # noqa: PLR2004  # seconds
    words = f"is how long the oldest of {waiting} waiting mails waits. {returned} came back or were refused in a day."
    return Panel(
        "Mail", verdict, spoken(age), words, [Plot("Sent", found.get("sent", EMPTY)), Plot("Came back", back, BAD)]
    )


def chains_panel(there: int, broken: int, late: int) -> Panel:
    """Return whether the audit chains held when they were last gone through, and whether that was within the day."""
    verdict = BAD if broken else WARN if late else GOOD
    words = (
        f"of {there} audit chains did not hold when they were last gone through. {late} were not gone through for more"
        " than a day."
    )
    return Panel("Audit", verdict, str(broken), words, [], "console:trust_chain_changelist", "Audit chains")


EMPTY = [0] * HOURS


def by_kind(rows: list[tuple[int, str, int]]) -> dict[str, list[int]]:
    """Return a day of hours for each kind."""
    found: dict[str, list[int]] = {}
    for ago, kind, number in rows:
        if 0 <= ago < HOURS:
            found.setdefault(kind, [0] * HOURS)[HOURS - 1 - ago] += number
    return found


def spoken(seconds: float) -> str:
    """Return a duration in the largest unit that says enough."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def hour_shown() -> dict[str, str]:
    """Return the hour that the plots end with."""
    return {"ends": f"{wall_clock().astimezone(UTC):%H:%M} UTC"}
