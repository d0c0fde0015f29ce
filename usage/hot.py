"""The short way for the routes that an app asks on its every request: one call each, once the key is proven."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from apikeys.hot import COUNTED, Proof, allowance, forget
from stackbe.kernel import ids
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.limits import Allowance
from stackbe.kernel.serializers import holds_card_number
from stackbe.kernel.statements import Statement
from usage.decisions import Granted

CHECK = Statement(
    "usage_check",
    "select outcome, array_to_string(scopes, ' '), hot_limit, remaining, reset_ms, customer_found, answered_by,"
    " source, granted, overrides, app_moment from usage_check(%s, %s, %s, %s, %s)",
)
AUTHORISE = Statement(
    "apikeys_authorise",
    "select json_build_array(outcome, tenant_id, app_id, scopes, clock_offset_ms, hot_limit, remaining, reset_ms)::text"
    " from apikeys_authorise(%s, %s, %s, %s)",
)
TRACK = Statement("usage_track_proved", "call usage_track_proved(%s, %s, %s, %s, %s, %s, %s, %s, %s)")
FEATURE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Checked:
    """What the one call answered."""

    scopes: list[str]
    allowance: Allowance
    customer_found: bool
    granted: Granted


@dataclass(frozen=True, slots=True)
class Authorised:
    """A key that was proved and counted, at this moment by its app's clock.

    `counted` is what `usage_count` answered, where the same call asked it.
    """

    tenant_id: UUID
    app_id: UUID
    scopes: list[str]
    moment: datetime
    allowance: Allowance
    counted: list[Any] | None


def check(proof: Proof, customer_id: UUID) -> Checked | None:
    """Ask the database once; None where the ordinary way must answer."""
    moment = wall_clock()
    row = CHECK.row(proof.text.lookup, proof.digest, proof.wanted_app, customer_id, moment)
    if row[0] not in COUNTED:
        forget(proof, row[0])
        return None
    granted = Granted(
        answered_by=row[6],
        source=row[7],
        moment=row[10] or moment,
        values=orjson.loads(row[8]) if row[8] else {},
        overrides=orjson.loads(row[9]) if row[9] else {},
    )
    return Checked(row[1].split(), allowance(row[0], *row[2:5]), bool(row[5]), granted)


def authorise_event(
    proof: Proof, scope: str, customer_id: UUID, metric: str, quantity: int, key: bytes | None
) -> Authorised | None:
    """Prove and count a key and, where that has the scope, count the event; None where the ordinary way must answer.

    One call where it may commit between the two; where a transaction is open, the key alone.
    """
    moment = wall_clock()
    asked = (proof.text.lookup, proof.digest, proof.wanted_app, moment)
    [answer] = TRACK.row_alone(*asked, scope, customer_id, metric, quantity, key) or AUTHORISE.row(*asked)
    outcome, tenant_id, app_id, scopes, offset_ms, limit, remaining, reset_ms, *counted = orjson.loads(answer)
    if outcome not in COUNTED:
        forget(proof, outcome)
        return None
    if counted:
        counted[4:6] = [each and datetime.fromisoformat(each) for each in counted[4:6]]
    return Authorised(
        UUID(tenant_id),
        UUID(app_id),
        scopes,
        moment + timedelta(milliseconds=offset_ms),
        allowance(outcome, limit, remaining, reset_ms),
        counted or None,
    )


def plain_name(text: Any) -> bool:
    """Say whether a feature or metric needs no closer look."""
    return isinstance(text, str) and bool(FEATURE.fullmatch(text)) and not holds_card_number(text)


def decoded_customer(text: Any) -> UUID | None:
    """Return the UUID of a customer's public id, None for what is none."""
    try:
        return ids.decode("cust", text) if isinstance(text, str) else None
    except ids.MalformedId:
        return None
