"""A customer with what their plan holds, as database functions answer them: what is sealed stays sealed."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import orjson

from accounts.granted import counting
from stackbe.kernel import crypto


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """What every such row begins with: `entitlements` and `overrides` are the text of JSON."""

    SEALED: ClassVar[tuple[str, ...]] = ("email", "name", "metadata")

    outcome: str
    tenant_id: UUID
    app_moment: datetime
    email: bytes | None
    name: bytes | None
    metadata: bytes | None
    subject_key_id: UUID
    subject_key: bytes
    tenant_key_id: UUID
    tenant_key: bytes
    plan_name: str | None
    entitlements: str | None
    overrides: str | None
    access_from: datetime | None
    access_until: datetime | None
    default_plan_name: str | None
    default_entitlements: str | None

    @classmethod
    def columns(cls) -> str:
        """Return the columns to select, in the order of the row."""
        return ", ".join(field.name for field in fields(cls))

    @property
    def holds(self) -> dict[str, Any]:
        """Return the plan's name and what it grants now, overrides included."""
        begun = self.access_from is None or self.access_from <= self.app_moment
        counts = self.entitlements is not None and begun
        if counts and (self.access_until is None or self.app_moment < self.access_until):
            plan_name, values = self.plan_name, self.entitlements
        else:
            plan_name, values = self.default_plan_name, self.default_entitlements
        granted = orjson.loads(values) if values else {}
        for feature, grant in (orjson.loads(self.overrides) if self.overrides else {}).items():
            if (counts_now := counting(grant, self.app_moment)) is not None:
                granted[feature] = counts_now["value"]
        return {"planName": plan_name, "features": granted}

    def opened(self, customer_id: UUID) -> dict[str, Any] | None:
        """Return what is sealed of the customer in the clear; None where it lies under other keys."""
        tenant_key = crypto.open_tenant_key(self.tenant_key, self.tenant_id, self.tenant_key_id)
        context = crypto.subject_context(self.tenant_id, customer_id, self.subject_key_id)
        key = crypto.unseal(tenant_key, self.subject_key, context)
        found: dict[str, Any] = {}
        for column in self.SEALED:
            sealed = getattr(self, column)
            if sealed is not None and crypto.key_id_of(sealed) != self.subject_key_id.bytes:
                return None
            where = f"accounts_customer.{column}|{customer_id}"
            found[column] = None if sealed is None else crypto.unseal(key, sealed, where).decode()
        return found | {"metadata": json.loads(found["metadata"] or "{}")}
