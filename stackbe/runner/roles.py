"""The database roles, and what each of them may do before the first table exists.

One role per kind of process, so that a fault in the web code reads and writes what the web may and no more. None is
a superuser and none bypasses row-level security: a PostgreSQL where one does is refused. What each may do with a
table is said by the migration that makes the table.

Every statement can be run again. It needs PostgreSQL 16 or newer and somebody who may create roles; a superuser is not
asked for, since managed databases give none.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from stackbe.runner.state import DATABASE_URLS, RunnerError

DATABASE = "stackbe"
OWNER = "stackbe_owner"
WEB = "stackbe_web"
LOGIN_ROLES = ("stackbe_owner", "stackbe_web", "stackbe_worker", "stackbe_staff")
# Owns the SECURITY DEFINER look-ups that run before the tenant is known; nobody logs in as it.
LOOKUP_ROLE = "stackbe_lookup"
# Copies the whole server for backups and reads no table. Only the worker's side gets its URL, and only where it is set.
BACKUP_ROLE = "stackbe_backup"
BACKUP_URL = "DATABASE_BACKUP_URL"
# The tests' own, on the tests' own server: it may become any of the others.
TEST_ROLE = "stackbe_test"
OLDEST_SERVER = 160000
# How long the web waits at the most: what takes longer would answer a caller who has left. Workers have time.
WEB_PATIENCE = {"lock_timeout": "5s", "statement_timeout": "30s", "idle_in_transaction_session_timeout": "60s"}

Connection = psycopg.Connection[tuple[object, ...]]


def connect(url: str) -> Connection:
    """Connect outside any transaction: CREATE DATABASE refuses one."""
    return psycopg.connect(url, autocommit=True, connect_timeout=10)


def make_roles(connection: Connection, passwords: Mapping[str, str] | None = None) -> None:
    """Make the roles that are missing, set the passwords that are given, and refuse roles that are too strong.

    A password is hashed here (SCRAM), so that the server's log never holds it.
    """
    if connection.info.server_version < OLDEST_SERVER:
        message = f"PostgreSQL 16 or newer is needed; this one is {connection.info.server_version // 10000}."
        raise RunnerError(message)
    present = {str(row[0]) for row in connection.execute("select rolname from pg_roles")}
    for role in (*LOGIN_ROLES, LOOKUP_ROLE):
        if role not in present:
            kind = sql.SQL("nologin" if role == LOOKUP_ROLE else "login")
            connection.execute(sql.SQL("create role {} {}").format(sql.Identifier(role), kind))
    for setting, value in WEB_PATIENCE.items():
        connection.execute(
            sql.SQL("alter role {} set {} = {}").format(
                sql.Identifier(WEB), sql.Identifier(setting), sql.Literal(value)
            )
        )
    for role, password in (passwords or {}).items():
        hashed = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(hashed)))
    grant_membership(connection, [LOOKUP_ROLE], to=OWNER)
    who = connection.execute("select rolsuper, rolname from pg_roles where rolname = current_user").fetchone()
    if who and not who[0]:
        grant_membership(connection, [OWNER], to=str(who[1]))
    refuse_strong_roles(connection)


def refuse_strong_roles(connection: Connection) -> None:
    """Stop where a role of ours could walk around row-level security."""
    strong = connection.execute(
        "select rolname from pg_roles where rolname = any(%s) and (rolsuper or rolbypassrls or rolreplication)",
        [[*LOGIN_ROLES, LOOKUP_ROLE]],
    ).fetchall()
    if strong:
        names = ", ".join(str(row[0]) for row in strong)
        message = f"These roles are superuser, bypass row-level security or replicate, and must not: {names}."
        raise RunnerError(message)


def grant_membership(connection: Connection, roles: Iterable[str], *, to: str) -> None:
    """Let a role become others by SET ROLE, without having what they have until it does."""
    for role in roles:
        connection.execute(
            sql.SQL("grant {} to {} with inherit false, set true").format(sql.Identifier(role), sql.Identifier(to))
        )


def make_database(connection: Connection, name: str = DATABASE) -> None:
    """Make a database that the owner owns, when there is none of that name."""
    if connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
        return
    connection.execute(
        sql.SQL("create database {} owner {} encoding 'UTF8' template template0").format(
            sql.Identifier(name), sql.Identifier(OWNER)
        )
    )


def prepare_database(connection: Connection) -> None:
    """Close an empty database to everybody and open it to our roles as far as they need; idempotent.

    Runs as the owner of the database it is connected to (or one who may become the owner). Nobody else may create
    anything, temporary tables included: a table in pg_temp is how a caller tricks a SECURITY DEFINER function.
    """
    name = sql.Identifier(connection.info.dbname)
    logins = sql.SQL(", ").join(map(sql.Identifier, LOGIN_ROLES))
    everybody = sql.SQL(", ").join(map(sql.Identifier, (*LOGIN_ROLES, LOOKUP_ROLE)))
    lookup = sql.Identifier(LOOKUP_ROLE)
    with connection.transaction():
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(OWNER)))
        for statement in (
            sql.SQL("revoke all on database {} from public").format(name),
            sql.SQL("grant connect on database {} to {}").format(name, logins),
            sql.SQL("revoke all on schema public from public"),
            sql.SQL("grant usage on schema public to {}").format(everybody),
            sql.SQL("create schema if not exists lookup"),
            sql.SQL("grant usage on schema lookup to {}").format(logins),
            sql.SQL("grant usage, create on schema lookup to {}").format(lookup),
        ):
            connection.execute(statement)
        # Whoever does this must be able to come back and do it again.
        visitors = [connection.info.user]
        if connection.execute("select 1 from pg_roles where rolname = %s", [TEST_ROLE]).fetchone():
            visitors.append(TEST_ROLE)
        for visitor in visitors:
            connection.execute(sql.SQL("grant connect on database {} to {}").format(name, sql.Identifier(visitor)))


def make_test_role(connection: Connection) -> None:
    """Make the role that the test suite logs in as, able to create databases and to become every other role."""
    if not connection.execute("select 1 from pg_roles where rolname = %s", [TEST_ROLE]).fetchone():
        connection.execute(sql.SQL("create role {} login createdb").format(sql.Identifier(TEST_ROLE)))
    connection.execute(sql.SQL("alter role {} createdb").format(sql.Identifier(OWNER)))
    grant_membership(connection, [*LOGIN_ROLES, LOOKUP_ROLE], to=TEST_ROLE)


def make_backup_role(connection: Connection, password: str | None = None) -> None:
    """Make the role that takes base backups and receives WAL. Only somebody who may replicate can make it."""
    if not connection.execute("select 1 from pg_roles where rolname = %s", [BACKUP_ROLE]).fetchone():
        connection.execute(sql.SQL("create role {} login replication").format(sql.Identifier(BACKUP_ROLE)))
    if password:
        hashed = connection.pgconn.encrypt_password(password.encode(), BACKUP_ROLE.encode(), b"scram-sha-256").decode()
        statement = sql.SQL("alter role {} password {}").format(sql.Identifier(BACKUP_ROLE), sql.Literal(hashed))
        connection.execute(statement)


def passwords_of(urls: Iterable[str]) -> dict[str, str]:
    """The passwords that database URLs carry, by role; a role without one is left as it is."""
    parts = [urlsplit(url) for url in urls]
    return {unquote(part.username): unquote(part.password) for part in parts if part.username and part.password}


def provision(admin_url: str, environment: Mapping[str, str]) -> list[str]:
    """Make roles and database on any PostgreSQL (`manage.py roles`) and say what stands.

    Passwords are those in the DATABASE_*_URL variables of the environment; the database is the one they name.
    """
    urls = [environment[name] for name in DATABASE_URLS if environment.get(name)]
    unknown = {part.username for part in map(urlsplit, urls)} - set(LOGIN_ROLES)
    if unknown:
        wanted = ", ".join(f"{name} as {role}" for name, role in DATABASE_URLS.items())
        message = f"A database URL names another role than ours ({', '.join(map(str, unknown))}). Expected: {wanted}."
        raise RunnerError(message)
    names = {urlsplit(url).path.lstrip("/") for url in urls} or {DATABASE}
    if len(names) != 1:
        message = f"The database URLs name several databases: {', '.join(sorted(names))}. They must name one."
        raise RunnerError(message)
    (name,) = names
    passwords = passwords_of(urls)
    with connect(admin_url) as connection:
        make_roles(connection, passwords)
        make_database(connection, name)
        if environment.get(BACKUP_URL):
            make_backup_role(connection, urlsplit(environment[BACKUP_URL]).password)
        admin = psycopg.conninfo.conninfo_to_dict(admin_url)
    with connect(psycopg.conninfo.make_conninfo("", **{**admin, "dbname": name})) as connection:
        prepare_database(connection)
    without = [role for role in LOGIN_ROLES if role not in passwords]
    lines = [f"Roles {', '.join((*LOGIN_ROLES, LOOKUP_ROLE))} and database {name} are in place."]
    if without:
        lines.append(f"No password was set for {', '.join(without)}: no DATABASE_*_URL with one names them.")
    return lines


def main(argv: list[str]) -> int:
    """`manage.py roles URL`: make roles and database on the PostgreSQL that an administrator's URL names."""
    parser = argparse.ArgumentParser(prog="manage.py roles", description=__doc__)
    parser.add_argument("admin_url", help="of somebody who may create roles and databases; or set DATABASE_ADMIN_URL",
                        nargs="?", default=os.environ.get("DATABASE_ADMIN_URL"))  # fmt: skip
    asked = parser.parse_args(argv)
    if not asked.admin_url:
        parser.error("give an administrator's URL, such as postgresql://postgres:…@db.example.com/postgres")
    for line in provision(asked.admin_url, os.environ):
        sys.stdout.write(f"{line}\n")
    return 0
