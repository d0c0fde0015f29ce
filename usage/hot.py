"""The short way for the routes that an app asks on its every request.

An ordinary request takes a look-up of the key, a count, a transaction that names the tenant, and the
query. Here one PL/pgSQL call does all of it, after Python has checked the key's checksum and hashed it
under the tenant's pepper. The pepper is kept in a small cache by the key's lookup part: it is the one
thing that cannot be read in the same round trip, and it opens nothing by itself, since the stored digest
is compared in the database on every call. So a revoked key is refused on its next request everywhere.

Whatever the short way has no answer for (a revoked key, a browser, a session token…) it leaves to the
ordinary one, which says it in full.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from apikeys.authentication import digest_of, find, genuine, pepper_of
from apikeys.text import KeyText, read
from stackbe.kernel import ids
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.limits import MINUTE, Allowance
from stackbe.kernel.serializers import holds_card_number
from stackbe.kernel.statements import Statement
from usage.decisions import Granted

if TYPE_CHECKING:
    from stackbe.kernel.hot import Asked

MOST_PEPPERS = 10_000
COUNTED = frozenset({"ok", "limited"})
CHECK = Statement(
    "usage_check",
    "select outcome, array_to_string(scopes, ' '), hot_limit, remaining, reset_ms, customer_found, answered_by,"
    " source, granted, overrides, app_moment from usage_check(%s, %s, %s, %s, %s)",
)
AUTHORISE = Statement(
    "apikeys_authorise",
    "select outcome, tenant_id, app_id, array_to_string(scopes, ' '), clock_offset_ms, hot_limit, remaining,"
    " reset_ms from apikeys_authorise(%s, %s, %s, %s)",
)
FEATURE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_peppers: OrderedDict[str, bytes] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Proof:
    """A key that is well-formed, and its digest under its tenant's pepper."""

    text: KeyText
    digest: bytes
    wanted_app: UUID | None


@dataclass(frozen=True, slots=True)
class Checked:
    """What the one call answered."""

    scopes: list[str]
    allowance: Allowance
    customer_found: bool
    granted: Granted


@dataclass(frozen=True, slots=True)
class Authorised:
    """A key that was proved and counted."""

    tenant_id: UUID
    app_id: UUID
    scopes: list[str]
    clock_offset_ms: int
    allowance: Allowance


def proof_of(request: Asked) -> Proof | None:
    """Return what a request proves by itself, or None where the ordinary way must look at it."""
    meta = request.META
    header = meta.get("HTTP_AUTHORIZATION", "")
    if not header.startswith("Bearer sbk_") or "HTTP_ORIGIN" in meta:
        return None
    text = read(header[7:])
    if text is None:
        return None
    pepper = _pepper(text)
    if pepper is None:
        return None
    named = meta.get("HTTP_X_STACKBE_APP")
    try:
        wanted = ids.decode("app", named) if named else None
    except ids.MalformedId:
        return None
    return Proof(text, digest_of(pepper, text.whole), wanted)


def check(proof: Proof, customer_id: UUID) -> Checked | None:
    """Ask the database once; None where the ordinary way must answer."""
    moment = wall_clock()
    row = CHECK.row(proof.text.lookup, proof.digest, proof.wanted_app, customer_id, moment)
    if row[0] not in COUNTED:
        _forget(proof, row[0])
        return None
    granted = Granted(
        answered_by=row[6],
        source=row[7],
        moment=row[10] or moment,
        values=orjson.loads(row[8]) if row[8] else {},
        overrides=orjson.loads(row[9]) if row[9] else {},
    )
    return Checked(row[1].split(), _allowance(row[0], *row[2:5]), bool(row[5]), granted)


def authorise(proof: Proof) -> Authorised | None:
    """Prove and count a key; None where the ordinary way must answer."""
    row = AUTHORISE.row(proof.text.lookup, proof.digest, proof.wanted_app, wall_clock())
    if row[0] not in COUNTED:
        _forget(proof, row[0])
        return None
    return Authorised(row[1], row[2], row[3].split(), row[4], _allowance(row[0], *row[5:8]))


def _allowance(outcome: str, limit: int, remaining: int, reset_ms: int) -> Allowance:
    return Allowance(outcome == "ok", limit, remaining, reset_ms / 1000, MINUTE)


def plain_name(text: Any) -> bool:
    """Say whether a feature or metric needs no closer look."""
    return isinstance(text, str) and bool(FEATURE.fullmatch(text)) and not holds_card_number(text)


def _pepper(text: KeyText) -> bytes | None:
    """Return the pepper of a key's tenant; a key that is not genuine never gets one cached."""
    known = _peppers.get(text.lookup)
    if known is not None:
        return known
    found = find(text)
    if found is None or not genuine(text, found):
        return None
    pepper = pepper_of(found)
    if pepper is not None:
        _peppers[text.lookup] = pepper
        if len(_peppers) > MOST_PEPPERS:
            _peppers.popitem(last=False)
    return pepper


def _forget(proof: Proof, outcome: str) -> None:
    """Drop a pepper that no longer fits: it may have been rotated."""
    if outcome == "unknown":
        _peppers.pop(proof.text.lookup, None)


def decoded_customer(text: Any) -> UUID | None:
    """Return the UUID of a customer's public id, None for what is none."""
    try:
        return ids.decode("cust", text) if isinstance(text, str) else None
    except ids.MalformedId:
        return None
