"""Session tokens that have been verified, so that the same token is not taken apart on a page's every load.

Verifying a signature costs as much as all else that a request for its session does, and one token comes many times
in its quarter of an hour. A token that was found genuine is known by its digest until it expires; its key is known
by the header that names it, for the tokens that come after. That the key and the session still count is asked of the
database each time (session_shown.py): signing out, or retiring a key, bites on the next request.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rest_framework_simplejwt.exceptions import TokenError

from accounts.models import CustomerSession
from accounts.services.tokens import SessionToken, SessionTokenBackend
from stackbe.kernel import ids

MOST_KEYS = 10_000
MOST_TOKENS = 10_000


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A public key that has verified a token, and whose it is."""

    key_id: UUID
    app_id: UUID
    public: Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class Proven:
    """What a genuine token names."""

    key_id: UUID
    app_id: UUID
    session_id: UUID
    customer_id: UUID
    expires_at: int


_known: OrderedDict[str, KnownKey] = OrderedDict()
_proven: OrderedDict[bytes, Proven] = OrderedDict()


def remember(token: str, key: KnownKey) -> None:
    """Keep the key of a token that the ordinary way has just found genuine."""
    _known[token.partition(".")[0]] = key
    if len(_known) > MOST_KEYS:
        _known.popitem(last=False)


def proven(token: str) -> Proven | None:
    """Return what a genuine, live token names, or None where the ordinary way must look at it."""
    digest = hashlib.sha256(token.encode()).digest()
    found = _proven.get(digest)
    if found is None:
        found = _verified(token)
        if found is None:
            return None
        _proven[digest] = found
        if len(_proven) > MOST_TOKENS:
            _proven.popitem(last=False)
    return found if found.expires_at > time.time() else None


def _verified(token: str) -> Proven | None:
    known = _known.get(token.partition(".")[0])
    if known is None:
        return None
    try:
        genuine = SessionToken(SessionTokenBackend(known.app_id, known.key_id, public=known.public), token)
        session_id = ids.decode(CustomerSession.id_prefix, str(genuine.payload.get("sid")))
        customer_id = ids.decode("cust", str(genuine.payload.get("sub")))
    except (TokenError, ids.MalformedId):
        return None
    return Proven(known.key_id, known.app_id, session_id, customer_id, int(genuine.payload["exp"]))
