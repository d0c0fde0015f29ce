"""A whole tenant into one file: every row as it lies, sealed columns still sealed, and the keys to them.

The tenant's keys travel wrapped under a passphrase, so the file alone opens nothing; whoever has both can
read everything without us (`examples/archive.py open`), and another instance can take it in.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection
from psycopg import sql

from accounts.models import Membership, User
from accounts.services.archives import facts_of, signed
from accounts.services.tenants import fetch_tenant
from stackbe.archive.holdings import HOLDINGS, Holding, sealed_columns
from stackbe.archive.wrapping import Wrapping, wrapped
from stackbe.kernel.archives import ArchiveWriter
from stackbe.kernel.clock import render
from stackbe.kernel.crypto import open_tenant_key
from stackbe.kernel.ids import encode
from stackbe.kernel.models import TenantKey
from stackbe.kernel.scope import PLATFORM
from stackbe.kernel.transactions import current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stackbe.kernel.scope import Scope

AT_ONCE = 500
TENANT, KEYS, MEMBERS = "tenant.jsonl", "keys.jsonl", "members.jsonl"
LEAVES = """
select distinct on (app) app, name from django_migrations
where app = any(array['kernel', 'mail', 'webhooks', 'accounts', 'apikeys', 'billing', 'usage', 'archive'])
order by app, name desc
"""


def write_tenant(
    scope: Scope, out: Any, wrapping: Wrapping, outer: bytes, told: Callable[[int], None] | None = None
) -> int:
    """Write the archive; return how many rows are in it. `told` hears the count as it grows.

    Call it with one snapshot open (`snapshot(scope)`), so that all parts show the same moment.
    """
    facts = facts_of(scope, "tenant", encode("ten", scope.tenant_id)) | {
        "schema": schema(),
        "wrapping": wrapping.as_json(),
        "sealed": sealed_columns(),
        "stripePlatform": settings.STRIPE_CLIENT_ID,
    }
    archive, done = ArchiveWriter(out, facts), 0
    archive.add(TENANT, [_tenant(scope)])
    archive.add(KEYS, _keys(scope, outer))
    archive.add(MEMBERS, _members(scope, outer))
    for holding in HOLDINGS:
        if holding.travels:
            before = done
            further = None if told is None else _from(before, told)
            done += archive.add(f"rows/{holding.table}.jsonl", _rows(scope, holding), further)
            if told is not None:
                told(done)
    archive.close(signed)
    return done


def count_rows(scope: Scope) -> int:
    """Return how many rows the archive will have."""
    total = 0
    with connection.cursor() as cursor:
        for holding in HOLDINGS:
            if holding.travels:
                cursor.execute(_statement("select count(*)", holding), [scope.tenant_id])
                total += cursor.fetchone()[0]
    return total


def schema() -> dict[str, str]:
    """Return each app's newest migration: what an importing instance must know."""
    with connection.cursor() as cursor:
        cursor.execute(LEAVES)
        return dict(cursor.fetchall())


def _from(before: int, told: Callable[[int], None]) -> Callable[[int], None]:
    return lambda count: told(before + count)


def _tenant(scope: Scope) -> bytes:
    tenant = fetch_tenant(scope)
    return json.dumps({"name": tenant.name, "createdAt": render(tenant.created_at)}).encode()


def _keys(scope: Scope, outer: bytes) -> Iterator[bytes]:
    owner = encode("ten", scope.tenant_id)
    for row in TenantKey.objects.within(scope).order_by("id"):
        key = open_tenant_key(bytes(row.wrapped), scope.tenant_id, row.id)
        told = {
            "id": str(row.id),
            "createdAt": render(row.created_at),
            "retiredAt": render(row.retired_at),
            "wrapped": wrapped(outer, key, f"archive-key|{owner}|{row.id}"),
        }
        yield json.dumps(told).encode()


def _members(scope: Scope, outer: bytes) -> Iterator[bytes]:
    owner = encode("ten", scope.tenant_id)
    places = list(Membership.objects.within(scope).order_by("id"))
    users = User.objects.in_bulk([place.user_id for place in places])
    current().keys.preload(users, PLATFORM)
    for place in places:
        user = users.get(place.user_id)
        if user is None or not user.email:
            continue
        person = json.dumps({"email": user.email}).encode()
        told = {
            "id": str(place.id),
            "role": place.role,
            "createdAt": render(place.created_at),
            "wrapped": wrapped(outer, person, f"archive-member|{owner}|{place.id}"),
        }
        yield json.dumps(told).encode()


def _rows(scope: Scope, holding: Holding) -> Iterator[bytes]:
    """Read a table through a cursor of the server, so that no table need fit into memory."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(_statement("select to_jsonb(t)::text", holding), [scope.tenant_id])
        while rows := cursor.fetchmany(AT_ONCE):
            for (text,) in rows:
                yield text.encode()


def _statement(what: str, holding: Holding) -> sql.Composed:
    only = sql.SQL(f" and {holding.only}") if holding.only else sql.SQL("")
    return sql.SQL(what + " from {} t where tenant_id = %s").format(sql.Identifier(holding.table)) + only


def part_of(holding: Holding) -> str:
    """Return the name of a table's part."""
    return f"rows/{holding.table}.jsonl"
