"""What stored replies hold on a person, and how they are let go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackbe.kernel import subjects
from stackbe.kernel.idempotency import forget_subject
from stackbe.kernel.models import IdempotencyRecord

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope


def export_replies(scope: Scope, subject_id: UUID) -> dict[str, int]:
    """Return how many replies are kept: they repeat what is exported elsewhere, sealed from us."""
    rows = IdempotencyRecord.objects.within(scope).filter(subject_id=subject_id)
    return {"storedReplies": rows.count()}


subjects.register(
    "idempotency",
    models=("kernel.IdempotencyRecord",),
    export=export_replies,
    erase=forget_subject,
)
