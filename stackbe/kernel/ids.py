"""Identifiers: UUIDv7 in the database, TypeID in public.

A UUIDv7 (RFC 9562, section 5.7) sorts by the time it was made, so indexes stay dense and
tables can be partitioned by primary key. Those of one process sort in the order in which they
were made, within a millisecond too: the 12 bits after it are its fraction (section 6.2,
method 3), moved on by one where the clock has not. In public it carries a prefix that says what it
names, followed by 26 characters of lower-case Crockford base32 (the TypeID convention).
"""

import re
import secrets
import string
import threading
import time
from datetime import UTC, datetime
from uuid import UUID

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH = 26
NIL = UUID(int=0)
_LARGEST_FIRST_DIGIT = 7  # 26 digits hold 130 bits; a UUID has 128.
_SPELLING = re.compile(rf"[0-{_LARGEST_FIRST_DIGIT}][{ALPHABET}]{{{LENGTH - 1}}}")
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_SHIFTS = range(10 * (LENGTH // 2 - 1), -1, -10)
# int() spells the same 32 values with the first letters of the alphabet.
_TO_PYTHON = str.maketrans(ALPHABET, string.digits + string.ascii_lowercase[:22])


class MalformedId(ValueError):
    """The text is not an identifier of the kind that was asked for."""


def new_id(at_ms: int | None = None) -> UUID:
    """Return a fresh UUIDv7; `at_ms` (Unix milliseconds) is for rows about another time."""
    tick = _clock.tick() if at_ms is None else at_ms << 12 | secrets.randbits(12)
    value = (tick >> 12 & ((1 << 48) - 1)) << 80 | 0x7 << 76 | (tick & 0xFFF) << 64
    return UUID(int=value | 0x2 << 62 | secrets.randbits(62))


class _Clock:
    """Ticks of 1/4096 ms since 1970, each later than the one before."""

    def __init__(self) -> None:
        self._last = 0
        self._one_at_a_time = threading.Lock()

    def tick(self) -> int:
        with self._one_at_a_time:
            self._last = max((time.time_ns() << 12) // 1_000_000, self._last + 1)
            return self._last


_clock = _Clock()


def first_id(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 of that millisecond: a partition bound or a range start."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def moment_of(identifier: UUID) -> datetime:
    """Return the UTC time that a UUIDv7 was made at, to the millisecond."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, tz=UTC)


def encode(prefix: str, identifier: UUID) -> str:
    """Return the public form, such as `cust_01jd…`."""
    value = identifier.int
    return f"{prefix}_{''.join([_PAIRS[value >> shift & 1023] for shift in _SHIFTS])}"


def decode(prefix: str, text: str) -> UUID:
    """Return the UUID behind a public id of that prefix.

    Only the canonical spelling is taken, so that one row has one name. Raises `MalformedId`.
    """
    head, separator, digits = text.rpartition("_")
    if not separator or head != prefix or not _SPELLING.fullmatch(digits):
        raise MalformedId(text)
    return UUID(int=int(digits.translate(_TO_PYTHON), 32))


def bounds(prefix: str, beginning: str) -> tuple[UUID, UUID] | None:
    """Return the first and the last id that begin so, None where none can.

    The prefix itself must be whole: what is searched are ids of one kind.
    """
    head, separator, digits = beginning.rpartition("_")
    if not separator or head != prefix or len(digits) > LENGTH:
        return None
    first = digits.ljust(LENGTH, ALPHABET[0])
    last = (digits or ALPHABET[_LARGEST_FIRST_DIGIT]).ljust(LENGTH, ALPHABET[-1])
    try:
        return decode(prefix, f"{prefix}_{first}"), decode(prefix, f"{prefix}_{last}")
    except MalformedId:
        return None
