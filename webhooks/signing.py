"""Standard Webhooks 1.0 signatures: `v1,base64(HMAC-SHA256(secret, "id.timestamp.body"))`.

The public libraries `standardwebhooks` and `svix` verify what `sign` writes, unchanged.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105  # the public prefix, not a secret
SECRET_BYTES = 32
TOLERANCE_SECONDS = 300
VERSION = "v1"


class SignatureInvalid(ValueError):
    """The headers do not prove that the body came from a holder of the secret."""


def new_secret() -> str:
    """Return a fresh endpoint secret with 256 random bits (the standard asks for 192 to 512)."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sign(signing_secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers for a body, with one signature for each secret.

    While a secret rotates both sign, newest first, so that a receiver may hold either.
    `timestamp` is Unix seconds of this attempt; the id stays the same on every attempt.
    """
    if not signing_secrets:
        raise ValueError("a message needs at least one secret to be signed with")
    signatures = [f"{VERSION},{_signature(secret, message_id, timestamp, body)}" for secret in signing_secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def verify(secret: str, headers: Mapping[str, str], body: bytes, *, at: float) -> None:
    """Raise `SignatureInvalid` unless one signature fits and the time is within 5 minutes.

    `headers` are looked up in lower case; `at` is the receiver's Unix time in seconds.
    """
    try:
        message_id = headers["webhook-id"]
        timestamp = int(headers["webhook-timestamp"])
        given = headers["webhook-signature"]
    except (KeyError, ValueError):
        raise SignatureInvalid("a webhook header is missing or malformed") from None
    if abs(at - timestamp) > TOLERANCE_SECONDS:
        raise SignatureInvalid("the timestamp is more than 5 minutes away")
    expected = f"{VERSION},{_signature(secret, message_id, timestamp, body)}".encode()
    matches = [hmac.compare_digest(expected, one.encode()) for one in given.split(" ")]
    if not any(matches):
        raise SignatureInvalid("no signature matches")


def _signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.digest(key_of(secret), signed, hashlib.sha256)
    return base64.b64encode(digest).decode()


def key_of(secret: str) -> bytes:
    """Return the key bytes inside a `whsec_…` secret; raises `ValueError` on other text."""
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("the webhook secret is not base64") from None
