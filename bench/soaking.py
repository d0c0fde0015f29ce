"""What `bench.soak` stands on: a deployment with all of its processes, and how it is looked at from outside."""

import json
import secrets
import sys
from contextlib import contextmanager

from bench import growing, processes, rounds
from bench.stand import analyze, database_in, run
from stackbe.runner import roles

TENANTS, CUSTOMERS = 10, 100
# Whose rows are as many at the end as in the beginning: what grows of them is what was not cleared away.
FIXED = ("usage_counter", "billing_access", "kernel_ratebucket")
LOOKS = {
    "wal": "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint",
    "oldest_event": "select coalesce(extract(epoch from now() - min(created_at)), 0)::float from webhooks_event"
    " where fanned_out_at is null",
    "oldest_job": """
        select coalesce(max(extract(epoch from now() - greatest(e.at, j.scheduled_at))), 0)::float
        from procrastinate_jobs j join procrastinate_events e on e.job_id = j.id and e.type in ('deferred', 'scheduled')
        where j.status = 'todo' and (j.scheduled_at is null or j.scheduled_at <= now())""",
}


@contextmanager
def deployment(folder):
    """Stand up web, worker and dispatcher as they are deployed."""
    with database_in(folder) as stand:
        stand.asked = json.loads(run(["-m", "bench.seed", str(TENANTS), str(CUSTOMERS)], stand.ours))
        with roles.connect(stand.database.url("postgres")) as connection:
            connection.execute("update accounts_app set api_limit_per_minute = 1000000")
        analyze(stand.database)
        web = [sys.executable, "-m", "gunicorn", "-c", "stackbe/gunicorn.py", "stackbe.wsgi"]
        web += [f"--workers={rounds.AT_ONCE.workers}", "--bind=127.0.0.1:{port}", "--max-requests=0"]
        quiet = stand.ours | {"LOG_REQUESTS": "0"}
        stand.running = {"web": stand.start("web", web, quiet)}
        for name in ("worker", "dispatcher"):
            command = [sys.executable, "-m", "django", name]
            stand.running[name] = stand.start(name, command, quiet | {"STACKBE_ROLE": "worker"})
        stand.running["web"].wait()
        yield stand


def load(stand, seconds, connections, rate=0.0):
    """Ask for everything in turn on so many kept connections; return the statuses and the times.

    With a rate, so many requests a second are asked together, and each one's time runs from its moment.
    """
    plan = {
        "port": stand.running["web"].port,
        "operation": "mixed",
        "seconds": seconds,
        "least": 1,
        "connections": connections,
        "asked": stand.asked,
        "headers": rounds.PROXIED,
        "kept": True,
        "rate": rate,
        "run": secrets.token_hex(4),
    }
    told, server_us, postgres_us = stand.costing(stand.running["web"].process.pid, plan)
    odd = {status for status in told["statuses"] if status not in {"200", "201", "409", "429", "503"}}
    requests = sum(told["statuses"].values())
    cost = {"server_us": server_us / requests, "postgres_us": postgres_us / requests}
    return {name: value for name, value in told.items() if name != "sample" or odd} | cost


def sample(stand):
    """Return how much memory, log, queue and table there is now."""
    with roles.connect(stand.database.url("postgres")) as connection:
        found = {name: connection.execute(text).fetchone()[0] for name, text in LOOKS.items()}
        sizes = {
            table: connection.execute("select pg_total_relation_size(%s::regclass)", [table]).fetchone()[0]
            for table in FIXED
        }
    return {
        **{name: float(value) for name, value in found.items()},
        "fixed": sizes,
        "memory": {name: processes.megabytes(server.process.pid) for name, server in stand.running.items()},
    }


def lost(stand):
    """Return by how many units the counters and the records of what was counted differ."""
    with roles.connect(stand.database.url("postgres")) as connection:
        return abs(growing.difference(connection))
