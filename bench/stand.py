"""What stands while it is measured: one PostgreSQL, and each server beside the others on it."""

import json
import os
import secrets
import subprocess
import sys
from contextlib import contextmanager

from bench import hot, processes
from stackbe.runner import devdb, roles, state

PEERS_DATABASE = "peers"


class Stand:
    """The running servers, and how to load one of them."""

    def __init__(self, postmaster):
        self.postmaster = postmaster
        self.servers = {}
        self.asked = {}

    def load(self, name, operation, seconds, least=100):
        """Load one server and return what came of it and what it cost."""
        server = self.servers[name]
        ours = name in hot.OURS
        plan = {
            "port": server.port,
            "operation": operation,
            "seconds": seconds,
            "least": least,
            "connections": hot.CONNECTIONS,
            "asked": self.asked["stackbe" if ours else "peers"],
            "headers": hot.PROXIED if ours else "",
            "run": secrets.token_hex(4),
        }
        web, database = processes.children(server.process.pid), processes.children(self.postmaster)
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
            raise SystemExit(
                f"{name} {operation}: {told['statuses']}\n{told['sample']}\n{server.log.read_text()[-2000:]}"
            )
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
def standing(folder):
    """Make it all in a folder; stop it all at the end."""
    state.private_folder(folder)
    database = devdb.server("development", folder)
    with database.running() as urls:
        postmaster = int((database.data / "postmaster.pid").read_text().split("\n", 1)[0])
        stand = Stand(postmaster)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "STACKBE_"))}
        ours = clean | hot.production() | urls
        peers = clean | {
            "PEERS_DATABASE": PEERS_DATABASE,
            "PEERS_SOCKETS": str(database.sockets),
            "DJANGO_SETTINGS_MODULE": "bench.peers.settings",
        }
        with roles.connect(database.url("postgres", "postgres")) as connection:
            connection.execute(f"create database {PEERS_DATABASE}")
        _run(["-m", "django", "migrate", "--verbosity=0"], ours | {"STACKBE_ROLE": "owner"})
        sizes = [str(hot.TENANTS), str(hot.CUSTOMERS)]
        stand.asked["stackbe"] = json.loads(_run(["-m", "bench.seed", *sizes], ours))
        stand.asked["peers"] = json.loads(_run(["-m", "bench.peers.seed", *sizes], peers | {"PEER": "drf"}))
        with roles.connect(database.url("postgres")) as connection:
            connection.execute("analyze")
        environments = {
            "stackbe": ("stackbe.wsgi", ours),
            "stackbe-unlogged": ("stackbe.wsgi", ours | {"LOG_REQUESTS": "0"}),
            "plain": ("bench.peers.wsgi", peers | {"PEER": "plain"}),
            "drf": ("bench.peers.wsgi", peers | {"PEER": "drf"}),
        }
        try:
            for name, (application, environment) in environments.items():
                log = folder / f"{name}.log"
                stand.servers[name] = processes.Server(name, application, environment, log, hot.WORKERS)
            for server in stand.servers.values():
                server.wait()
            yield stand
        finally:
            for server in stand.servers.values():
                server.stop()


def _run(arguments, environment):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=processes.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return done.stdout
