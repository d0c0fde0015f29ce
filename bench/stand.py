"""What stands while it is measured: one PostgreSQL, and each server beside the others on it."""

import json
import os
import secrets
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass

from bench import hot, processes
from bench.peers import node
from stackbe.runner import devdb, roles, state

PEERS_DATABASE = "peers"
BETTER_AUTH_DATABASE = "better_auth"
# The settings of whoever calls are not those of the servers.
KEPT_FROM_THE_SHELL = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class Contender:
    """A server as it is measured: what it is asked, as whom, and whether connections are kept."""

    server: processes.Server
    asked: list
    operations: tuple = hot.OPERATIONS
    headers: str = ""
    kept: bool = False


class Stand:
    """What is measured, by name, and what could not be."""

    def __init__(self, postmaster):
        self.postmaster = postmaster
        self.contenders = {}
        self.servers = []
        self.not_run = []

    def named(self, operation):
        """Return the names of those who answer an operation."""
        return [name for name, contender in self.contenders.items() if operation in contender.operations]

    def load(self, name, operation, seconds, least=100):
        """Load one server and return what came of it and what it cost."""
        contender = self.contenders[name]
        plan = {
            "port": contender.server.port,
            "operation": operation,
            "seconds": seconds,
            "least": least,
            "connections": hot.CONNECTIONS,
            "asked": contender.asked,
            "headers": contender.headers,
            "kept": contender.kept,
            "run": secrets.token_hex(4),
        }
        web, database = processes.children(contender.server.process.pid), processes.children(self.postmaster)
        before = processes.cpu_seconds(web), processes.cpu_seconds(database)
        done = subprocess.run(
            [sys.executable, "-m", "bench.load"],
            cwd=processes.ROOT,
            input=json.dumps(plan),
            capture_output=True,
            check=True,
            text=True,
        )
        told = json.loads(done.stdout)
        counted = sum(told["statuses"].values())
        if set(told["statuses"]) != {"200"}:
            log = contender.server.log.read_text()[-2000:]
            raise SystemExit(f"{name} {operation}: {told['statuses']}\n{told['sample']}\n{log}")
        server_us = (processes.cpu_seconds(web) - before[0]) / counted * 1e6
        postgres_us = (
            (processes.cpu_seconds(database | processes.children(self.postmaster)) - before[1]) / counted * 1e6
        )
        del told["sample"]
        return told | {
            "requests": counted,
            "per_second": counted / told["seconds"],
            "server_us": server_us,
            "postgres_us": postgres_us,
            "cpu_us": server_us + postgres_us,
        }


@contextmanager
def standing(folder, tenants, customers):
    """Make it all in a folder; stop it all at the end."""
    state.private_folder(folder)
    database = devdb.server("development", folder)
    with database.running() as urls:
        postmaster = int((database.data / "postmaster.pid").read_text().split("\n", 1)[0])
        stand = Stand(postmaster)
        clean = {name: os.environ[name] for name in KEPT_FROM_THE_SHELL if name in os.environ}
        clean |= {"WORKERS": str(hot.WORKERS), "PEERS_SOCKETS": str(database.sockets)}
        try:
            _stand_up(stand, folder, database, clean, urls, (tenants, customers))
            yield stand
        finally:
            for server in stand.servers:
                server.stop()


def _stand_up(stand, folder, database, clean, urls, sizes):
    ours = clean | hot.production() | urls
    peers = clean | {
        "PEERS_DATABASE": PEERS_DATABASE,
        "BETTER_AUTH_DATABASE": BETTER_AUTH_DATABASE,
        "DJANGO_SETTINGS_MODULE": "bench.peers.settings",
    }
    with roles.connect(database.url("postgres", "postgres")) as connection:
        connection.execute(f"create database {PEERS_DATABASE}")
        connection.execute(f"create database {BETTER_AUTH_DATABASE}")
    _run(["-m", "django", "migrate", "--verbosity=0"], ours | {"STACKBE_ROLE": "owner"})
    numbers = [str(number) for number in sizes]
    our_asked = json.loads(_run(["-m", "bench.seed", *numbers], ours))
    peers_asked = json.loads(_run(["-m", "bench.peers.seed", *numbers], peers | {"PEER": "drf"}))
    with roles.connect(database.url("postgres")) as connection:
        connection.execute("analyze")

    def start(name, command, environment):
        server = processes.Server(name, command, environment, folder / f"{name}.log")
        stand.servers.append(server)
        return server

    def django(name, application, environment):
        return start(name, processes.gunicorn(application, hot.WORKERS), environment)

    proxied = {"asked": our_asked, "headers": hot.PROXIED}
    bare = start("asyncpg", [sys.executable, "-m", "bench.peers.bare"], peers)
    stand.contenders = {
        "stackbe": Contender(django("stackbe", "stackbe.wsgi", ours), **proxied),
        "stackbe-unlogged": Contender(
            django("stackbe-unlogged", "stackbe.wsgi", ours | {"LOG_REQUESTS": "0"}), **proxied
        ),
        "plain": Contender(django("plain", "bench.peers.wsgi", peers | {"PEER": "plain"}), peers_asked),
        "drf": Contender(django("drf", "bench.peers.wsgi", peers | {"PEER": "drf"}), peers_asked),
        "asyncpg": Contender(bare, peers_asked),
        "asyncpg-kept": Contender(bare, peers_asked, kept=True),
    }
    try:
        program = node.installed()
    except node.NotRun as reason:
        stand.not_run.append(f"better-auth: {reason}")
    else:
        keys = node.seeded(program, peers, sizes[0])
        asked = [{"key": key, "customers": each["customers"]} for key, each in zip(keys, peers_asked, strict=True)]
        server = start("better-auth", [program, str(node.FOLDER / "server.mjs")], peers)
        # It has keys and their limits, and neither entitlements nor usage: the check stops at the key.
        stand.contenders["better-auth"] = Contender(server, asked, operations=("check",))
        stand.contenders["better-auth-kept"] = Contender(server, asked, operations=("check",), kept=True)
    for server in stand.servers:
        server.wait()


def _run(arguments, environment):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=processes.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return done.stdout
