"""What stands while it is measured: one PostgreSQL, and each server beside the others on it."""

import json
import os
import secrets
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench import processes, rounds
from bench.peers import node
from stackbe.runner import devdb, roles, state

PEERS_DATABASE = "peers"
BETTER_AUTH_DATABASE = "better_auth"
# The settings of whoever calls are not those of the servers.
KEPT_FROM_THE_SHELL = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")


@dataclass
class Contender:
    """A server as it is measured: what it is asked for each operation, and whether connections are kept.

    What works once (`once`) is handed out piece by piece, so many to a round.
    """

    server: processes.Server
    asked: dict
    headers: str = ""
    kept: bool = False
    once: dict = field(default_factory=dict)

    def next_asked(self, operation):
        """Return what is asked in the coming round."""
        if operation not in self.once:
            return self.asked[operation]
        taken = self.once[operation] + rounds.AT_ONCE.connections
        now, self.asked[operation] = self.asked[operation][:taken], self.asked[operation][taken:]
        return now


class Stand:
    """What is measured, by name, and what could not be."""

    def __init__(self, folder, database, clean):
        self.folder, self.database, self.clean = folder, database, clean
        self.postmaster = int((database.data / "postmaster.pid").read_text().split("\n", 1)[0])
        self.contenders = {}
        self.servers = []
        self.not_run = []
        self.only = set()

    def named(self, operation):
        """Return the names of those who answer an operation."""
        answering = [name for name, contender in self.contenders.items() if operation in contender.asked]
        return [name for name in answering if not self.only or name in self.only]

    def start(self, name, command, environment):
        """Start a server."""
        server = processes.Server(name, command, environment, self.folder / f"{name}.log")
        self.servers.append(server)
        return server

    def django(self, name, application, environment):
        """Start a Django under gunicorn, as ours is deployed."""
        return self.start(name, processes.gunicorn(application, rounds.AT_ONCE.workers), environment)

    def at_the_end(self):
        """Return sentences that belong to the figures, by name."""
        return {}

    def load(self, name, operation, seconds, least=100):
        """Load one server and return what came of it and what it cost."""
        contender = self.contenders[name]
        plan = {
            "port": contender.server.port,
            "operation": operation,
            "seconds": 0 if operation in contender.once else seconds,
            "least": contender.once.get(operation, least),
            "connections": rounds.AT_ONCE.connections,
            "asked": contender.next_asked(operation),
            "headers": contender.headers,
            "kept": contender.kept,
            "run": secrets.token_hex(4),
        }
        told, server_us, postgres_us = self.costing(contender.server.process.pid, plan)
        if set(told["statuses"]) != {"200"}:
            log = contender.server.log.read_text()[-2000:]
            raise SystemExit(f"{name} {operation}: {told['statuses']}\n{told['sample']}\n{log}")
        del told["sample"]
        requests = sum(told["statuses"].values())
        return told | {
            "requests": requests,
            "per_second": requests / told["seconds"],
            "server_us": server_us / requests,
            "postgres_us": postgres_us / requests,
            "cpu_us": (server_us + postgres_us) / requests,
        }

    def costing(self, pid, plan):
        """Run a plan; return what came of it and the CPU µs of a server and of PostgreSQL."""
        web, database = processes.children(pid), processes.children(self.postmaster)
        before = processes.cpu_seconds(web), processes.cpu_seconds(database)
        done = subprocess.run(
            [sys.executable, "-m", "bench.load"],
            cwd=processes.ROOT,
            input=json.dumps(plan),
            capture_output=True,
            check=True,
            text=True,
        )
        after = processes.cpu_seconds(web), processes.cpu_seconds(database | processes.children(self.postmaster))
        return json.loads(done.stdout), (after[0] - before[0]) * 1e6, (after[1] - before[1]) * 1e6


@contextmanager
def database_in(folder, kind=Stand):
    """Make a PostgreSQL in a folder, with our tables; stop all that stands on it at the end."""
    state.private_folder(folder)
    database = devdb.server("development", folder)
    with database.running() as urls:
        clean = {name: os.environ[name] for name in KEPT_FROM_THE_SHELL if name in os.environ}
        clean |= {"WORKERS": str(rounds.AT_ONCE.workers), "PEERS_SOCKETS": str(database.sockets)}
        stand = kind(folder, database, clean)
        stand.ours = clean | rounds.production() | urls
        stand.peers = clean | {
            "PEERS_DATABASE": PEERS_DATABASE,
            "BETTER_AUTH_DATABASE": BETTER_AUTH_DATABASE,
            "DJANGO_SETTINGS_MODULE": "bench.peers.settings",
        }
        try:
            run(["-m", "django", "migrate", "--verbosity=0"], stand.ours | {"STACKBE_ROLE": "owner"})
            yield stand
        finally:
            for server in stand.servers:
                server.stop()


def make_peers_databases(database):
    """Make the databases of the others."""
    with roles.connect(database.url("postgres", "postgres")) as connection:
        connection.execute(f"create database {PEERS_DATABASE}")
        connection.execute(f"create database {BETTER_AUTH_DATABASE}")


def analyze(database):
    """Let the planner know our tables."""
    with roles.connect(database.url("postgres")) as connection:
        connection.execute("analyze")


@contextmanager
def hot_routes(folder, asked):
    """Stand up what `bench.hot` measures."""
    with database_in(folder) as stand:
        _stand_up(stand, asked)
        yield stand


def _stand_up(stand, sizes):
    ours, peers = stand.ours, stand.peers
    make_peers_databases(stand.database)
    numbers = [str(sizes.tenants), str(sizes.customers)]
    our_asked = json.loads(run(["-m", "bench.seed", *numbers], ours))
    peers_asked = json.loads(run(["-m", "bench.peers.seed", *numbers], peers | {"PEER": "drf"}))
    analyze(stand.database)

    def both(asked):
        return {"check": asked, "track": asked}

    proxied = {"asked": both(our_asked), "headers": rounds.PROXIED}
    bare = stand.start("asyncpg", [sys.executable, "-m", "bench.peers.bare"], peers)
    unlogged = ours | {"LOG_REQUESTS": "0"}
    plain = stand.django("plain", "bench.peers.wsgi", peers | {"PEER": "plain"})
    drf = stand.django("drf", "bench.peers.wsgi", peers | {"PEER": "drf"})
    stand.contenders = {
        "stackbe": Contender(stand.django("stackbe", "stackbe.wsgi", ours), **proxied),
        "stackbe-unlogged": Contender(stand.django("stackbe-unlogged", "stackbe.wsgi", unlogged), **proxied),
        "plain": Contender(plain, both(peers_asked)),
        "drf": Contender(drf, both(peers_asked)),
        "asyncpg": Contender(bare, both(peers_asked)),
        "asyncpg-kept": Contender(bare, both(peers_asked), kept=True),
    }
    try:
        program = node.installed()
    except node.NotRun as reason:
        stand.not_run.append(f"better-auth: {reason}")
    else:
        keys = node.seeded(program, peers, sizes.tenants)["keys"]
        asked = [{"key": key, "customers": each["customers"]} for key, each in zip(keys, peers_asked, strict=True)]
        server = stand.start("better-auth", [program, str(node.FOLDER / "server.mjs")], peers)
        # It has keys and their limits, and neither entitlements nor usage: the check stops at the key.
        stand.contenders["better-auth"] = Contender(server, {"check": asked})
        stand.contenders["better-auth-kept"] = Contender(server, {"check": asked}, kept=True)
    for server in stand.servers:
        server.wait()


def run(arguments, environment):
    """Run a program of the benchmark; return what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=processes.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return done.stdout
