"""One prepared statement, asked in the fewest steps that a client of PostgreSQL can take.

Django's cursor and psycopg's convert parameters, look up a plan and run a generator for each statement: more
work than the rest of a hot request. A statement of an app's every request is prepared once per connection by
libpq itself and sent with its parameters as text.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import OperationalError, errors
from psycopg.pq import ExecStatus, TransactionStatus

# How each type that a statement answers is read, by its number in pg_type; as Django's cursor gives it.
READ: dict[int, Callable[[bytes], Any]] = {
    16: lambda text: text == b"t",
    17: lambda text: bytes.fromhex(text[2:].decode()),
    20: int,
    21: int,
    23: int,
    25: bytes.decode,
    1043: bytes.decode,
    1184: lambda text: datetime.fromisoformat(text.decode()),
    2950: lambda text: UUID(text.decode()),
}
# By psycopg's connection, the names of what is prepared on it.
_prepared: WeakKeyDictionary[Any, set[bytes]] = WeakKeyDictionary()


class Statement:
    """A statement that answers one row, written with `%s` as for Django's cursor.

    It is a transaction of its own where none is open; in one, or where queries are counted, it goes through
    Django's cursor like any other.
    """

    def __init__(self, name: str, text: str) -> None:
        """Name it for the server, where the name is unique on a connection."""
        self.name, self.spelt = name.encode(), text
        first, *others = text.split("%s")
        self.text = "".join([first, *(f"${n}{part}" for n, part in enumerate(others, 1))]).encode()

    def row(self, *parameters: Any) -> tuple[Any, ...]:
        """Return the row. Raises what Django's cursor would."""
        row = self.row_alone(*parameters)
        if row is None:
            with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
                cursor.execute(self.spelt, parameters)
                row = cursor.fetchone()
        return row

    def row_alone(self, *parameters: Any) -> tuple[Any, ...] | None:
        """Return the row of a transaction of the statement's own; None, and nothing is asked, where it would be none.

        So a procedure that commits on its way may be called by it.
        """
        # Looked up once: each attribute of Django's `connection` is a search of its own.
        connection = connections[DEFAULT_DB_ALIAS]
        connection.ensure_connection()
        kept: Any = connection.connection
        if (
            connection.in_atomic_block
            or connection.execute_wrappers
            or connection.queries_logged
            or kept.pgconn.transaction_status != TransactionStatus.IDLE
        ):
            return None
        with connection.wrap_database_errors:
            result = self._run(kept, [None if each is None else _as_text(each) for each in parameters])
        return tuple(
            None if (value := result.get_value(0, column)) is None else READ[result.ftype(column)](value)
            for column in range(result.nfields)
        )

    def _run(self, kept: Any, parameters: list[bytes | None]) -> Any:
        names = _prepared.get(kept)
        if names is None:
            names = _prepared[kept] = set()
        if self.name in names:
            try:
                return _judged(kept.pgconn.exec_prepared(self.name, parameters))
            except errors.InvalidSqlStatementName:
                pass  # Somebody has deallocated it, psycopg for one after a rollback; it has not run.
            except errors.FeatureNotSupported:
                # Its function answers another row now. It has not run.
                _judged(kept.pgconn.exec_(b"deallocate " + self.name))
        _judged(kept.pgconn.prepare(self.name, self.text))
        names.add(self.name)
        return _judged(kept.pgconn.exec_prepared(self.name, parameters))


def _as_text(value: Any) -> bytes:
    """Return a parameter as PostgreSQL reads it; bytes in the hexadecimal form of bytea."""
    return b"\\x" + value.hex().encode() if isinstance(value, bytes) else str(value).encode()


def _judged(result: Any) -> Any:
    """Return a result that is one, else raise the error that it tells of."""
    if result.status in {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}:
        return result
    failure = errors.error_from_result(result)
    if failure.sqlstate is None:  # what libpq itself says, of a connection that is gone
        raise OperationalError(str(failure))
    raise failure
