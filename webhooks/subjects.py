"""What this app holds on a person: events that tell of them, and receivers' answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.subjects import register
from webhooks.models import Attempt, Delivery, Event

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope


def export_events(scope: Scope, subject_id: UUID) -> list[dict[str, Any]]:
    """Return the bodies of the events about a person, oldest first."""
    rows = Event.objects.within(scope).filter(subject_id=subject_id).order_by("id")
    return [orjson.loads(event.body) for event in rows if event.body is not None]


def erase_events(scope: Scope, subject_id: UUID) -> int:
    """Stop what is still on its way and drop receivers' answers; return how many rows.

    The bodies become unreadable with the person's key, which goes last.
    """
    waiting = Delivery.objects.within(scope).filter(subject_id=subject_id, status="pending")
    stopped = waiting.update(status=Delivery.Status.CANCELED, finished_at=wall_clock(), lease=None)
    answers = Attempt.objects.within(scope).filter(subject_id=subject_id, answer__isnull=False)
    return stopped + answers.update(answer=None)


def register_holders() -> None:
    """Register with the kernel; called once when the apps are ready."""
    register(
        "webhooks",
        models=("webhooks.Event", "webhooks.Delivery", "webhooks.Attempt"),
        export=export_events,
        erase=erase_events,
    )
