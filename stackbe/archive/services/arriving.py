"""A tenant's archive taken in: the same ids, keys, secrets and history, under this instance's master key."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from psycopg import sql

from accounts.models import Membership, Tenant
from accounts.services.users import ensure_user
from stackbe.archive.holdings import HOLDINGS, Holding
from stackbe.archive.services.leaving import KEYS, MEMBERS, TENANT, part_of, schema
from stackbe.archive.wrapping import stated_wrapping, unwrapped
from stackbe.kernel.archives import ArchiveReader, ArchiveRefused
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import wrap_with_master
from stackbe.kernel.ids import MalformedId, decode, encode
from stackbe.kernel.models import TenantKey
from stackbe.kernel.scope import Role, system_scope
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stackbe.kernel.scope import Scope

AT_ONCE = 500
COLUMNS = """
select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped and attgenerated = ''
"""


def take_in(archive: ArchiveReader, passphrase: str) -> dict[str, int]:
    """Restore a tenant from a checked archive, all of it or nothing; return rows by table.

    Raises `ArchiveRefused` for another kind of archive, a wrong passphrase, one made by a newer version,
    and a tenant that is here already, erased ones too.
    """
    manifest = archive.manifest
    if manifest.get("kind") != "tenant":
        raise ArchiveRefused(f"This is the archive of one {manifest.get('kind')}; only a whole tenant's is imported.")
    try:
        tenant_id = decode("ten", manifest["tenantId"])
    except (MalformedId, KeyError):
        raise ArchiveRefused("The archive names no tenant.") from None
    _refuse_newer(manifest)
    outer = stated_wrapping(manifest.get("wrapping")).key(passphrase)
    keys = list(_keys(archive, outer, manifest["tenantId"]))
    scope = system_scope(tenant_id, actor_name="import")
    try:
        with change(scope):
            return _fill(scope, archive, outer, keys)
    except DatabaseError as refused:
        raise ArchiveRefused(f"A row does not fit this instance: {str(refused).splitlines()[0]}") from refused


def _fill(scope: Scope, archive: ArchiveReader, outer: bytes, keys: list[TenantKey]) -> dict[str, int]:
    manifest = archive.manifest
    if Tenant.unscoped.filter(pk=scope.tenant_id).exists():
        raise ArchiveRefused("That tenant is here already. An archive is taken in where there is none of it.")
    for key in keys:
        key.tenant_id = scope.tenant_id
        key.wrapped = wrap_with_master(bytes(key.wrapped), scope.tenant_id, key.id)
        key.save(force_insert=True)
    (tenant,) = (json.loads(line) for line in archive.lines(TENANT))
    Tenant(id=scope.tenant_id, name=tenant["name"], created_at=_moment(tenant["createdAt"])).save(force_insert=True)
    counts = {"members": _members(scope, archive, outer)}
    for holding in HOLDINGS:
        if holding.travels:
            counts[holding.table] = _table(holding, archive.lines(part_of(holding)))
    if manifest.get("stripePlatform") != settings.STRIPE_CLIENT_ID:
        _let_go_of_stripe(scope)
    detail = {"madeAt": manifest["createdAt"], "by": manifest["issuer"], "kid": archive.kid}
    audit(scope, "tenant.imported", encode("ten", scope.tenant_id), detail=detail)
    return counts


def _refuse_newer(manifest: dict[str, Any]) -> None:
    """Refuse rows of a shape that this version has not seen. Migrations' names sort by their number."""
    here, stated = schema(), manifest.get("schema") or {}
    newer = sorted(app for app, leaf in stated.items() if leaf > here.get(app, ""))
    expected = {KEYS, MEMBERS, TENANT} | {part_of(holding) for holding in HOLDINGS if holding.travels}
    if newer or set(manifest["parts"]) - expected:
        raise ArchiveRefused("The archive was made by a newer version of StackBE. Upgrade this instance first.")
    if expected - set(manifest["parts"]) or stated != here:
        raise ArchiveRefused(
            "The archive was made by an older version of StackBE. Upgrade the instance that made it, and export again."
        )


def _keys(archive: ArchiveReader, outer: bytes, owner: str) -> Iterator[TenantKey]:
    for line in archive.lines(KEYS):
        row = json.loads(line)
        yield TenantKey(
            id=UUID(row["id"]),
            wrapped=unwrapped(outer, row["wrapped"], f"archive-key|{owner}|{row['id']}"),
            created_at=_moment(row["createdAt"]),
            retired_at=_moment(row["retiredAt"]) if row["retiredAt"] else None,
        )


def _members(scope: Scope, archive: ArchiveReader, outer: bytes) -> int:
    """Seat the members, known here by their address or new, in the places that they had."""
    count, owner = 0, encode("ten", scope.tenant_id)
    for line in archive.lines(MEMBERS):
        row = json.loads(line)
        person = json.loads(unwrapped(outer, row["wrapped"], f"archive-member|{owner}|{row['id']}"))
        place = Membership(
            id=UUID(row["id"]),
            tenant_id=scope.tenant_id,
            user_id=ensure_user(person["email"]).id,
            role=Role(row["role"]).value,
            created_at=_moment(row["createdAt"]),
        )
        place.save(force_insert=True)
        count += 1
    return count


def _table(holding: Holding, lines: Iterator[bytes]) -> int:
    """Insert a table's rows. The wall refuses a row that names another tenant."""
    count = 0
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, [holding.table])
        columns = sql.SQL(", ").join(sql.Identifier(name) for (name,) in cursor.fetchall())
        table = sql.Identifier(holding.table)
        statement = sql.SQL(
            "insert into {t} ({c}) select {c} from jsonb_populate_recordset(null::{t}, %s::text::jsonb)"
        ).format(t=table, c=columns)
        while batch := list(islice(lines, AT_ONCE)):
            with transaction.atomic():
                cursor.execute(statement, [f"[{','.join(line.decode() for line in batch)}]"])
            count += len(batch)
    return count


def _let_go_of_stripe(scope: Scope) -> None:
    """Mark connections to Stripe as gone: they were given to another platform account than ours."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update billing_stripeconnection set status = 'disconnected', disconnected_at = %s,"
            " disconnected_by = 'import' where tenant_id = %s and status = 'connected'",
            [wall_clock(), scope.tenant_id],
        )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
