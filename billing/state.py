"""What else belongs to a customer's state. Higher apps add their parts when they are loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from accounts.events import customer_as_event

if TYPE_CHECKING:
    from accounts.models import Customer
    from stackbe.kernel.scope import Scope

Part = Callable[["Scope", "Customer"], Any]

_parts: dict[str, Part] = {}


def register_part(name: str, part: Part) -> None:
    """Add a key to every customer's state: `part(scope, customer)` answers its JSON value."""
    _parts[name] = part


def compose_state(scope: Scope, customer: Customer, access: dict[str, Any]) -> dict[str, Any]:
    """Return a customer's whole state, as GET /v1/customers/:id/state and `entitlements.updated` carry it.

    `access` is `billing.services.access.access_as_state`.
    """
    parts = {name: part(scope, customer) for name, part in _parts.items()}
    return {"customer": customer_as_event(customer), **access, **parts}
