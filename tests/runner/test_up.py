"""`manage.py up`, without the servers themselves."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from stackbe.runner import state, up
from stackbe.runner.state import REPOSITORY, RunnerError


def test_a_second_up_is_told_where_the_first_is(tmp_path):
    first = (
        "import pathlib, sys, time\n"
        "from stackbe.runner import up\n"
        "with up.alone(pathlib.Path(sys.argv[1]), 8123):\n"
        "    print('here', flush=True)\n"
        "    time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", first, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()

        with (
            pytest.raises(RunnerError, match=rf"running already: http://localhost:8123, process {process.pid}\."),
            up.alone(tmp_path, 8000),
        ):
            pass
        process.kill()

    with up.alone(tmp_path, 8000):
        pass


def test_it_refuses_to_stand_in_for_production(monkeypatch):
    monkeypatch.setenv("STACKBE_ENV", "production")

    with pytest.raises(RunnerError, match="Procfile"):
        up.main([])


@pytest.fixture
def environment(tmp_path):
    return {
        **state.development_environment(tmp_path, port=8100),
        "DATABASE_URL": "secret",
        "DATABASE_OWNER_URL": "secret",
        "DATABASE_BACKUP_URL": "secret",
    }


def test_the_servers_are_those_of_the_procfile_and_the_sandbox(environment, tmp_path):
    procfile = {line.split(":")[0] for line in (REPOSITORY / "Procfile").read_text().splitlines() if line}

    names = [program.name for program in up.programs(8100, environment, tmp_path)]

    assert {*names, "release"} == {*procfile, "sandbox"}


def test_only_worker_and_archiver_can_copy_the_whole_server(environment, tmp_path):
    programs = up.programs(8100, environment, tmp_path)

    assert {each.name for each in programs if "DATABASE_BACKUP_URL" in each.environment} == {"worker", "archiver"}


def test_the_sandbox_gets_no_address_of_our_database(environment, tmp_path):
    found = {program.name: program for program in up.programs(8100, environment, tmp_path)}

    assert not [name for name in found["sandbox"].environment if name.startswith("DATABASE_")]
    assert found["sandbox"].stage > found["web"].stage
    assert found["web"].environment["STACKBE_ROLE"] == "web"
    assert {found[name].environment["STACKBE_ROLE"] for name in ("worker", "dispatcher")} == {"worker"}


def test_with_stripe_itself_there_is_no_sandbox(environment, tmp_path):
    environment["STRIPE_API_BASE"] = "https://api.stripe.com"

    assert "sandbox" not in [program.name for program in up.programs(8100, environment, tmp_path)]


def test_the_web_server_listens_to_this_machine_alone(environment, tmp_path):
    web = up.programs(8100, environment, tmp_path)[0]

    assert set(web.environment["WEB_BIND"].split(",")) <= {"127.0.0.1:8100", "[::1]:8100"}


def test_what_the_seed_answers_becomes_lines_for_people():
    answer = "\n".join([json.dumps({"label": "api_key", "value": "sbk_test_x"}), "plain words"])

    assert up.describe(answer) == ["api key:             sbk_test_x", "plain words"]


def test_a_failing_migration_stops_the_start_and_shows_why(tmp_path, monkeypatch):
    script = tmp_path / "manage.py"
    script.write_text("print('  Applying accounts.0001_initial... OK'); raise SystemExit('relation is missing')")
    monkeypatch.setattr(up, "MANAGE", str(script))

    with pytest.raises(RunnerError, match=r"(?s)migrations failed.*relation is missing"):
        up.migrate({}, tmp_path)

    assert not (tmp_path / "migrated").exists()


def test_migrations_are_shown_and_not_repeated(tmp_path, monkeypatch, capsys):
    script = tmp_path / "manage.py"
    script.write_text("print('  Applying accounts.0001_initial... OK')")
    monkeypatch.setattr(up, "MANAGE", str(script))

    up.migrate({}, tmp_path)
    assert "accounts.0001_initial" in capsys.readouterr().out

    began = time.monotonic()
    up.migrate({}, tmp_path)
    assert capsys.readouterr().out == ""
    assert time.monotonic() - began < 1
