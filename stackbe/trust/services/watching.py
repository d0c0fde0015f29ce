"""Running the checks, keeping what they found, and telling of what has changed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import enqueue, every_tenant
from stackbe.kernel.scope import PLATFORM, platform_scope
from stackbe.kernel.transactions import change
from stackbe.trust import change_mail
from stackbe.trust.checks import table
from stackbe.trust.checks.shapes import Found, NotRun, State
from stackbe.trust.models import TrustCheck

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stackbe.trust.checks.shapes import Promise

log = logging.getLogger("stackbe.trust")
# The worker looks every quarter of an hour; what was not looked at for this long is late, whatever was found then.
LATE = timedelta(hours=2)
MOST_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Standing:
    """How a promise stands now: the last look at it, unless that is too long ago, and when it was last kept."""

    promise: Promise
    state: State
    evidence: str
    checked_at: datetime | None
    kept_at: datetime | None


def look(promise: Promise) -> Found:
    """Run one check, with no change open. One that crashes is a failure: it shows nothing."""
    found = Found()
    try:
        promise.look(found)
    except NotRun as reason:
        found.not_run(str(reason))
    except Exception as crash:
        log.exception("a check crashed", extra={"promise": promise.id})
        found.failed(f"The check itself crashed ({type(crash).__name__}).")
    return found


def run_checks(wanted: Iterable[str] = ()) -> list[TrustCheck]:
    """Look at every promise, or at those wanted, and keep what was found, in the table's order.

    Owners of tenants are mailed, in the same change, where a promise is broken or kept again or reads otherwise.
    """
    chosen = [promise for promise in table.PROMISES.values() if not (names := set(wanted)) or promise.id in names]
    seen = [(promise, look(promise)) for promise in chosen]
    with change(platform_scope("trust")):
        rows = [_keep(promise, found) for promise, found in seen]
        if told := [row for row in rows if is_news(row)]:
            for tenant_id in every_tenant():
                if tenant_id != PLATFORM and not settings.DEVELOPMENT:
                    ids = [str(row.id) for row in told]
                    enqueue(change_mail.mail_trust_changes, tenant_id=str(tenant_id), check_ids=ids)
    return rows


def is_news(row: TrustCheck) -> bool:
    """Say whether a found change is one that owners are mailed about: broken, kept again, or promised otherwise."""
    if not row.changed:
        return False
    return State(row.before).is_red != State(row.state).is_red or row.promise != row.promise_before


def standings() -> list[Standing]:
    """Return how every promise stands, in the table's order."""
    moment = wall_clock()
    return [_standing(promise, moment) for promise in table.PROMISES.values()]


def changes(most: int = 20) -> list[TrustCheck]:
    """Return what has changed, newest first."""
    return list(TrustCheck.unscoped.filter(changed=True).order_by("-id")[:most])


def _standing(promise: Promise, moment: datetime) -> Standing:
    rows = TrustCheck.unscoped.filter(promise_id=promise.id).order_by("-id")
    last = rows.first()
    if last is None:
        return Standing(promise, State.NOT_RUN, "No check has run here yet.", None, None)
    good = rows.filter(state__in=(State.OK, State.STATED)).values_list("checked_at", flat=True).first()
    if last.checked_at < moment - LATE:
        said = "Nobody has looked since; the checks run every quarter of an hour."
        return Standing(promise, State.LATE, said, last.checked_at, good)
    return Standing(promise, State(last.state), last.evidence, last.checked_at, good)


def _keep(promise: Promise, found: Found) -> TrustCheck:
    before = TrustCheck.unscoped.filter(promise_id=promise.id).order_by("-id").first()
    row = TrustCheck(
        promise_id=promise.id,
        promise=promise.promise,
        state=found.state,
        evidence=found.evidence[:MOST_SHOWN],
        changed=before is not None and (before.state, before.promise) != (found.state, promise.promise),
        before=before.state if before else "",
        promise_before=before.promise if before else "",
    )
    row.save(force_insert=True)
    return row
