"""The tests' databases: one template with the schema, a copy of it for each worker process."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import psycopg
from psycopg import sql

from stackbe.runner import roles, state
from tests.plugin import as_role

ROOT = Path(__file__).resolve().parent.parent


def owner_url(name: str) -> str:
    """Return the URL under which the owner of a test database's tables connects."""
    return as_role(os.environ["STACKBE_TEST_MAINTENANCE_URL"], "stackbe_owner", name)


def maintenance() -> psycopg.Connection[tuple[object, ...]]:
    """Connect to the server's own database as the role that owns ours."""
    return psycopg.connect(owner_url("postgres"), autocommit=True)


def schema_digest() -> str:
    """Return a digest of all that shapes the schema: a new one means a new template, a copy of the tree does not."""
    digest = hashlib.sha256()
    files = [p for p in ROOT.rglob("*migrations/*.py") if ".venv" not in p.parts]
    files += [ROOT / "stackbe/kernel/walls.py", ROOT / "requirements.txt", ROOT / "stackbe/runner/roles.py"]
    for path in sorted(files):
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def template() -> str:
    """Return the name of a database with the schema, made once and kept for the next run."""
    name = f"stackbe_template_{schema_digest()}"
    with (state.home() / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with maintenance() as server:
            found = server.execute("select from pg_database where datname = %s", [name]).fetchone()
            if found is None:
                _make_template(server, name)
    return name


def _make_template(server: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    draft = f"{name}_draft"
    server.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(draft)))
    server.execute(sql.SQL("create database {} owner stackbe_owner template template0").format(sql.Identifier(draft)))
    with psycopg.connect(owner_url(draft), autocommit=True) as database:
        roles.prepare_database(database)
    environment = {**os.environ, "STACKBE_ROLE": "owner", "DATABASE_OWNER_URL": owner_url(draft)}
    command = [sys.executable, "-m", "django", "migrate", "--verbosity=0"]
    environment["DJANGO_SETTINGS_MODULE"] = "stackbe.settings"
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    server.execute(sql.SQL("alter database {} rename to {}").format(sql.Identifier(draft), sql.Identifier(name)))


def create(name: str) -> None:
    """Make a worker's database from the template."""
    source = template()
    with maintenance() as server:
        server.execute(
            sql.SQL("create database {} owner stackbe_owner template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(source)
            )
        )


def drop(name: str) -> None:
    """Drop a worker's database, whoever still holds it."""
    statement = sql.SQL("drop database if exists {}").format(sql.Identifier(name))
    with maintenance() as server:
        try:
            server.execute(statement)  # waits a few seconds for connections that are just closing
        except psycopg.errors.ObjectInUse:
            server.execute(statement + sql.SQL(" with (force)"))


def reset(name: str) -> None:
    """Empty every table of ours that holds anything, as the owner: the serving roles may not truncate."""
    with psycopg.connect(owner_url(name), autocommit=True) as database:
        names = [
            str(row[0])
            for row in database.execute(
                "select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                " where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition"
                " and c.relname not in ('django_migrations', 'django_content_type', 'auth_permission',"
                " 'kernel_partitionedtable')"
                " and pg_relation_size(c.oid)"
                " + coalesce((select sum(pg_relation_size(t.relid)) from pg_partition_tree(c.oid) t), 0) > 0"
            )
        ]
        if not names:
            return
        for table in ("kernel_auditevent", "kernel_auditseal"):
            database.execute(sql.SQL("alter table {} disable trigger user").format(sql.Identifier(table)))
        database.execute(f"truncate {', '.join(names)} restart identity cascade")
        for table in ("kernel_auditevent", "kernel_auditseal"):
            database.execute(sql.SQL("alter table {} enable trigger user").format(sql.Identifier(table)))
