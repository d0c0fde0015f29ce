"""Writing down what came of a claim. A lease that has passed to another is left alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError, connection

from stackbe.kernel.arrays import array, array_of_bytes
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import new_id
from stackbe.kernel.jobs import enqueue
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change
from webhooks import tasks
from webhooks.dispatch.fanout import ACTOR
from webhooks.dispatch.queue import Claimed, Parcel, Unsendable
from webhooks.models import Attempt, Delivery, WebhookEndpoint
from webhooks.schedule import Outcome, endpoint_exhausted, judge_attempt

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from stackbe.kernel.crypto import Keyring
    from stackbe.kernel.fields import Sealed
    from stackbe.kernel.scope import Scope
    from webhooks.sending import Answer

log = logging.getLogger("stackbe.dispatcher")

# Ends the deliveries whose lease is still ours, logs an attempt for each of those that was sent, and notes which
# endpoints are well again: one statement, since a statement's way to PostgreSQL and back costs more than its work.
RECORD = """
with result as (
  select * from unnest(
    %(id)s::uuid[], %(lease)s::uuid[], %(status)s::text[], %(due_at)s::timestamptz[], %(finished_at)s::timestamptz[],
    %(response_status)s::int[], %(duration_ms)s::int[], %(error)s::text[], %(attempt)s::uuid[], %(answer)s::bytea[],
    %(attempted_at)s::timestamptz[]
  ) as r(id, lease, status, due_at, finished_at, response_status, duration_ms, error, attempt, answer, attempted_at)
), ended as (
  update webhooks_delivery as d set
    status = r.status, attempts = d.attempts + (r.attempt is not null)::int, due_at = r.due_at,
    finished_at = r.finished_at, response_status = r.response_status, duration_ms = r.duration_ms, error = r.error,
    lease = null
  from result as r where d.id = r.id and d.lease = r.lease and d.status = 'pending'
  returning d.tenant_id, d.app_id, d.id, d.subject_id, d.attempts, r.attempt, r.response_status, r.duration_ms,
    r.error, r.answer, r.attempted_at
), recovered as (
  update webhooks_webhookendpoint set failing_since = null
  where tenant_id = %(tenant)s and app_id = %(app)s and id = any(%(well)s::uuid[]) and failing_since is not null
)
insert into webhooks_attempt (id, tenant_id, app_id, delivery_id, subject_id, number, response_status, duration_ms,
  error, answer, attempted_at)
select attempt, tenant_id, app_id, id, subject_id, attempts, response_status, duration_ms, error, answer, attempted_at
from ended where attempt is not null and %(log)s
"""
ANSWER: Sealed = Attempt._meta.get_field("answer")
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


@dataclass(slots=True, repr=False)
class Row:
    """What is written of one claim: the columns of its delivery and, where it was sent, of its attempt."""

    result: Sent | Unsendable
    status: str
    due_at: datetime
    finished_at: datetime | None
    error: str
    outcome: Outcome | None = None
    response_status: int | None = None
    duration_ms: int | None = None
    attempt: UUID | None = None
    attempted_at: datetime | None = None
    answer: bytes | None = None

    @property
    def id(self) -> UUID:
        """Return the delivery's id."""
        return self.result.claim.id

    @property
    def lease(self) -> UUID:
        """Return the lease under which it is written, or not at all."""
        return self.result.claim.lease


COLUMNS = (
    "id", "lease", "status", "due_at", "finished_at", "response_status", "duration_ms", "error", "attempt",
    "attempted_at",
)  # fmt: skip
CANCELED = Delivery.Status.CANCELED.value
STATUS = {
    Outcome.DELIVERED: Delivery.Status.DELIVERED.value,
    Outcome.RETRY: Delivery.Status.PENDING.value,
    Outcome.FAILED: Delivery.Status.FAILED.value,
    Outcome.GONE: Delivery.Status.FAILED.value,
}


def record(results: Iterable[Sent | Unsendable]) -> None:
    """Write attempts, the state of their deliveries and the health of their endpoints.

    One change for each app. Repeating it after a lost connection is harmless: the lease is
    gone after the first time, so nothing is written twice.
    """
    by_app: dict[tuple[UUID, UUID], list[Sent | Unsendable]] = {}
    for result in results:
        by_app.setdefault((result.claim.tenant_id, result.claim.app_id), []).append(result)
    for (tenant_id, app_id), of_app in by_app.items():
        _record_safely(system_scope(tenant_id, app_id, actor_name=ACTOR), of_app)


def release(claims: Iterable[Claimed]) -> None:
    """Give claims back unsent, due at once: the dispatcher is stopping."""
    given_back = list(claims)
    with connection.cursor() as cursor:
        cursor.execute(
            RELEASE,
            [wall_clock(), array(c.id for c in given_back), array({c.lease for c in given_back})],
        )


def _record_safely(scope: Scope, results: list[Sent | Unsendable]) -> None:
    """Record all of it; where the log cannot be written, at least that the deliveries were made.

    Otherwise one row that cannot be written would have its delivery repeated for ever.
    """
    moment = wall_clock()
    rows = [_row(result, moment) for result in results]
    outcomes = _outcomes(rows)
    try:
        with change(scope) as unit:
            wait_for_no_disk()
            _seal_answers(unit.keys, rows)
            _write(scope, rows, well=[e for e, found in outcomes.items() if found == {Outcome.DELIVERED}], log=True)
            _judge_endpoints(scope, outcomes, moment)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("attempts could not be logged")
        with change(scope):
            _write(scope, rows, well=[], log=False)


def _outcomes(rows: list[Row]) -> dict[UUID, set[Outcome]]:
    """Return what came of attempts by endpoint."""
    found: dict[UUID, set[Outcome]] = {}
    for row in rows:
        if row.outcome is not None:
            found.setdefault(row.result.claim.endpoint_id, set()).add(row.outcome)
    return found


def _seal_answers(keys: Keyring, rows: list[Row]) -> None:
    """Seal what was answered. About a person erased meanwhile it is dropped."""
    sent = [row.result.parcel.subject_id for row in rows if isinstance(row.result, Sent)]
    keys.preload({person for person in sent if person is not None})
    for row in rows:
        if not isinstance(row.result, Sent) or row.attempt is None:
            continue
        said = row.result.answer.excerpt or row.result.answer.detail
        key = keys.held(row.result.parcel.subject_id)
        row.answer = ANSWER.seal_row(row.attempt, key, said) if said and key is not None else None


def _write(scope: Scope, rows: list[Row], *, well: list[UUID], log: bool) -> None:
    columns: dict[str, str | bool | UUID] = {
        "tenant": scope.tenant_id,
        "app": scope.app,
        "well": array(well),
        "log": log,
        "answer": array_of_bytes(row.answer for row in rows),
        **{name: array(getattr(row, name) for row in rows) for name in COLUMNS},
    }
    with connection.cursor() as cursor:
        cursor.execute(RECORD, columns)


def _judge_endpoints(scope: Scope, outcomes: dict[UUID, set[Outcome]], moment: datetime) -> None:
    """Note how endpoints fare that did not take everything, one by one."""
    for endpoint_id in sorted(outcomes):
        if outcomes[endpoint_id] != {Outcome.DELIVERED}:
            _judge_endpoint(scope, endpoint_id, outcomes[endpoint_id], moment)


def wait_for_no_disk() -> None:
    """Let the open transaction commit without waiting for the disk; what it writes can be done again."""
    with connection.cursor() as cursor:
        cursor.execute(WAIT_FOR_NO_DISK)


def _row(result: Sent | Unsendable, moment: datetime) -> Row:
    """Return what is written of a claim that came to its end."""
    if isinstance(result, Unsendable):
        return Row(result, CANCELED, moment, moment, result.reason)
    answer, number = result.answer, result.claim.attempts + 1
    verdict = judge_attempt(number, answer.status, retry_after=answer.retry_after, now=moment)
    return Row(
        result,
        STATUS[verdict.outcome],
        moment if verdict.wait is None else moment + verdict.wait,
        moment if verdict.wait is None else None,
        answer.error.value,
        verdict.outcome,
        answer.status,
        answer.duration_ms,
        new_id(),
        result.at,
    )


def _judge_endpoint(scope: Scope, endpoint_id: UUID, outcomes: set[Outcome], moment: datetime) -> None:
    """Keep since when an endpoint has failed, and switch it off on 410 or after five days."""
    rows = WebhookEndpoint.objects.within(scope).filter(pk=endpoint_id, enabled=True)
    reason = WebhookEndpoint.DisabledReason
    if Outcome.GONE in outcomes:
        _disable(scope, endpoint_id, reason.GONE, moment)
    elif Outcome.DELIVERED in outcomes:
        rows.filter(failing_since__isnull=False).update(failing_since=None)
    elif not rows.filter(failing_since__isnull=True).update(failing_since=moment):
        since = rows.values_list("failing_since", flat=True).first()
        if endpoint_exhausted(since, now=moment):
            _disable(scope, endpoint_id, reason.FAILING, moment)


def _disable(scope: Scope, endpoint_id: UUID, reason: str, moment: datetime) -> None:
    """Switch an endpoint off as of the moment at which the last answer was written, so that it counts as missed."""
    endpoint = WebhookEndpoint.objects.within(scope).locked().get(pk=endpoint_id)
    if endpoint.enabled:
        endpoint.updated_at = moment
        endpoint.disable(reason, moment)
        endpoint.save(update_fields=["enabled", "disabled_reason", "disabled_at", "updated_at"])
        audit(scope, "webhook_endpoint.disabled", endpoint.public_id, detail={"reason": reason})
        enqueue(
            tasks.mail_disabled,
            tenant_id=str(scope.tenant_id), app_id=str(scope.app), endpoint_id=str(endpoint_id),
        )  # fmt: skip
