"""Sealed values that lie under a tenant's key itself: each is sealed anew under its newest, column by column.

The audit log is never changed, so what it holds stays under the key of its day; that key stays too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connection
from psycopg import sql

from stackbe.kernel import crypto
from stackbe.kernel.fields import Sealed
from stackbe.kernel.scope import PLATFORM
from stackbe.kernel.transactions import change, reading
from stackbe.trust.services.rotation.keys import AT_ONCE, current_and_older

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope

PASSES = 5
MAY_CHANGE = """
select place.name from unnest(%s::text[], %s::text[]) with ordinality as place (name, part, number)
group by 1 having bool_and(has_column_privilege(current_user, place.name, place.part, 'UPDATE')) order by min(number)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A table with sealed columns. One without a tenant is the platform's."""

    table: str
    key: str
    columns: tuple[str, ...]
    of_tenants: bool

    def lies_under(self) -> sql.Composed:
        """Return the condition on a row: one of its values names one of the keys (a parameter)."""
        tests = [sql.SQL("substr({}, 2, 16) = any(%s)").format(sql.Identifier(name)) for name in self.columns]
        return sql.SQL("({})").format(sql.SQL(" or ").join(tests))

    def of(self, scope: Scope) -> bool:
        """Say whether the table can hold rows of a tenant."""
        return self.of_tenants or scope.tenant_id == PLATFORM


def places() -> list[Place]:
    """Return every table with sealed columns that this process may change."""
    found = {}
    for model in apps.get_models():
        columns = tuple(str(field.column) for field in model._meta.get_fields() if isinstance(field, Sealed))
        of_tenants = any(field.column == "tenant_id" for field in model._meta.concrete_fields)
        if columns:
            table = model._meta.db_table
            found[table] = Place(table, str(model._meta.pk.column), columns, of_tenants)
    pairs = [(place.table, column) for place in found.values() for column in place.columns]
    with connection.cursor() as cursor:
        cursor.execute(MAY_CHANGE, [[table for table, _ in pairs], [column for _, column in pairs]])
        return [found[table] for (table,) in cursor.fetchall()]


def under_keys(scope: Scope, keys: list[bytes] | None = None) -> int:
    """Return how many rows of a tenant hold values under some of its keys, by default all but the newest."""
    with reading(scope):
        return sum(_counts(scope, current_and_older(scope)[1] if keys is None else keys).values())


def reseal(scope: Scope, faults: list[str]) -> int:
    """Seal a tenant's values anew under its newest key; return how many rows that took.

    A row that somebody holds is passed over and tried again in the next pass; one that stays held is for the next run.
    One that does not open, since it was changed or moved, stays as it is and is named in `faults`.
    """
    moved, known = 0, len(faults)
    for _ in range(PASSES):
        with reading(scope):
            waiting = _counts(scope, current_and_older(scope)[1])
        if not waiting or len(faults) > known:
            break
        moved += sum(_pass(scope, place, faults) for place in waiting)
    return moved


def _counts(scope: Scope, keys: list[bytes]) -> dict[Place, int]:
    """Return the tables in which a tenant has values under some keys, with the number of rows: one query for all."""
    there = [place for place in places() if place.of(scope)]
    if not keys or not there:
        return {}
    parts, given = [], list[Any]()
    for number, place in enumerate(there):
        part = sql.SQL("select {}, count(*) from {} where {}")
        parts.append(part.format(sql.Literal(number), sql.Identifier(place.table), place.lies_under()))
        given += [keys] * len(place.columns)
        if place.of_tenants:
            parts[-1] += sql.SQL(" and tenant_id = %s")
            given.append(scope.tenant_id)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(" union all ").join(parts), given)
        return {there[number]: count for number, count in cursor.fetchall() if count}


def _pass(scope: Scope, place: Place, faults: list[str]) -> int:
    """Go through the table once, a change for each batch."""
    moved, last = 0, None
    while True:
        with change(scope) as unit:
            newest, older = current_and_older(scope)
            batch = _batch(scope, place, older, last) if newest is not None and older else []
            for row_id, *sealed in batch:
                names = [f"{place.table}.{column}|{row_id}" for column in place.columns]
                try:
                    fresh = [_moved(unit.keys, value, older, name) for value, name in zip(sealed, names, strict=True)]
                except crypto.SealBroken as broken:
                    faults.append(f"{broken} does not open: it was changed, or moved from another row.")
                    continue
                _store(place, row_id, fresh)
                moved += 1
        if len(batch) < AT_ONCE:
            return moved
        last = batch[-1][0]


def _batch(scope: Scope, place: Place, keys: list[bytes], last: UUID | None) -> list[tuple[Any, ...]]:
    key = sql.Identifier(place.key)
    statement = sql.SQL("select {} from {} where {}").format(
        sql.SQL(", ").join([key, *map(sql.Identifier, place.columns)]), sql.Identifier(place.table), place.lies_under()
    )
    given: list[Any] = [keys] * len(place.columns)
    if place.of_tenants:
        statement += sql.SQL(" and tenant_id = %s")
        given.append(scope.tenant_id)
    if last is not None:
        statement += sql.SQL(" and {} > %s").format(key)
        given.append(last)
    statement += sql.SQL(" order by {} limit %s for no key update skip locked").format(key)
    with connection.cursor() as cursor:
        cursor.execute(statement, [*given, AT_ONCE])
        return list(cursor.fetchall())


def _moved(keys: crypto.Keyring, value: bytes | None, older: list[bytes], name: str) -> bytes | None:
    """Return a value under the tenant's newest key; one under a person's key, or none, as it is."""
    if value is None or crypto.key_id_of(bytes(value)) not in older:
        return value
    key_id, key = keys.tenant_key()
    plain = crypto.unseal(keys.key(crypto.key_id_of(bytes(value))), bytes(value), name)
    return crypto.seal(key, key_id.bytes, plain, name)


def _store(place: Place, row_id: UUID, values: list[bytes | None]) -> None:
    setting = [sql.SQL("{} = %s").format(sql.Identifier(column)) for column in place.columns]
    statement = sql.SQL("update {} set {} where {} = %s").format(
        sql.Identifier(place.table), sql.SQL(", ").join(setting), sql.Identifier(place.key)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, row_id])
