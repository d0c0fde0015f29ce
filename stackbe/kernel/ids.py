"""Identifiers: UUIDv7 in the database, TypeID in public.

A UUIDv7 (RFC 9562, section 5.7) sorts by the time it was made, so indexes stay dense and
tables can be partitioned by primary key. In public it carries a prefix that says what it
names, followed by 26 characters of lower-case Crockford base32 (the TypeID convention).
"""

import secrets
import time
from datetime import UTC, datetime
from uuid import UUID

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
VALUES = {character: value for value, character in enumerate(ALPHABET)}
LENGTH = 26
NIL = UUID(int=0)
_LARGEST_FIRST_DIGIT = 7  # 26 digits hold 130 bits; a UUID has 128.


class MalformedId(ValueError):
    """The text is not an identifier of the kind that was asked for."""


def new_id(at_ms: int | None = None) -> UUID:
    """Return a fresh UUIDv7; `at_ms` (Unix milliseconds) is for rows about another time."""
    milliseconds = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    value = (milliseconds & ((1 << 48) - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | (0x7 << 76)
    return UUID(int=value & ~(0x3 << 62) | (0x2 << 62))


def first_id(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 of that millisecond: a partition bound or a range start."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def moment_of(identifier: UUID) -> datetime:
    """Return the UTC time that a UUIDv7 was made at, to the millisecond."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, tz=UTC)


def encode(prefix: str, identifier: UUID) -> str:
    """Return the public form, such as `cust_01jd…`."""
    value, digits = identifier.int, []
    for _ in range(LENGTH):
        value, digit = divmod(value, 32)
        digits.append(ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(digits))}"


def decode(prefix: str, text: str) -> UUID:
    """Return the UUID behind a public id of that prefix.

    Only the canonical spelling is taken, so that one row has one name. Raises `MalformedId`.
    """
    head, separator, digits = text.rpartition("_")
    if not separator or head != prefix or len(digits) != LENGTH:
        raise MalformedId(text)
    value = 0
    for digit in digits:
        if digit not in VALUES:
            raise MalformedId(text)
        value = value * 32 + VALUES[digit]
    if VALUES[digits[0]] > _LARGEST_FIRST_DIGIT:
        raise MalformedId(text)
    return UUID(int=value)
