"""Writing down what came of a claim. A lease that has passed to another is left alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError, connection

from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import enqueue
from stackbe.kernel.models import SubjectKey
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change, current
from webhooks import tasks
from webhooks.dispatch.fanout import ACTOR
from webhooks.dispatch.queue import Claimed, Parcel, Unsendable
from webhooks.models import Attempt, Delivery, WebhookEndpoint
from webhooks.schedule import Outcome, Verdict, endpoint_exhausted, judge_attempt

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from stackbe.kernel.scope import Scope
    from webhooks.sending import Answer

log = logging.getLogger("stackbe.dispatcher")

FINISH = """
update webhooks_delivery as d set
  status = r.status, attempts = r.attempts, due_at = r.due_at, finished_at = r.finished_at,
  response_status = r.response_status, duration_ms = r.duration_ms, error = r.error, lease = null
from unnest(
  %s::uuid[], %s::uuid[], %s::text[], %s::int[], %s::timestamptz[], %s::timestamptz[], %s::int[],
  %s::int[], %s::text[]
) as r(id, lease, status, attempts, due_at, finished_at, response_status, duration_ms, error)
where d.id = r.id and d.lease = r.lease and d.status = 'pending'
returning d.id
"""
LOG = """
insert into webhooks_attempt (id, tenant_id, app_id, delivery_id, subject_id, number, response_status, duration_ms,
  error, answer, attempted_at)
select a.id, %(tenant)s, %(app)s, a.delivery_id, a.subject_id, a.number, a.response_status, a.duration_ms, a.error,
  a.answer, a.attempted_at
from unnest(%(id)s::uuid[], %(delivery_id)s::uuid[], %(subject_id)s::uuid[], %(number)s::int[],
  %(response_status)s::int[], %(duration_ms)s::int[], %(error)s::text[], %(answer)s::bytea[],
  %(attempted_at)s::timestamptz[]) as a(id, delivery_id, subject_id, number, response_status, duration_ms, error,
  answer, attempted_at)
"""
COLUMNS = ("id", "delivery_id", "subject_id", "number", "response_status", "duration_ms", "error", "attempted_at")
# What is lost of this with a crash of PostgreSQL is sent again under the same id, as after a crash of ours: no
# acknowledged write is at stake, so nobody waits for the disk.
WAIT_FOR_NO_DISK = "set local synchronous_commit = off"
RELEASE = """
update webhooks_delivery set due_at = %s, lease = null
where id = any(%s::uuid[]) and lease = any(%s::uuid[]) and status = 'pending'
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """One attempt that was made, when, and what answered."""

    parcel: Parcel
    answer: Answer
    at: datetime

    @property
    def claim(self) -> Claimed:
        """Return whose attempt it was."""
        return self.parcel.claim


def record(results: Iterable[Sent | Unsendable]) -> None:
    """Write attempts, the state of their deliveries and the health of their endpoints.

    One change for each app. Repeating it after a lost connection is harmless: the lease is
    gone after the first time, so nothing is written twice.
    """
    by_app = sorted(results, key=lambda r: (r.claim.tenant_id, r.claim.app_id))
    for (tenant_id, app_id), group in groupby(by_app, key=lambda r: (r.claim.tenant_id, r.claim.app_id)):
        _record_safely(system_scope(tenant_id, app_id, actor_name=ACTOR), list(group))


def release(claims: Iterable[Claimed]) -> None:
    """Give claims back unsent, due at once: the dispatcher is stopping."""
    given_back = list(claims)
    with connection.cursor() as cursor:
        cursor.execute(
            RELEASE,
            [wall_clock(), [c.id for c in given_back], list({c.lease for c in given_back})],
        )


def _record_safely(scope: Scope, results: list[Sent | Unsendable]) -> None:
    """Record all of it; where the log cannot be written, at least that the deliveries were made.

    Otherwise one row that cannot be written would have its delivery repeated for ever.
    """
    moment = wall_clock()
    sent = [r for r in results if isinstance(r, Sent)]
    verdicts = {r.claim.id: _verdict(r, moment) for r in sent}
    rows = [_row(r, verdicts.get(r.claim.id), moment) for r in results]
    try:
        with change(scope):
            wait_for_no_disk()
            ours = _finish(rows)
            _record_attempts(scope, [r for r in sent if r.claim.id in ours])
            _judge_endpoints(scope, sent, verdicts, moment)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("attempts could not be logged")
        with change(scope):
            _finish(rows)


def _record_attempts(scope: Scope, sent: list[Sent]) -> None:
    """Log the attempts. What was answered about a person erased meanwhile is dropped."""
    people = {r.parcel.subject_id for r in sent if r.parcel.subject_id is not None}
    keys = SubjectKey.objects.within(scope).filter(subject_id__in=people, destroyed_at__isnull=True)
    known: set[UUID] = set(keys.values_list("subject_id", flat=True)) if people else set()
    current().keys.preload(known)
    attempts = [_attempt(r, keep_answer=r.parcel.subject_id is None or r.parcel.subject_id in known) for r in sent]
    sealed = Attempt._meta.get_field("answer")
    columns = {name: [getattr(attempt, name) for attempt in attempts] for name in COLUMNS}
    columns["answer"] = [sealed.pre_save(attempt, add=True) for attempt in attempts]
    with connection.cursor() as cursor:
        cursor.execute(LOG, columns | {"tenant": scope.tenant_id, "app": scope.app})


def _judge_endpoints(scope: Scope, sent: list[Sent], verdicts: dict[UUID, Verdict], moment: datetime) -> None:
    """Note how endpoints fare: those that took everything in one statement, the others one by one."""
    outcomes: dict[UUID, set[Outcome]] = {}
    for result in sent:
        outcomes.setdefault(result.claim.endpoint_id, set()).add(verdicts[result.claim.id].outcome)
    well = sorted(endpoint for endpoint, found in outcomes.items() if found == {Outcome.DELIVERED})
    recovered = WebhookEndpoint.objects.within(scope).filter(pk__in=well, failing_since__isnull=False)
    recovered.update(failing_since=None)
    for endpoint_id in sorted(outcomes.keys() - set(well)):
        _judge_endpoint(scope, endpoint_id, outcomes[endpoint_id], moment)


def wait_for_no_disk() -> None:
    """Let the open transaction commit without waiting for the disk; what it writes can be done again."""
    with connection.cursor() as cursor:
        cursor.execute(WAIT_FOR_NO_DISK)


def _verdict(result: Sent, moment: datetime) -> Verdict:
    answer, number = result.answer, result.claim.attempts + 1
    return judge_attempt(number, answer.status, retry_after=answer.retry_after, now=moment)


def _row(result: Sent | Unsendable, verdict: Verdict | None, moment: datetime) -> tuple[object, ...]:
    claim = result.claim
    if isinstance(result, Unsendable) or verdict is None:
        reason = result.reason if isinstance(result, Unsendable) else ""
        status = Delivery.Status.CANCELED.value
        return (claim.id, claim.lease, status, claim.attempts, moment, moment, None, None, reason)
    answer = result.answer
    status = {
        Outcome.DELIVERED: Delivery.Status.DELIVERED,
        Outcome.RETRY: Delivery.Status.PENDING,
        Outcome.FAILED: Delivery.Status.FAILED,
        Outcome.GONE: Delivery.Status.FAILED,
    }[verdict.outcome].value
    due_at = moment if verdict.wait is None else moment + verdict.wait
    finished_at = moment if verdict.wait is None else None
    return (
        claim.id, claim.lease, status, claim.attempts + 1, due_at, finished_at,
        answer.status, answer.duration_ms, answer.error.value,
    )  # fmt: skip


def _finish(rows: list[tuple[object, ...]]) -> set[UUID]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(FINISH, columns)
        return {row[0] for row in cursor.fetchall()}


def _attempt(result: Sent, *, keep_answer: bool) -> Attempt:
    claim, answer = result.claim, result.answer
    said = answer.excerpt or answer.detail or None
    return Attempt(
        tenant_id=claim.tenant_id,
        app_id=claim.app_id,
        delivery_id=claim.id,
        subject_id=result.parcel.subject_id,
        number=claim.attempts + 1,
        response_status=answer.status,
        duration_ms=answer.duration_ms,
        error=answer.error.value,
        answer=said if keep_answer else None,
        attempted_at=result.at,
    )


def _judge_endpoint(scope: Scope, endpoint_id: UUID, outcomes: set[Outcome], moment: datetime) -> None:
    """Keep since when an endpoint has failed, and switch it off on 410 or after five days."""
    rows = WebhookEndpoint.objects.within(scope).filter(pk=endpoint_id, enabled=True)
    reason = WebhookEndpoint.DisabledReason
    if Outcome.GONE in outcomes:
        _disable(scope, endpoint_id, reason.GONE)
    elif Outcome.DELIVERED in outcomes:
        rows.filter(failing_since__isnull=False).update(failing_since=None)
    elif not rows.filter(failing_since__isnull=True).update(failing_since=moment):
        since = rows.values_list("failing_since", flat=True).first()
        if endpoint_exhausted(since, now=moment):
            _disable(scope, endpoint_id, reason.FAILING)


def _disable(scope: Scope, endpoint_id: UUID, reason: str) -> None:
    endpoint = WebhookEndpoint.objects.within(scope).locked().get(pk=endpoint_id)
    if endpoint.enabled:
        endpoint.updated_at = wall_clock()
        endpoint.disable(reason, endpoint.updated_at)
        endpoint.save(update_fields=["enabled", "disabled_reason", "disabled_at", "updated_at"])
        audit(scope, "webhook_endpoint.disabled", endpoint.public_id, detail={"reason": reason})
        enqueue(
            tasks.mail_disabled,
            tenant_id=str(scope.tenant_id), app_id=str(scope.app), endpoint_id=str(endpoint_id),
        )  # fmt: skip
