"""Minimal access (A1, A2)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from accounts.models import User
from stackbe.archive.trusted import trusted_keys
from stackbe.kernel.audit import START_OF_CHAIN, chained
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import first_id
from stackbe.staff.console import console
from stackbe.trust.chains import for_each_tenant
from stackbe.trust.checks.asking import Connection, as_role, ask, number, refused
from stackbe.trust.checks.shapes import Found
from stackbe.trust.heads import lost_heads, read_heads
from stackbe.trust.objects import StoreFailed
from stackbe.trust.services.chains import LATE
from stackbe.trust.shelves import shelf

SERVING = ("stackbe_web", "stackbe_worker", "stackbe_staff")
AUDIT = ("kernel_auditevent", "kernel_auditseal")
STRONG = """
select count(*) from pg_roles r where r.rolname = any(%s) and (
  r.rolsuper or r.rolbypassrls or r.rolcreatedb or r.rolcreaterole or r.rolreplication
  or exists (select from pg_class c where c.relowner = r.oid)
  or has_schema_privilege(r.rolname, 'public', 'create')
  or pg_has_role(r.rolname, 'stackbe_owner', 'member') or pg_has_role(r.rolname, 'stackbe_lookup', 'member'))
"""
UNWALLED = """
select count(*) from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
where c.relkind in ('r', 'p') and not c.relispartition and not (c.relrowsecurity and c.relforcerowsecurity)
"""
WALLED_TABLES = ("accounts_app", "accounts_customer", "apikeys_apikey", "billing_subscription", "webhooks_event")
LOOSE_TRIGGERS = """
select count(*) from unnest(%s::text[]) as t(name) where not exists (
  select from pg_trigger g where g.tgrelid = t.name::regclass and g.tgname = 'append_only' and g.tgenabled = 'O')
"""
MAY_CHANGE = """
select count(*) from unnest(%s::text[]) as r(name), unnest(%s::text[]) as t(name)
where has_table_privilege(r.name, t.name, 'update') or has_table_privilege(r.name, t.name, 'delete')
   or has_table_privilege(r.name, t.name, 'truncate')
"""
STAFF_WRITES = """
select count(*) from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and (
  has_table_privilege('stackbe_staff', c.oid, 'insert, update, delete, truncate')
  or has_any_column_privilege('stackbe_staff', c.oid, 'insert, update'))
"""
# The newest seals of each tenant, each with the one before it. No query here reads the whole log.
NEWEST_SEALS = for_each_tenant(
    "kernel_auditseal",
    """
select s.digest, s.sequence, before.digest, to_jsonb(a)::text from tenant
cross join lateral (
  select * from kernel_auditseal l where l.tenant_id = tenant.id order by l.sequence desc limit 20) s
left join kernel_auditseal before on before.tenant_id = s.tenant_id and before.sequence = s.sequence - 1
left join kernel_auditevent a on a.id = s.audit_id
limit 2000
""",
)
# Rows that are due a seal: each tenant's newest such, and all of the last hours. What is older and has none is sealed
# once an hour, when the sealer goes through the whole log.
UNSEALED = for_each_tenant(
    "kernel_auditevent",
    """
select count(*) from (
  select newest.id from tenant cross join lateral (
    select a.id from kernel_auditevent a where a.tenant_id = tenant.id and a.id < %(due)s order by a.id desc limit 1
  ) newest
  union
  select a.id from kernel_auditevent a where a.id >= %(since)s and a.id < %(due)s
) looked where not exists (select from kernel_auditseal s where s.audit_id = looked.id)
""",
)
UNKEPT = """
select count(*) from (
  select from kernel_auditseal where id >= %s and sealed_at > %s and sealed_at < %s limit 1) unkept
"""
DUE, WINDOW = timedelta(minutes=10), timedelta(hours=2)


def least_privilege(found: Found) -> None:
    """Read the roles' rights, and try as the web role what it must not be able to do."""
    with as_role("web") as web:
        found.need(
            number(web, STRONG, [list(SERVING)]) == 0,
            "The serving roles own nothing, bypass nothing and make nothing.",
            "A serving role is stronger than it may be.",
        )
        found.need(number(web, UNWALLED) == 0, "Every tenant's table is walled.", "A tenant's table has no wall.")
        tries = {
            "change an audit row": "update kernel_auditevent set action = action where false",
            "delete an audit row": "delete from kernel_auditevent where false",
            "make a table": "create table public.trust_probe ()",
            "turn the walls off": "set local row_security = off; select count(*) from accounts_customer",
            "become the owner": "set role stackbe_owner",
        }
        for what, statement in tries.items():
            found.need(refused(web, statement), f"The web role may not {what}.", f"The web role may {what}.")
        _foreign_rows(found, web)
        found.need(
            number(web, STAFF_WRITES) == 0,
            "The staff role, which reads all tenants, writes nothing.",
            "The staff role may write.",
        )
    with as_role("staff") as staff:
        loose = number(staff, "select count(*) from apikeys_apikey where kind = 'secret' and cardinality(scopes) = 0")
        found.need(loose == 0, "Every key names its scopes.", "A key has no scopes.")


def _foreign_rows(found: Found, web: Connection) -> None:
    """Ask as the web role for other tenants' rows, for each of a few tenants and for none."""
    tenants = [row[0] for row in web.execute("select id from lookup.tenants() limit 3")]
    seen = 0
    for tenant in [None, *tenants]:
        with web.transaction():
            web.execute("select set_config('stackbe.tenant', %s, true)", [str(tenant or "")])
            for table in WALLED_TABLES:
                foreign = f"select count(*) from {table} where tenant_id is distinct from %s"  # noqa: S608  # our own names
                seen += number(web, foreign, [tenant])
    found.need(seen == 0, "Asked for other tenants' rows, it sees none.", f"It sees {seen} rows of other tenants.")


def internal_access(found: Found) -> None:
    """Look at who is staff and how they get in, and at the log: can it be changed, and does its chain hold."""
    door = ask("GET", f"/{settings.CONSOLE_PATH}/")
    found.need(door.status in {302, 403, 404}, "The console lets no stranger in.", "The console answers a stranger.")
    request: Any = HttpRequest()
    request.user, request.session = User(staff_role=User.StaffRole.ADMINISTRATOR), {}
    found.need(
        not console.has_permission(request),
        "Nobody on the staff is let in without a second factor.",
        "An administrator is let in without a second factor.",
    )
    with as_role("staff") as staff:
        found.need(
            number(staff, MAY_CHANGE, [list(SERVING), list(AUDIT)]) == 0,
            "No serving role may change the audit log.",
            "A serving role may change the audit log.",
        )
        found.need(
            number(staff, LOOSE_TRIGGERS, [list(AUDIT)]) == 0,
            "Its triggers refuse changes by anybody.",
            "The trigger that refuses changes is off.",
        )
        rows = staff.execute(NEWEST_SEALS).fetchall()
        broken = sum(not _holds(*row) for row in rows)
        found.need(not broken, f"{len(rows)} newest seals hold.", f"{broken} of the newest seals do not hold.")
        due = wall_clock() - DUE
        waiting = number(staff, UNSEALED, {"due": first_id(due), "since": first_id(due - WINDOW)})
        if waiting:
            found.late(f"{waiting} audit rows wait for their seal for more than 10 minutes.")
        whole_chains(found, staff)
        kept_heads(found, staff)
        known = set(User.StaffRole.values)
        roles = {str(row[0]) for row in staff.execute("select distinct staff_role from accounts_user")}
        found.need(roles <= known, "Everybody on the staff has a role of the table.", "Somebody has an unknown role.")


def whole_chains(found: Found, staff: Connection) -> None:
    """Say what the daily pass over whole chains found wrong, or that it is late. That it found nothing is no tick."""
    broken = number(staff, "select count(*) from trust_chain where not holds")
    if broken:
        found.failed(f"{broken} audit chains did not hold when they were last gone through.")
    elif number(staff, "select count(*) from trust_chain where verified_at < %s", [wall_clock() - LATE]):
        found.late("Audit chains were not gone through for more than a day.")


def kept_heads(found: Found, staff: Connection) -> None:
    """Compare the chains with the heads that the worker has signed and kept elsewhere; without them, claim nothing."""
    if not settings.AUDIT_HEADS:
        return
    place, keys = shelf(settings.AUDIT_HEADS), trusted_keys(None)
    try:
        kept = read_heads(place, keys, recent=True)
        gone = {tenant for tenant, _ in lost_heads(place, keys, staff, recent=True)}
    except StoreFailed as failure:
        found.not_run(f"The heads that are kept elsewhere could not be read: {failure}")
        return
    for fault in kept.faults:
        found.failed(fault)
    found.need(
        not gone,
        f"{len(kept.heads)} chains reach the heads that are kept elsewhere.",
        f"{len(gone)} chains were cut off.",
    )
    newest = datetime.fromisoformat(kept.newest) if kept.newest else datetime.fromtimestamp(0, UTC)
    if number(staff, UNKEPT, [first_id(newest), newest, wall_clock() - DUE]):
        found.late("Heads of the audit log were not kept elsewhere for more than 10 minutes.")


def _holds(digest: bytes, sequence: int, before: bytes | None, content: str | None) -> bool:
    if content is None or (before is None and sequence != 1):
        return False
    return chained(bytes(before) if before is not None else START_OF_CHAIN, sequence, json.loads(content)) == bytes(
        digest
    )
