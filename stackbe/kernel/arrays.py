"""Arrays of PostgreSQL as text: a driver that converts each element by its type takes longer than all else about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def array(values: Iterable[object]) -> str:
    """Return an array of ids, numbers, moments or plain words, for a parameter that is cast to its type."""
    return "{" + ",".join(["NULL" if value is None else str(value) or '""' for value in values]) + "}"


def array_of_bytes(values: Iterable[bytes | None]) -> str:
    """Return a `bytea[]`."""
    return "{" + ",".join(["NULL" if value is None else rf"\\x{value.hex()}" for value in values]) + "}"
