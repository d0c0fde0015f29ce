"""What events and replies say of this app's rows."""

from __future__ import annotations

from typing import Any

from accounts.models import Customer
from stackbe.kernel.clock import render


def customer_as_event(customer: Customer) -> dict[str, Any]:
    """Return a customer as the API and the webhooks show it. Read it inside a change or reading."""
    return {
        "id": customer.public_id,
        "email": customer.email,
        "name": customer.name,
        "externalId": customer.external_id,
        "metadata": customer.metadata or {},
        "createdAt": render(customer.created_at),
        "updatedAt": render(customer.updated_at),
    }
