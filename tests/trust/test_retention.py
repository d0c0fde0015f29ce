"""The table of retention: of each kind an old row and a young one are planted; the purge takes the old one alone."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import first_id, new_id
from stackbe.trust.retention import LAST_STEP, TABLE, Kept
from tests.queue import run_periodic

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def test_the_table_names_every_kind_once_and_only_tables_that_are_there():
    with connection.cursor() as cursor:
        cursor.execute("select relname from pg_class where relnamespace = 'public'::regnamespace")
        there = {name for (name,) in cursor.fetchall()}

    assert len({kept.kind for kept in TABLE}) == len(TABLE)
    assert {kept.table for kept in TABLE} <= there


@contextmanager
def owner(tenant_id):
    with connection.cursor() as cursor:
        cursor.execute("set role stackbe_owner")
        cursor.execute("select set_config('stackbe.tenant', %s, true)", [str(tenant_id)])
        yield cursor
        cursor.execute("select set_config('stackbe.tenant', '', true)")
        cursor.execute("set role stackbe_web")


def counted(cursor, kept: Kept, before) -> int:
    cursor.execute(kept.count(), {"before": first_id(before) if kept.since == "id" else before})
    return cursor.fetchone()[0]


def test_of_each_kind_the_old_goes_and_the_young_stays(acme):
    planter = Planter(acme.tenant_id)
    for kept in TABLE:
        planter.plant(kept, HOUR)
        planter.plant(kept, -HOUR)
    with owner(acme.tenant_id) as cursor:
        old = {kept.kind: counted(cursor, kept, wall_clock() - kept.time) for kept in TABLE}

    run_periodic("trust.purge")

    with owner(acme.tenant_id) as cursor:
        left = {kept.kind: counted(cursor, kept, wall_clock() - kept.time) for kept in TABLE}
        young = {kept.kind: counted(cursor, kept, wall_clock() - kept.time + 2 * HOUR) for kept in TABLE}
        for kept in TABLE:
            cursor.execute(f"delete from {kept.table}")  # before the test's end looks for what they hang on
        cursor.execute("delete from archive_archive")
    assert [kind for kind, number in old.items() if not number] == []
    assert [kind for kind, number in left.items() if number] == []
    assert [kind for kind, number in young.items() if not number] == []


class Planter:
    """Copies a row's shape: fills what must not be null, and puts the time where the rule looks."""

    def __init__(self, tenant_id) -> None:
        self.tenant_id = tenant_id

    def plant(self, kept: Kept, age: timedelta) -> None:
        moment = wall_clock() - kept.time - age
        with owner(self.tenant_id) as cursor:
            values = self._needed(cursor, kept.table)
            if kept.since == "id":
                values["id"] = new_id(int(moment.timestamp() * 1000))
            elif kept.since == LAST_STEP:
                values |= {"status": "succeeded", "task_name": "t", "queue_name": "q"}
            elif kept.since.startswith("to_timestamp"):
                values["expires_at"] = moment.timestamp()
            elif kept.table == "archive_archivepart":
                archive = self._needed(cursor, "archive_archive") | {"created_at": moment, "dropped_at": moment}
                self._insert(cursor, "archive_archive", archive)
                values["archive_id"] = archive["id"]
            else:
                values[kept.since] = moment
            values |= self._narrowed(kept)
            self._insert(cursor, kept.table, values)
            if kept.since == LAST_STEP:
                cursor.execute(
                    "insert into procrastinate_events (job_id, type, at) select max(id), 'succeeded', %s from procrastinate_jobs",
                    [moment],
                )

    def _narrowed(self, kept: Kept) -> dict:
        if kept.empties.startswith(("content", "answer")):
            return {kept.empties.partition(" ")[0]: b"x" if "content" in kept.empties else "x"}
        if "previous_secret" in kept.empties:
            return {"previous_secret": b"x"}
        if "status <> 'pending'" in kept.only:
            return {"status": "delivered"}
        if kept.only == "not changed":
            return {"changed": False}
        return {"changed": True} if kept.table == "trust_trustcheck" else {}

    def _needed(self, cursor, table: str) -> dict:
        cursor.execute(
            "select column_name, data_type, column_default, character_maximum_length from information_schema.columns"
            " where table_schema = 'public' and table_name = %s and is_nullable = 'NO' and is_identity = 'NO'",
            [table],
        )
        return {n: self._value(n, kind, most or 8) for n, kind, default, most in cursor.fetchall() if default is None}

    def _value(self, name: str, kind: str, most: int):
        if name == "tenant_id":
            return self.tenant_id
        match kind:
            case "uuid":
                return new_id()
            case "bytea":
                return new_id().bytes
            case "boolean":
                return False
            case "timestamp with time zone":
                return wall_clock() + timedelta(days=1000)
            case "jsonb" | "json":
                return "{}"
            case "ARRAY":
                return []
            case "text" | "character varying":
                return new_id().hex[-min(most, 8) :]
            case _:
                return 1

    @staticmethod
    def _insert(cursor, table: str, values: dict) -> None:
        names = ", ".join(f'"{name}"' for name in values)
        cursor.execute(
            f"insert into {table} ({names}) values ({', '.join(['%s'] * len(values))})", list(values.values())
        )
