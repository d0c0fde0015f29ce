"""The supervisor, with small stand-ins for the servers."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from stackbe.runner import processes, supervise
from stackbe.runner.supervise import Program, Supervisor, end_leftovers

SLEEPER = "import time; print('here', flush=True); time.sleep(600)"
PATIENCE_SECONDS = 60


def until(what, *, seconds=PATIENCE_SECONDS):
    """Wait for something to become true; fail when it does not."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


@pytest.fixture
def program(tmp_path):
    def make(code, name="web", stage=0):
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        return Program(name, [sys.executable, "-c", code], environment, tmp_path, stage=stage)

    return make


@pytest.fixture
def running(tmp_path, monkeypatch):
    monkeypatch.setattr(supervise, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(supervise, "LONGEST_PAUSE_SECONDS", 0.2)

    @contextmanager
    def run(*programs):
        supervisor = Supervisor(programs, record=tmp_path / "children", output=io.StringIO())
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        try:
            yield supervisor
        finally:
            supervisor.stop()
            thread.join(timeout=PATIENCE_SECONDS)
            assert not thread.is_alive()

    return run


@pytest.mark.parametrize("status", [0, 1, 77])
def test_a_child_is_started_again_whatever_its_exit_status(program, running, status):
    with running(program(f"print('lived', flush=True); raise SystemExit({status})")) as supervisor:
        until(lambda: supervisor.output.getvalue().count("web | lived") >= 3)

    assert f"ended with exit status {status}; starting it again" in supervisor.output.getvalue()


def test_a_killed_child_is_started_again(program, running):
    with running(program(SLEEPER)) as supervisor:
        until(lambda: "here" in supervisor.output.getvalue())
        first = supervisor.children[0].process.pid

        os.kill(first, signal.SIGKILL)

        until(lambda: supervisor.output.getvalue().count("here") == 2)
        assert supervisor.children[0].process.pid != first


def test_what_a_killed_child_had_started_ends_with_it(program, running):
    parent = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('grandchild', child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    with running(program(parent)) as supervisor:
        line = until(lambda: [x for x in supervisor.output.getvalue().splitlines() if "grandchild" in x])[0]

        os.kill(supervisor.children[0].process.pid, signal.SIGKILL)

        until(lambda: processes.look_up(int(line.split()[-1])) is None)


def test_pauses_between_restarts_grow_and_are_bounded(program, running):
    with running(program("raise SystemExit(3)")) as supervisor:
        until(lambda: supervisor.output.getvalue().count("again in 0.2 s") >= 2)

    said = [line.rsplit(" in ", 1)[1] for line in supervisor.output.getvalue().splitlines() if "again" in line]
    assert said[:4] == ["0.05 s", "0.1 s", "0.2 s", "0.2 s"]


def test_a_program_that_cannot_start_is_tried_again(tmp_path, running):
    missing = Program("web", [str(tmp_path / "missing")], {}, tmp_path)

    with running(missing) as supervisor:
        until(lambda: supervisor.output.getvalue().count("could not start") >= 2)


def test_a_stop_ends_everything_and_the_later_stage_last(program, running, tmp_path):
    polite = (
        "import pathlib, signal, sys, time\n"
        "def end(*args):\n"
        "    pathlib.Path('ended').open('a').write('{} ')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('here', flush=True)\n"
        "time.sleep(600)"
    )
    web, sandbox = program(polite.format("web")), program(polite.format("sandbox"), name="sandbox", stage=1)

    with running(sandbox, web) as supervisor:
        until(lambda: supervisor.output.getvalue().count("here") == 2)
        pids = [child.process.pid for child in supervisor.children]

    assert (tmp_path / "ended").read_text() == "web sandbox "
    assert [processes.look_up(pid) for pid in pids] == [None, None]
    assert not (tmp_path / "children").exists()


def test_a_child_that_does_not_listen_is_killed_after_the_grace(program, running, monkeypatch):
    monkeypatch.setattr(supervise, "GRACE_SECONDS", 0.3)
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(600)"
    )

    with running(program(deaf)) as supervisor:
        until(lambda: "here" in supervisor.output.getvalue())
        pid = supervisor.children[0].process.pid

    assert processes.look_up(pid) is None


def test_asked_twice_it_waits_for_nobody(program, running):
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(600)"
    )

    with running(program(deaf)) as supervisor:
        until(lambda: "here" in supervisor.output.getvalue())
        began = time.monotonic()
        supervisor.stop()
        supervisor.stop()

    assert time.monotonic() - began < supervise.GRACE_SECONDS / 2


def test_what_the_programs_stand_on_is_tended(program, tmp_path, monkeypatch):
    monkeypatch.setattr(supervise, "TEND_SECONDS", 0.05)
    calls = []
    supervisor = Supervisor(
        [program(SLEEPER)], tmp_path / "children", tend=lambda: calls.append(1), output=io.StringIO()
    )

    thread = threading.Thread(target=supervisor.run)
    thread.start()
    until(lambda: len(calls) >= 3)
    supervisor.stop()
    thread.join()


def test_bytes_that_are_no_text_do_not_stop_the_output(program, running):
    with running(
        program("import sys, time; sys.stdout.buffer.write(b'\\xff\\xfe\\nafter\\n'); time.sleep(600)")
    ) as supervisor:
        until(lambda: "web | after" in supervisor.output.getvalue())


def test_the_children_of_a_killed_supervisor_are_ended_by_the_next(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True, stdout=subprocess.DEVNULL)
    record = tmp_path / "children"
    record.write_text(json.dumps({str(child.pid): processes.look_up(child.pid).born}))

    assert end_leftovers(record) == 1

    assert child.wait(timeout=PATIENCE_SECONDS) == -signal.SIGTERM
    assert not record.exists()


def test_a_process_that_was_given_an_old_id_is_left_alone(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True, stdout=subprocess.DEVNULL)
    record = tmp_path / "children"
    record.write_text(json.dumps({str(child.pid): "born at another time"}))

    ended = end_leftovers(record)

    assert (ended, child.poll()) == (0, None)
    child.kill()
    child.wait()
