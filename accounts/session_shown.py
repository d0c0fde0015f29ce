"""The session that asks, read in one call: see the migration of `accounts_session_shown`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from accounts.services.proofs import Proven
from stackbe.kernel import crypto
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.limits import MINUTE, Allowance
from stackbe.kernel.statements import Statement

COLUMNS = (
    "outcome, tenant_id, organization_id, organization_role, session_limit, remaining, reset_ms, app_moment, email,"
    " name, metadata, subject_key_id, subject_key, tenant_key_id, tenant_key, plan_name, entitlements, overrides,"
    " access_from, access_until, default_plan_name, default_entitlements"
)
SHOWN = Statement(
    "accounts_session_shown",
    f"select {COLUMNS} from accounts_session_shown(%s, %s, %s, %s, %s)",  # noqa: S608  # our own column names
)
COUNTED = frozenset({"ok", "limited"})


@dataclass(frozen=True, slots=True)
class Row:
    """The row of that call: `entitlements` and `overrides` are the text of JSON, what is sealed stays so."""

    outcome: str
    tenant_id: UUID
    organization_id: UUID | None
    organization_role: str | None
    session_limit: int
    remaining: int
    reset_ms: int
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

    @property
    def allowance(self) -> Allowance:
        """Return what the session's limit answered."""
        return Allowance(self.outcome == "ok", self.session_limit, self.remaining, self.reset_ms / 1000, MINUTE)

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
            if grant["until"] is None or datetime.fromisoformat(grant["until"]) > self.app_moment:
                granted[feature] = grant["value"]
        return {"planName": plan_name, "features": granted}

    def opened(self, customer_id: UUID) -> dict[str, Any] | None:
        """Return the customer's address, name and metadata in the clear; None where they lie under other keys."""
        tenant_key = crypto.open_tenant_key(self.tenant_key, self.tenant_id, self.tenant_key_id)
        context = f"subject-key|{self.tenant_id}|{customer_id}|{self.subject_key_id}"
        key = crypto.unseal(tenant_key, self.subject_key, context)
        found: dict[str, Any] = {}
        for column in ("email", "name", "metadata"):
            sealed = getattr(self, column)
            if sealed is not None and crypto.key_id_of(sealed) != self.subject_key_id.bytes:
                return None
            where = f"accounts_customer.{column}|{customer_id}"
            found[column] = None if sealed is None else crypto.unseal(key, sealed, where).decode()
        return found | {"metadata": json.loads(found["metadata"] or "{}")}


def shown(claims: Proven) -> Row | None:
    """Ask the database once; None where the ordinary way must answer."""
    row = SHOWN.row(claims.session_id, claims.key_id, claims.app_id, claims.customer_id, wall_clock())
    return Row(*row) if row[0] in COUNTED else None
