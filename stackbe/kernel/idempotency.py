"""Idempotency-Key: one effect, and the same reply, however often a request is repeated.

The claim is a row in the request's own change, so a racer waits for it and then replays. A request
that must call Stripe between two changes commits its claim first, under a lease; a racer meanwhile
gets 409, and after the lease a retry takes the claim over and resumes from the recorded intent.

The stored reply may hold a secret (a new API key), so it is sealed under a key derived from the
caller's credential and the Idempotency-Key, neither of which we hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection

from stackbe.kernel import crypto
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import IdempotencyInProgress, IdempotencyKeyReused, ValidationFailed
from stackbe.kernel.ids import new_id
from stackbe.kernel.models import IdempotencyRecord
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

KEEP = timedelta(hours=24)
LEASE = timedelta(seconds=60)
LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Replay:
    """A reply that was given before."""

    status: int
    body: bytes


class Claim:
    """One request's hold on its Idempotency-Key.

    `id` is stable across retries of the same key: Stripe's own idempotency keys derive from it.
    """

    def __init__(self, scope: Scope, credential: str, key: str, request: bytes) -> None:
        """Derive what is stored from what the caller sent."""
        if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
            raise ValidationFailed(fields={"Idempotency-Key": ["Must have 1 to 255 printable characters."]})
        secret = f"{credential}\0{key}".encode()
        self.scope = scope
        self.lookup = crypto.derive(secret, f"idempotency-lookup|{scope.app_id}", 16)
        self._reply_key = crypto.derive(secret, "idempotency-reply")
        self._digest = crypto.keyed_hash(self._reply_key, request.hex())
        self.id: UUID = new_id()

    def take(self, *, lease: bool = False) -> Replay | None:
        """Claim the key inside the open change, or return the reply to repeat.

        Raises `IdempotencyKeyReused` for another request under the same key and
        `IdempotencyInProgress` while the first is still running.
        """
        require_change()
        moment = wall_clock()
        with connection.cursor() as cursor:
            cursor.execute(
                "insert into kernel_idempotencyrecord"
                " (id, tenant_id, lookup, request_digest, created_at, leased_until)"
                " values (%s, %s, %s, %s, %s, %s) on conflict (tenant_id, lookup) do nothing",
                [self.id, self.scope.tenant_id, self.lookup, self._digest, moment, moment + LEASE if lease else None],
            )
            if cursor.rowcount:
                return None
        record = self._record()
        self.id = record.id
        if record.created_at < moment - KEEP:
            self._take_over(record)
            return None
        if not crypto.equal(bytes(record.request_digest), self._digest):
            raise IdempotencyKeyReused
        if record.reply is not None and record.status is not None:
            reply = crypto.unseal(self._reply_key, bytes(record.reply), self._context())
            return Replay(record.status, reply)
        if record.leased_until is not None and record.leased_until > moment:
            raise IdempotencyInProgress(retry_after_seconds=1)
        record.leased_until = moment + LEASE
        record.save(update_fields=["leased_until"])
        return None

    def store(self, status: int, body: bytes, subject_id: UUID | None = None) -> None:
        """Keep the reply beside what it tells of."""
        require_change()
        sealed = crypto.seal(self._reply_key, crypto.NO_KEY, body, self._context())
        rows = IdempotencyRecord.objects.within(self.scope).filter(pk=self.id)
        rows.update(status=status, reply=sealed, subject_id=subject_id, leased_until=None)

    def release(self) -> None:
        """Give the key back after a failure that changed nothing, so that a retry may run."""
        require_change()
        rows = IdempotencyRecord.objects.within(self.scope)
        rows.filter(pk=self.id, reply__isnull=True).update(leased_until=wall_clock())

    def _record(self) -> IdempotencyRecord:
        rows = IdempotencyRecord.objects.within(self.scope).locked()
        return rows.get(lookup=self.lookup)

    def _take_over(self, record: IdempotencyRecord) -> None:
        record.delete()
        self.id = new_id()
        IdempotencyRecord.unscoped.create(
            id=self.id,
            tenant_id=self.scope.tenant_id,
            lookup=self.lookup,
            request_digest=self._digest,
            leased_until=wall_clock() + LEASE,
        )

    def _context(self) -> str:
        return f"idempotency|{self.lookup.hex()}"


def forget_subject(scope: Scope, subject_id: UUID) -> int:
    """Drop stored replies about an erased person."""
    rows = IdempotencyRecord.objects.within(scope).filter(subject_id=subject_id)
    return rows.delete()[0]
