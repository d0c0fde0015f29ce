"""What this instance vouches for: archives, receipts and heads of audit chains, signed with a key that it publishes.

The key pair (Ed25519, RFC 8032) is random, made on first use and kept as a secret of the platform. Its
public half is found by `kid` at `/.well-known/stackbe-keys.json`, those of retired keys too: whoever holds
an old archive must still be able to check it. What is signed begins with its purpose, so that a signature
for one thing is never good for another.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.db import connection

from stackbe.kernel.crypto import Keyring, key_id_of, open_secret, secret_context
from stackbe.kernel.scope import PLATFORM

if TYPE_CHECKING:
    from collections.abc import Mapping

KIND = "attestation"
ALGORITHM = "EdDSA"
ARCHIVE, RECEIPT, HEAD = b"stackbe.archive.v1\n", b"stackbe.receipt.v1\n", b"stackbe.head.v1\n"
KID_BYTES = 12


def canonical(statement: Mapping[str, Any]) -> bytes:
    """Return the one spelling of a statement of text, whole numbers and objects: sorted keys, no spaces, ASCII."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def attest(purpose: bytes, content: bytes) -> dict[str, str]:
    """Return `{alg, kid, signature}` over a content. Needs an open change: the first call makes the key."""
    private = Ed25519PrivateKey.from_private_bytes(Keyring(PLATFORM).secret(KIND))
    public = private.public_key().public_bytes_raw()
    return {"alg": ALGORITHM, "kid": kid_of(public), "signature": encoded(private.sign(purpose + content))}


def holds(public: bytes, purpose: bytes, content: bytes, signature: str) -> bool:
    """Say whether a signature is that key's over the content."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(decoded(signature), purpose + content)
    except (InvalidSignature, ValueError):
        return False
    return True


def public_keys() -> list[dict[str, str]]:
    """Return every public key that signs or ever signed here as JWKs (RFC 8037), newest first. Needs an open change."""
    Keyring(PLATFORM).secret(KIND)
    return known_keys()


def known_keys() -> list[dict[str, str]]:
    """Return the same without making the first key: none where nothing was ever signed. Needs an open unit."""
    ring = Keyring(PLATFORM)
    with connection.cursor() as cursor:
        cursor.execute(
            "select wrapped from kernel_tenantsecret where tenant_id = %s and kind = %s order by id desc",
            [PLATFORM, KIND],
        )
        wrapped = [bytes(row[0]) for row in cursor.fetchall()]
    context = secret_context(PLATFORM, None, KIND)
    seeds = [open_secret(each, ring.key(key_id_of(each)), context) for each in wrapped]
    return [_jwk(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()) for seed in seeds]


def kid_of(public: bytes) -> str:
    """Return the name of a key: the beginning of its own hash, so that a name cannot be given to another key."""
    return encoded(hashlib.sha256(public).digest()[:KID_BYTES])


def encoded(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """Return the bytes of base64url without padding; raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _jwk(public: bytes) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "alg": ALGORITHM, "use": "sig", "kid": kid_of(public), "x": encoded(public)}
