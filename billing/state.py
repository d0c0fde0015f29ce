"""What else belongs to a customer's state. Higher apps add their parts when they are loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from accounts.events import customer_as_event

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from accounts.models import Customer
    from stackbe.kernel.scope import Scope

Part = Callable[["Scope", "Customer"], Any]
Dates = Callable[["Scope", "UUID", "datetime"], "datetime | None"]

_parts: dict[str, Part] = {}
_dates: dict[str, Dates] = {}


def register_part(name: str, part: Part, dates: Dates | None = None) -> None:
    """Add a key to every customer's state: `part(scope, customer)` answers its JSON value.

    `dates(scope, customer_id, moment)` answers when the clock will change it next, so that the app is told.
    """
    _parts[name] = part
    if dates is not None:
        _dates[name] = dates


def next_dates(scope: Scope, customer_id: UUID, moment: datetime) -> list[datetime | None]:
    """Return when each part of a customer's state will be another by the clock alone."""
    return [dates(scope, customer_id, moment) for dates in _dates.values()]


def compose_state(scope: Scope, customer: Customer, access: dict[str, Any]) -> dict[str, Any]:
    """Return a customer's whole state, as GET /v1/customers/:id/state and `entitlements.updated` carry it.

    `access` is `billing.services.access.access_as_state`.
    """
    parts = {name: part(scope, customer) for name, part in _parts.items()}
    return {"customer": customer_as_event(customer), **access, **parts}
