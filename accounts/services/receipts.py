"""Receipts of erasures: written when one is asked for, signed in the change that does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.erasure_models import Erasure
from accounts.errors import ErasureNotFound
from stackbe.kernel.attest import ALGORITHM, RECEIPT, attest, canonical
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.ids import encode
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

TARGETS = {Erasure.Kind.CUSTOMER: "cust", Erasure.Kind.ORGANIZATION: "org", Erasure.Kind.TENANT: "ten"}
FORMAT = "stackbe-receipt/1"


def note_asked(scope: Scope, kind: str, target_id: UUID) -> Erasure:
    """Put an erasure on the list; one that stands there already stays as it is."""
    require_change()
    app_id = None if kind == Erasure.Kind.TENANT else scope.app
    row = Erasure.objects.within(scope).filter(kind=kind, target_id=target_id).first()
    if row is None:
        row = Erasure(tenant_id=scope.tenant_id, app_id=app_id, kind=kind, target_id=target_id, asked_by=scope.actor)
        row.save(force_insert=True)
    return row


def sign_receipt(scope: Scope, kind: str, target_id: UUID, rows: Mapping[str, int]) -> Erasure:
    """Record in the open change that it is done, with how many rows went where, and sign that."""
    require_change()
    row = note_asked(scope, kind, target_id)
    if row.done_at is None:
        # To the millisecond, as the statement says it.
        moment = wall_clock()
        row.done_at = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        row.rows = dict(rows)
        proof = attest(RECEIPT, canonical(statement_of(row)))
        row.kid, row.signature = proof["kid"], proof["signature"]
        row.save(update_fields=["done_at", "rows", "kid", "signature"])
    return row


def list_receipts(scope: Scope) -> ScopedQuerySet[Erasure]:
    """Return the erasures of the scope's app, asked for or done."""
    return Erasure.objects.within(scope).filter(app_id=scope.app)


def fetch_receipt(scope: Scope, erasure_id: str) -> Erasure:
    """Return one of them, or the API's 404."""
    return list_receipts(scope).fetch(erasure_id, ErasureNotFound)


def target_of(row: Erasure) -> str:
    """Return the public id of what was erased."""
    return encode(TARGETS[Erasure.Kind(row.kind)], row.target_id)


def statement_of(row: Erasure) -> dict[str, Any]:
    """Return what a receipt states: all text and whole numbers, so that every language spells it alike."""
    return {
        "format": FORMAT,
        "id": row.public_id,
        "kind": row.kind,
        "targetId": target_of(row),
        "tenantId": encode("ten", row.tenant_id),
        "appId": encode("app", row.app_id) if row.app_id else "",
        "askedAt": render(row.asked_at),
        "doneAt": render(row.done_at),
        "rows": row.rows,
    }


def receipt_of(row: Erasure) -> dict[str, Any] | None:
    """Return the signed receipt, None while it is not done."""
    if row.done_at is None:
        return None
    return {"statement": statement_of(row), "alg": ALGORITHM, "kid": row.kid, "signature": row.signature}
