"""The spelling of an API key.

`sbk_(live|test|pub)_` + 8 base62 characters that find the row + 30 of secret (178 bits) + 6 of
CRC-32 over all before. The checksum lets a typo be refused without a query and a secret scanner
recognise a key: `sbk_(live|test|pub)_[0-9A-Za-z]{44}`.
"""

from __future__ import annotations

import re
import secrets
import string
import zlib
from dataclasses import dataclass

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
PATTERN = re.compile(r"sbk_(live|test|pub)_([0-9A-Za-z]{8})([0-9A-Za-z]{30})([0-9A-Za-z]{6})")
CHECKSUM_LENGTH = 6


@dataclass(frozen=True, slots=True)
class KeyText:
    """A well-formed key, taken apart."""

    kind: str
    lookup: str
    whole: str

    @property
    def prefix(self) -> str:
        """Return what may be shown: the kind and the lookup part."""
        return f"sbk_{self.kind}_{self.lookup}"


def checksum(text: str) -> str:
    """Return CRC-32 of the text as six base62 digits."""
    value, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, len(BASE62))
        digits = BASE62[digit] + digits
    return digits


def generate(kind: str) -> KeyText:
    """Return a new random key of a kind: live, test or pub."""
    lookup = "".join(secrets.choice(BASE62) for _ in range(8))
    secret = "".join(secrets.choice(BASE62) for _ in range(30))
    head = f"sbk_{kind}_{lookup}{secret}"
    return KeyText(kind, lookup, head + checksum(head))


def read(text: str) -> KeyText | None:
    """Return the parts of a key, or None for what cannot be one."""
    match = PATTERN.fullmatch(text)
    if match is None or checksum(text[:-CHECKSUM_LENGTH]) != match[4]:
        return None
    return KeyText(match[1], match[2], text)
