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
    from collections.abc import Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105  # the public prefix, not a secret
SECRET_BYTES = 32
VERSION = "v1"


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
