"""The passphrase under which a tenant's keys travel: scrypt (RFC 7914), then AES-256-GCM."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from typing import Any

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from stackbe.kernel import attest, crypto
from stackbe.kernel.archives import ArchiveRefused

SALT_BYTES = 16
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is read for another
GROUPS, GROUP = 6, 5
SHORTEST = 12
MOST_COST = 2**20


@dataclass(frozen=True, slots=True)
class Wrapping:
    """How a passphrase becomes a key; the manifest says it."""

    salt: str
    n: int = 2**16
    r: int = 8
    p: int = 1
    kdf: str = "scrypt"

    def as_json(self) -> dict[str, Any]:
        """Return what the manifest holds."""
        return asdict(self)

    def key(self, passphrase: str) -> bytes:
        """Return the key that a passphrase gives. Takes a moment and 64 MB, by design."""
        scrypt = Scrypt(salt=attest.decoded(self.salt), length=crypto.KEY_BYTES, n=self.n, r=self.r, p=self.p)
        return scrypt.derive(passphrase.strip().encode())


def new_wrapping() -> Wrapping:
    """Return a wrapping with a fresh salt."""
    return Wrapping(attest.encoded(secrets.token_bytes(SALT_BYTES)))


def stated_wrapping(stated: Any) -> Wrapping:
    """Return the wrapping that a manifest states, or refuse one that no archive of ours has."""
    try:
        found = Wrapping(**stated)
        sane = found.kdf == "scrypt" and found.n * found.r * found.p <= MOST_COST and attest.decoded(found.salt)
    except (TypeError, ValueError):
        sane = False
    if not sane:
        raise ArchiveRefused("The archive's keys are wrapped in a way that this version does not know.")
    return found


def new_passphrase() -> str:
    """Return a passphrase of 148 random bits that can be written down."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(GROUP)) for _ in range(GROUPS))


def wrapped(outer: bytes, content: bytes, context: str) -> str:
    """Seal a key, or a person's address, under the passphrase's key."""
    return attest.encoded(crypto.seal(outer, crypto.NO_KEY, content, context))


def unwrapped(outer: bytes, text: str, context: str) -> bytes:
    """Open what `wrapped` made; `ArchiveRefused` where the passphrase is another."""
    try:
        return crypto.unseal(outer, attest.decoded(text), context)
    except (crypto.SealBroken, ValueError):
        raise ArchiveRefused("The passphrase is wrong: it does not open the archive's keys.") from None
