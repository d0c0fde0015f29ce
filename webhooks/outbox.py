"""The outbox: an event is written in the change that it tells of, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from django.db import connection

from stackbe.kernel.clock import now, render
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change
from webhooks.catalogue import EVENT_TYPES
from webhooks.models import Event

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from stackbe.kernel.scope import Scope

CHANNEL = "stackbe_webhooks"


def emit(scope: Scope, type: str, data: dict[str, Any], *, subject: UUID | None = None) -> None:  # noqa: A002  # reads as what it is
    """Announce a fact to the app, beside the change that made it true.

    Both commit or neither does, so a receiver never acts on what did not happen. `data` is the
    event's `data` with camelCase keys, JSON-serialisable. `subject` is the person it is about:
    the body lies under that person's key, and erasure makes it unreadable, also where it still
    waits to be sent. So an event that tells of the erasure itself names no subject and holds
    nothing but ids. Raises outside of a change, and for a type that the catalogue lacks.
    """
    write_event(scope, type, data, subject=subject)
    hint()


def write_event(
    scope: Scope,
    type: str,  # noqa: A002  # likewise
    data: dict[str, Any],
    *,
    subject: UUID | None = None,
) -> Event:
    """Write the event's row and return it; the dispatcher is not told."""
    require_change()
    if type not in EVENT_TYPES:
        raise ValueError(f"{type!r} is not in the catalogue of events")
    identifier = new_id()
    body = {
        "id": encode(Event.id_prefix, identifier),
        "type": type,
        "timestamp": render(now(scope)),
        "data": data,
    }
    return Event.unscoped.create(
        **owned_by(scope),
        id=identifier,
        type=type,
        subject_id=subject,
        body=orjson.dumps(body).decode(),
    )


def hint() -> None:
    """Wake the dispatcher when the change commits; it also polls, so a lost hint costs a second."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_notify(%s, '')", [CHANNEL])


def reduce_events(scope: Scope, beginning: str, reduced: Callable[[dict[str, Any]], dict[str, Any] | None]) -> int:
    """Say less in events that tell of something erased beside the person whom they are about; return how many.

    `reduced` gets the data of each event whose type begins so, and answers what stays, or None to leave it.
    """
    require_change()
    count = 0
    for event in Event.objects.within(scope).filter(type__startswith=beginning, subject_id__isnull=False).iterator():
        told = orjson.loads(event.body) if event.body is not None else None
        kept = reduced(told["data"]) if told else None
        if told is not None and kept is not None:
            event.body = orjson.dumps({**told, "data": kept}).decode()
            event.save(update_fields=["body"])
            count += 1
    return count
