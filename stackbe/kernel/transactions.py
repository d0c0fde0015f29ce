"""One outer transaction for each change, and a guard against network calls inside one.

`change(scope)` holds all that must commit together: the rows, the outgoing event, the audit
row, the idempotency claim and the stored reply. `reading(scope)` is the same wall for reads.
Both tell PostgreSQL whose rows may be seen; outside of them row-level security shows none.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import connection, transaction

from stackbe.kernel.crypto import Keyring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stackbe.kernel.scope import Scope

ENTER = "select set_config('stackbe.tenant', %s, true)"


@dataclass(slots=True)
class Unit:
    """The transaction under way: whose it is, what it may do, which keys it has opened."""

    scope: Scope
    writable: bool
    keys: Keyring = field(init=False)

    def __post_init__(self) -> None:
        """Start with an empty key ring: a destroyed key must not outlive its transaction."""
        self.keys = Keyring(self.scope.tenant_id)


_current: ContextVar[Unit | None] = ContextVar("stackbe_unit", default=None)


def in_transaction() -> bool:
    """Return True inside a transaction of ours; the one a test wraps around itself is not."""
    blocks = connection.atomic_blocks
    return bool(blocks) and not getattr(blocks[-1], "_from_testcase", False)


def current() -> Unit:
    """Return the unit under way, or fail: rows and keys are only reached inside one."""
    unit = _current.get()
    if unit is None:
        raise RuntimeError("no change() or reading() is open")
    return unit


def maybe_current() -> Unit | None:
    """Return the unit under way, if any."""
    return _current.get()


def require_change() -> Unit:
    """Return the open change; a service that writes calls this first."""
    unit = current()
    if not unit.writable:
        raise RuntimeError("a write inside reading(); open a change(scope)")
    return unit


def forbid_transaction(what: str) -> None:
    """Raise when a network call is about to happen while a transaction is open."""
    if in_transaction():
        raise RuntimeError(f"{what} called while holding a database transaction")


@contextmanager
def change(scope: Scope) -> Iterator[Unit]:
    """Open the one transaction of a request, task or staff action.

    Nesting is refused: an inner change that commits while the outer one rolls back would
    announce what never happened.
    """
    with _open(scope, writable=True) as unit:
        yield unit


@contextmanager
def reading(scope: Scope) -> Iterator[Unit]:
    """Open a transaction that sees the scope's rows and is not meant to write."""
    with _open(scope, writable=False) as unit:
        yield unit


@contextmanager
def snapshot(scope: Scope) -> Iterator[Unit]:
    """Open a reading in which every query sees the same moment, however long it takes: for exports."""
    with _open(scope, writable=False, isolation="repeatable read") as unit:
        yield unit


@contextmanager
def _open(scope: Scope, *, writable: bool, isolation: str = "") -> Iterator[Unit]:
    if _current.get() is not None or in_transaction():
        raise RuntimeError("change() and reading() do not nest")
    unit = Unit(scope, writable)
    with transaction.atomic():
        # Not inside a test's own transaction, whose level is settled by its first query.
        if isolation and len(connection.atomic_blocks) == 1:
            with connection.cursor() as cursor:
                cursor.execute(f"set transaction isolation level {isolation}")
        enter_tenant(scope)
        token = _current.set(unit)
        try:
            yield unit
        finally:
            _current.reset(token)
            _leave_tenant()


def enter_tenant(scope: Scope) -> None:
    """Tell PostgreSQL whose rows this transaction may see."""
    with connection.cursor() as cursor:
        cursor.execute(ENTER, [str(scope.tenant_id)])


def _leave_tenant() -> None:
    """Forget the tenant where an outer transaction (a test's) goes on after ours."""
    nested = len(connection.atomic_blocks) > 1
    if nested and not connection.needs_rollback and sys.exc_info()[0] is None:
        with connection.cursor() as cursor:
            cursor.execute(ENTER, [""])
