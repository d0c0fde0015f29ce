"""What the tests of accounts share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import reading
from webhooks.models import Event

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def joe(acme_api) -> dict[str, Any]:
    """A customer of Acme's."""
    body = {"email": "Joe@shop.example", "name": "Joe", "externalId": "u_1", "metadata": {"plan": "gold"}}
    told: dict[str, Any] = acme_api.post("/customers", body).json()
    return told


@pytest.fixture
def events(acme) -> Callable[[], list[tuple[str, Any]]]:
    """The type and data of each event of Acme's, oldest first."""

    def read() -> list[tuple[str, Any]]:
        with reading(acme.scope):
            rows = Event.objects.within(acme.scope).order_by("id")
            return [(e.type, orjson.loads(e.body)["data"] if e.body else None) for e in rows]

    return read


@pytest.fixture
def audited(acme) -> Callable[[], list[str]]:
    """The audited actions at Acme, oldest first."""

    def read() -> list[str]:
        with reading(acme.scope):
            return list(AuditEvent.objects.within(acme.scope).order_by("id").values_list("action", flat=True))

    return read
