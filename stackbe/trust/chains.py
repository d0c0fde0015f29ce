"""Looking at the audit chains without reading the whole log, which may hold millions of rows."""

from __future__ import annotations


def for_each_tenant(table: str, query: str) -> str:
    """Return a query over `tenant (id)`: each that a table of the log knows, found by one step of its index."""
    return f"""
with recursive tenant (id) as (
  (select tenant_id from {table} order by tenant_id limit 1)
  union all
  select (select l.tenant_id from {table} l where l.tenant_id > tenant.id order by l.tenant_id limit 1)
  from tenant where tenant.id is not null)
{query}
"""  # noqa: S608  # our own names
