"""What a key proves by itself, for the routes that are answered in short.

An ordinary request takes a look-up of the key, a count, a transaction that names the tenant, and the
query. Here one PL/pgSQL call does all of it, after Python has checked the key's checksum and hashed it
under the tenant's pepper. The pepper is kept in a small cache by the key's lookup part: it is the one
thing that cannot be read in the same round trip, and it opens nothing by itself, since the stored digest
is compared in the database on every call. So a revoked key is refused on its next request everywhere.

Whatever the short way has no answer for (a revoked key, a browser, a session token…) it leaves to the
ordinary one, which says it in full.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from apikeys.authentication import digest_of, find, genuine, pepper_of, renew_digest
from apikeys.text import KeyText, read
from stackbe.kernel import ids
from stackbe.kernel.limits import MINUTE, Allowance

if TYPE_CHECKING:
    from stackbe.kernel.hot import Asked

MOST_PEPPERS = 10_000
# What a call answers that has proved and counted the key; with another answer it has counted nothing.
COUNTED = frozenset({"ok", "limited"})
_peppers: OrderedDict[str, bytes] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Proof:
    """A key that is well-formed, and its digest under its tenant's pepper."""

    text: KeyText
    digest: bytes
    wanted_app: UUID | None


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


def allowance(outcome: str, limit: int, remaining: int, reset_ms: int) -> Allowance:
    """Return what the key's limit answered."""
    return Allowance(outcome == "ok", limit, remaining, reset_ms / 1000, MINUTE)


def forget(proof: Proof, outcome: str) -> None:
    """Drop a pepper that no longer fits: it may have been rotated."""
    if outcome == "unknown":
        _peppers.pop(proof.text.lookup, None)


def _pepper(text: KeyText) -> bytes | None:
    """Return the pepper of a key's tenant; a key that is not genuine never gets one cached."""
    known = _peppers.get(text.lookup)
    if known is not None:
        return known
    found = find(text)
    if found is None or not genuine(text, found):
        return None
    pepper = pepper_of(renew_digest(text, found))
    if pepper is not None:
        _peppers[text.lookup] = pepper
        if len(_peppers) > MOST_PEPPERS:
            _peppers.popitem(last=False)
    return pepper
