"""`manage.py up`: everything that a development copy consists of, from one command.

The environment is there by now. What remains: the database, its tables, static files, the servers, a demo tenant the
first time, and the addresses to click.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from stackbe.runner import devdb, ports, state
from stackbe.runner.state import REPOSITORY, RunnerError
from stackbe.runner.supervise import Program, Supervisor, end_leftovers

WHAT_IT_DOES = (
    "Start a whole development copy: PostgreSQL, the Stripe sandbox, web server, worker and dispatcher, "
    "with a demo tenant the first time. Prints where to click. Ctrl-C stops everything; "
    "what was stored is there the next time."
)
MANAGE = str(REPOSITORY / "manage.py")
READY_SECONDS = 180


def main(argv: list[str]) -> int:
    """Serve this copy until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="manage.py up", description=WHAT_IT_DOES)
    parser.add_argument("--port", type=int, default=state.DEFAULT_PORT,
                        help="of the web server; the Stripe sandbox takes the next one")  # fmt: skip
    asked = parser.parse_args(argv)
    if os.environ.get("STACKBE_ENV", "development") != "development":
        message = "`up` is for development. In production the platform runs the processes that the Procfile names."
        raise RunnerError(message)
    folder = state.private_folder(state.home())
    if folder.parent != REPOSITORY and "STACKBE_HOME" not in os.environ:
        say(f"State is kept in {folder}: you are root, and PostgreSQL's account cannot enter {REPOSITORY}.")
    with alone(folder, asked.port):
        if left := end_leftovers(folder / "up.children"):
            say(f"Ended {left} processes that an earlier `up` left behind.")
        ports.require_free(asked.port)
        settings = state.overlay(state.development_environment(folder, port=asked.port), os.environ)
        with database() as (urls, marks, tend):
            environment = {**os.environ, **settings, **urls, "STATIC_ROOT": str(folder / "static")}
            environment |= state.overlay(state.kept_in(folder), os.environ)
            environment["PYTHONUNBUFFERED"] = "1"
            migrate(environment, marks)
            collect_static(environment, folder)
            serve(
                Supervisor(programs(asked.port, environment, folder), folder / "up.children", tend), environment, marks
            )
    say("Stopped.")
    return 0


@contextlib.contextmanager
def alone(folder: Path, port: int) -> Iterator[None]:
    """Hold this copy for one `up`; a second one is told where the first is."""
    with open(folder / "up.lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            where = file.read().strip() or "somewhere"
            message = f"This copy is running already: {where}. Stop that one first (Ctrl-C in its terminal)."
            raise RunnerError(message) from None
        file.truncate(0)
        file.write(f"http://localhost:{port}, process {os.getpid()}")
        file.flush()
        yield


@contextlib.contextmanager
def database() -> Iterator[tuple[dict[str, str], Path, Callable[[], None]]]:
    """The database's URLs, the folder for marks of what was done to it, and what keeps it alive."""
    if url := os.environ.get("DATABASE_URL"):
        digest = hashlib.sha256(url.encode()).hexdigest()[:12]
        yield {}, state.private_folder(state.home() / f"database-{digest}"), lambda: None
        return
    server = devdb.server()
    say(f"Starting PostgreSQL in {server.base}" + ("" if server.data.exists() else " (new, empty)"))
    with server.running() as urls:
        yield urls, server.base, lambda: keep_alive(server)


def keep_alive(server: devdb.Server) -> None:
    """Start the embedded server again when it died; the servers find it by themselves."""
    try:
        if server.revive():
            say("PostgreSQL had died and was started again.")
    except RunnerError as error:
        say(str(error))


def migrate(environment: Mapping[str, str], marks: Path) -> None:
    """Bring the tables up to date, showing each step; skipped when no migration changed since the last time."""
    mark = marks / "migrated"
    digest = digest_of("**/*migrations/*.py")
    if mark.exists() and mark.read_text(encoding="utf-8") == digest:
        return
    say("Migrating the database (the first time takes some ten seconds)")
    began = time.monotonic()
    command = [sys.executable, MANAGE, "migrate", "--noinput"]
    with subprocess.Popen(
        command, env={**environment, "STACKBE_ROLE": "owner"}, cwd=REPOSITORY, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        said, done = [], 0
        for line in process.stdout or ():
            said.append(line)
            if line.lstrip().startswith("Applying "):
                done += 1
                name = line.split("Applying ", 1)[1].split("...", 1)[0]
                say(f"  {time.monotonic() - began:5.1f} s  {done:3d}  {name}")
    if process.returncode:
        message = "The migrations failed:\n" + "".join(said[-40:])
        raise RunnerError(message)
    mark.write_text(digest, encoding="utf-8")
    say(f"  {done} migrations in {time.monotonic() - began:.0f} s")


def collect_static(environment: Mapping[str, str], folder: Path) -> None:
    """Gather static files where whitenoise serves them from; skipped when none changed."""
    mark = folder / "static.mark"
    digest = digest_of("**/static/**/*")
    if mark.exists() and mark.read_text(encoding="utf-8") == digest and (folder / "static").is_dir():
        return
    say("Collecting static files")
    run_command(["collectstatic", "--noinput"], environment)
    mark.write_text(digest, encoding="utf-8")


def serve(supervisor: Supervisor, environment: Mapping[str, str], marks: Path) -> None:
    """Run the servers until a stop is asked for."""
    supervisor.listen_to_signals()

    def when_started() -> None:
        if wait_until_ready(environment["BASE_URL"], supervisor):
            with contextlib.suppress(OSError):
                welcome(environment, marks)

    supervisor.run(when_started)
    say("The servers have ended; PostgreSQL is next.")


def programs(port: int, environment: Mapping[str, str], folder: Path) -> list[Program]:
    """What a copy consists of. The sandbox outlives the others by a moment, so that their last call is answered."""
    metrics = folder / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir()
    backup_url = environment.get("DATABASE_BACKUP_URL")
    environment = {name: value for name, value in environment.items() if name != "DATABASE_BACKUP_URL"}
    binds = [f"127.0.0.1:{port}", *([f"[::1]:{port}"] if ports.has_ipv6() else [])]
    web = {
        **environment,
        "STACKBE_ROLE": "web",
        "WEB_BIND": ",".join(binds),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }
    worker = {**environment, "STACKBE_ROLE": "worker"}
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", "stackbe/gunicorn.py", "stackbe.wsgi:application"]
    found = [
        Program("web", gunicorn, web, REPOSITORY),
        Program("worker", [sys.executable, MANAGE, "worker"], worker, REPOSITORY),
        Program("dispatcher", [sys.executable, MANAGE, "dispatcher"], worker, REPOSITORY),
    ]
    if backup_url:
        copies = {**worker, "DATABASE_BACKUP_URL": backup_url}
        found[1] = Program("worker", [sys.executable, MANAGE, "worker"], copies, REPOSITORY)
        found.append(Program("archiver", [sys.executable, MANAGE, "archiver"], copies, REPOSITORY))
    if state.uses_sandbox(environment):
        sandbox = [sys.executable, "-m", "billing.stripe.sandbox",
                   "--port", str(port + 1), "--state", str(folder / "sandbox.json")]  # fmt: skip
        found.append(Program("sandbox", sandbox, without_database(environment), REPOSITORY, stage=1))
    return found


def without_database(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that stands for somebody else's: it gets no address of our database."""
    return {name: value for name, value in environment.items() if not name.startswith("DATABASE_")}


def wait_until_ready(base_url: str, supervisor: Supervisor) -> bool:
    """Whether the web server answered before patience ran out or a stop was asked for."""
    deadline = time.monotonic() + READY_SECONDS
    while not supervisor.stopping.wait(0.2):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{base_url}/healthz", timeout=5):  # noqa: S310 - our own address
            return True
        if time.monotonic() > deadline:
            say(f"The web server does not answer at {base_url}/healthz; its lines above say why.")
            return False
    return False


def welcome(environment: Mapping[str, str], marks: Path) -> None:
    """Seed the demo tenant once, then say where to click.

    The first start also prints the link that makes the first administrator of the staff console; it
    works once, for 15 minutes, and `manage.py staff_link` prints another.
    """
    lines: list[str] = []
    mark = marks / "seeded"
    try:
        lines += describe(run_command(["seed_demo"], environment))
        if not mark.exists():
            lines += describe(run_command(["staff_link", "--json"], environment), label="staff console, once")
            mark.touch()
    except RunnerError as error:
        lines.append(str(error))
    lines.append(f"StackBE is at {environment['BASE_URL']} (Ctrl-C stops everything)")
    say("\n" + "\n".join(f"  {line}" for line in lines) + "\n")


def describe(answer: str, label: str = "") -> list[str]:
    """What a command answered, one JSON object a line, as lines for people."""
    lines = []
    for line in answer.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            lines.append(line)
            continue
        name = str(found.pop("label", label)).replace("_", " ")
        value = found.get("value") or found.get("url") or found.get("curl") or ""
        lines.append(f"{name + ':':<20} {value}")
    return lines


def run_command(arguments: list[str], environment: Mapping[str, str]) -> str:
    """Run another command of manage.py and return what it printed; its failure is ours."""
    done = subprocess.run(
        [sys.executable, MANAGE, *arguments], env=dict(environment), cwd=REPOSITORY, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        message = f"`manage.py {' '.join(arguments)}` failed:\n{(done.stdout + done.stderr).strip()[-3000:]}"
        raise RunnerError(message)
    return done.stdout


def digest_of(pattern: str) -> str:
    """One digest over our files that fit a pattern and over the lock, which names everybody else's."""
    ours = [folder for folder in REPOSITORY.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    found = [path for folder in ours for path in folder.glob(pattern) if path.is_file()]
    whole = hashlib.sha256()
    for path in [*sorted(found), REPOSITORY / "requirements.txt"]:
        whole.update(f"{path.relative_to(REPOSITORY)}\n".encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()


def say(text: str) -> None:
    """Print for the person, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
