"""Reading what lies readable in the tables, as the role that sees all tenants."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stackbe.trust.checks.asking import Connection

# The newest rows of each table; a table that is scanned every quarter of an hour is read whole while it is small.
NEWEST = 2000
READABLE_COLUMNS = """
select c.table_name, array_agg(c.column_name::text order by c.ordinal_position)
from information_schema.columns c
join pg_class t on t.relname = c.table_name and t.relnamespace = 'public'::regnamespace and not t.relispartition
where c.table_schema = 'public' and t.relkind in ('r', 'p') and has_table_privilege(t.oid, 'select')
  and (c.data_type in ('text', 'character varying', 'json', 'jsonb')
       or (c.data_type = 'ARRAY' and c.udt_name in ('_text', '_varchar')))
group by 1 order by 1
"""
HAS_ID = """
select exists (select from information_schema.columns
               where table_schema = 'public' and table_name = %s and column_name = 'id')
"""
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def texts(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield (table, what is readable in a row) for the newest rows of every table; ids are left out."""
    for table, columns in connection.execute(READABLE_COLUMNS.encode()).fetchall():
        row = connection.execute(HAS_ID.encode(), [table]).fetchone()
        order = sql.SQL("order by id desc") if row and row[0] else sql.SQL("")
        query = sql.SQL("select concat_ws(E'\\n', {columns}) from {table} {order} limit {n}").format(
            columns=sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in columns),
            table=sql.Identifier(table),
            order=order,
            n=NEWEST,
        )
        for (text,) in connection.execute(query):
            yield str(table), UUID.sub("", str(text))


def columns_named(connection: Connection, names: Sequence[str]) -> list[str]:
    """Return the columns of our tables that have one of these names."""
    rows = connection.execute(
        b"select table_name || '.' || column_name from information_schema.columns"
        b" where table_schema = 'public' and column_name = any(%s) order by 1",
        [list(names)],
    )
    return [str(row[0]) for row in rows]
