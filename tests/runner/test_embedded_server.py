"""The embedded PostgreSQL: cold starts, violent ends, and who may do what in it."""

from __future__ import annotations

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from stackbe.runner import processes, roles
from stackbe.runner.devdb import Server
from tests.runner.test_supervise import until

LOGINS = ["stackbe_owner", "stackbe_staff", "stackbe_web", "stackbe_worker"]


def postmaster(server):
    return int((server.data / "postmaster.pid").read_text().split("\n", 1)[0])


def ask(server, role, statement, database="stackbe"):
    with psycopg.connect(server.url(role, database), autocommit=True) as connection:
        return connection.execute(statement).fetchall()


def test_a_cold_start_leaves_a_database_that_every_role_can_enter(server):
    with server.running() as environment:
        backup_url = environment.pop("DATABASE_BACKUP_URL")
        for url in environment.values():
            psycopg.connect(url).close()
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(backup_url)

    assert set(environment) == {"DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_WORKER_URL", "DATABASE_STAFF_URL"}


def test_no_role_of_ours_is_superuser_or_walks_around_row_level_security(intact):
    strong = ask(
        intact,
        "postgres",
        "select rolname from pg_roles where rolname like 'stackbe%' and (rolsuper or rolbypassrls or rolcreaterole)",
    )
    logins = ask(
        intact, "postgres", "select rolname from pg_roles where rolname like 'stackbe%' and rolcanlogin order by 1"
    )

    assert strong == []
    assert [row[0] for row in logins] == sorted([*LOGINS, "stackbe_backup", "stackbe_test"])


def test_a_role_that_walks_around_row_level_security_is_refused(server):
    server.start()
    with roles.connect(server.url("postgres", "postgres")) as admin:
        admin.execute("alter role stackbe_web bypassrls")

        with pytest.raises(roles.RunnerError, match="stackbe_web"):
            roles.make_roles(admin)


@pytest.mark.parametrize("role", ["stackbe_web", "stackbe_worker", "stackbe_staff"])
@pytest.mark.parametrize("statement", ["create table t ()", "create temporary table t ()", "create schema s"])
def test_serving_roles_create_nothing(intact, role, statement):
    with psycopg.connect(intact.url(role)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_the_owner_may_hand_a_look_up_to_the_role_that_nobody_logs_in_as(intact):
    with psycopg.connect(intact.url("stackbe_owner"), autocommit=True) as owner:
        owner.execute("create function lookup.answer() returns int security definer language sql as 'select 42'")
        owner.execute("alter function lookup.answer() owner to stackbe_lookup")

    assert ask(intact, "stackbe_web", "select lookup.answer()") == [(42,)]
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(intact.url("stackbe_lookup"))


def test_the_tests_role_becomes_others_but_has_nothing_of_theirs_before(intact):
    with psycopg.connect(intact.url("stackbe_owner"), autocommit=True) as owner:
        owner.execute("create table t ()")

    with psycopg.connect(intact.url("stackbe_test"), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select from public.t")
        connection.execute("set role stackbe_owner")
        connection.execute("select from t")


def test_a_killed_server_starts_again_with_its_data(place, request):
    server = Server(place / "postgres")
    request.addfinalizer(server.release)
    server.start()
    with psycopg.connect(server.url("stackbe_owner"), autocommit=True) as owner:
        owner.execute("create table kept as select 7 as n")
    os.kill(postmaster(server), signal.SIGKILL)

    server.start()

    assert ask(server, "stackbe_owner", "select n from kept") == [(7,)]


def test_a_server_that_died_is_revived_under_its_users(server):
    server.start()
    assert not server.revive()
    os.kill(postmaster(server), signal.SIGKILL)

    until(server.revive)

    assert ask(server, "stackbe_web", "select 1") == [(1,)]
    assert not server.revive()


def test_a_process_id_that_was_given_to_another_process_does_not_block_the_start(server):
    server.start()
    pid_file = server.data / "postmaster.pid"
    lines = pid_file.read_text().split("\n")
    os.kill(int(lines[0]), signal.SIGKILL)
    until(lambda: processes.look_up(int(lines[0])) is None)
    account = {"user": server.account.pw_uid} if server.account else {}
    other = subprocess.Popen(["/bin/sleep", "600"], cwd="/", **account)
    pid_file.write_text("\n".join([str(other.pid), *lines[1:]]))

    server.start()

    assert ask(server, "stackbe_web", "select 1") == [(1,)]
    assert other.poll() is None, "the innocent process lives"
    other.kill()
    other.wait()


def test_a_server_of_an_older_copy_gets_the_roles_of_this_one(server):
    server.start()
    (server.base / "prepared").write_text("what an older copy did")
    with roles.connect(server.url("postgres", "postgres")) as admin:
        admin.execute("revoke stackbe_lookup from stackbe_owner")

    server.start()

    with psycopg.connect(server.url("stackbe_owner")) as owner:
        owner.execute("set role stackbe_lookup")


def test_an_interrupted_initdb_is_begun_anew(server):
    server.start()
    server.stop()
    (server.data / "PG_VERSION").unlink()

    server.start()

    assert ask(server, "stackbe_web", "select 1") == [(1,)]


def test_cold_starts_in_the_same_moment_make_one_server(place):
    servers = [Server(place / "postgres", testing=True) for _ in range(6)]

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda server: server.start(), servers))

    assert ask(servers[0], "stackbe_web", "select 1") == [(1,)]
    servers[0].stop()
    for server in servers:
        server.release()


def test_the_last_to_leave_stops_the_server(place):
    first, second = (Server(place / "postgres", testing=True) for _ in range(2))
    first.start()
    second.start()
    pid = postmaster(first)

    first.release()
    assert ask(second, "stackbe_web", "select 1") == [(1,)]
    second.release()

    assert processes.look_up(pid) is None
    second.release()


def test_a_socket_path_that_is_too_long_moves_to_a_folder_of_its_own(place):
    server = Server(place / ("long" * 30) / "Postgres", testing=True)

    with server.running():
        assert ask(server, "stackbe_web", "select 1") == [(1,)]
        assert server.sockets.parent.as_posix() == "/tmp"
        assert server.sockets.stat().st_mode & 0o777 == 0o700
    server.sockets.rmdir()


def test_somebody_elses_folder_in_the_place_of_the_socket_is_refused(place):
    server = Server(place / ("long" * 30) / "postgres", testing=True)
    server.sockets.symlink_to(place)

    with pytest.raises(roles.RunnerError, match="is not ours"):
        server.start()
    server.sockets.unlink()


def test_nobody_else_may_enter_the_data_or_its_socket(intact):
    assert intact.data.stat().st_mode & 0o777 == 0o700
    assert intact.sockets == intact.data
    assert ask(intact, "postgres", "show listen_addresses") == [("",)]


def test_roles_can_be_made_again_and_by_somebody_who_is_no_superuser(server):
    server.start()
    with roles.connect(server.url("postgres", "postgres")) as admin:
        admin.execute("drop database stackbe")
        for name in ("stackbe_test", *LOGINS, "stackbe_lookup"):
            admin.execute(f"drop owned by {name}")
            admin.execute(f"drop role {name}")
        admin.execute("create role landlord login createrole createdb")
    environment = {
        "DATABASE_URL": "postgresql://stackbe_web:w%21@db.example.com/shop",
        "DATABASE_OWNER_URL": "postgresql://stackbe_owner:o@db.example.com/shop",
    }

    first = roles.provision(server.url("landlord", "postgres"), environment)
    again = roles.provision(server.url("landlord", "postgres"), environment)

    assert first == again
    assert "No password was set for stackbe_worker, stackbe_staff" in first[1]
    hashes = dict(
        ask(server, "postgres", "select rolname, rolpassword from pg_authid where rolname like 'stackbe%'", "postgres")
    )
    assert hashes["stackbe_web"].startswith("SCRAM-SHA-256$")
    assert hashes["stackbe_worker"] is None
    assert ask(server, "stackbe_web", "select current_database()", "shop") == [("shop",)]


def test_urls_that_name_other_roles_are_refused():
    with pytest.raises(roles.RunnerError, match="another role than ours"):
        roles.provision("postgresql://x@/postgres", {"DATABASE_URL": "postgresql://root@h/stackbe"})
