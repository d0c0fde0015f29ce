"""The dispatcher under load: draining a queue, the way from a commit to the first attempt, a deep backlog.

    python3 -m bench.deliveries [--events 4000] [--dispatchers 2] [--note "quiet machine"]

It makes a PostgreSQL of its own (fsync on) and a receiver on loopback, and takes all away at the end. See
docs/performance.md for what is measured and what is not.
"""

import argparse
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

from bench import processes
from stackbe.runner import state, venv
from stackbe.runner.state import RunnerError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
KEPT_FROM_THE_SHELL = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
DATABASE = "stackbe"
LATER = """
insert into webhooks_delivery (id, tenant_id, app_id, event_id, endpoint_id, event_type, status, attempts, due_at,
  error, created_at, ordered)
select gen_random_uuid(), owner.tenant_id, owner.app_id,
  gen_random_uuid(), ids.id, 'customer.updated', 'pending', 1, now() + interval '1 hour' * (1 + random() * 20),
  'BAD_STATUS', now(), false
from (select tenant_id, app_id from webhooks_event limit 1) as owner,
  (select gen_random_uuid() as id from generate_series(1, %(endpoints)s)) as ids,
  generate_series(1, %(each)s)
"""


def main():
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=4000, help="each goes to ten endpoints")
    parser.add_argument("--endpoints", type=int, default=10, help="of each tenant")
    parser.add_argument("--tenants", type=int, default=10)
    parser.add_argument("--dispatchers", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=20, help="of 50 events each")
    parser.add_argument("--backlog", type=int, default=1_000_000, help="retries that wait for hours")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder that keeps the raw output")
    asked = parser.parse_args()
    try:
        venv.ensure("demo")
    except RunnerError as error:
        raise SystemExit(str(error)) from error
    venv.enter(["-m", "bench.deliveries", *sys.argv[1:]])
    folder = Path(tempfile.mkdtemp(prefix="stackbe-bench-", dir="/var/tmp"))
    try:
        found = measure(folder, asked)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    kept = keep(found, asked)
    print(table(found))
    print(f"\nraw output: {kept}")


def measure(folder, asked):
    """Run all parts on one database."""
    from stackbe.runner import devdb  # noqa: PLC0415  # it needs the packages of the environment

    state.private_folder(folder)
    database = devdb.server("development", folder)
    with database.running() as urls:
        bench = Bench(folder, database, urls)
        bench.run(["-m", "django", "migrate", "--verbosity=0"], role="owner")
        sink = processes.Server(
            "sink", [sys.executable, "-m", "bench.sink", "{port}"], bench.clean, folder / "sink.log"
        )
        try:
            sink.wait()
            found = {"filled": bench.fill(sink.port, asked)}
            found["claims"] = bench.claims()
            found["drain"] = bench.drain(sink, asked)
            found["latency"] = bench.latency(asked)
            found["backlog"] = bench.backlog(sink.port, asked)
        finally:
            sink.stop()
    return found


class Bench:
    """One database, and what is done to it."""

    def __init__(self, folder, database, urls):
        self.folder, self.database = folder, database
        self.clean = {name: os.environ[name] for name in KEPT_FROM_THE_SHELL if name in os.environ}
        self.environment = (
            self.clean
            | urls
            | {
                "STACKBE_ENV": "development",
                "DJANGO_SETTINGS_MODULE": "stackbe.settings",
                "STACKBE_HOME": str(folder),
                "SECRET_KEY": secrets.token_urlsafe(60),
                "STACKBE_MASTER_KEY": f"bench:{b64encode(secrets.token_bytes(32)).decode()}",
                "STACKBE_ALLOW_LOCAL_WEBHOOKS": "1",
                "LOG_LEVEL": "WARNING",
                "PYTHONWARNINGS": "ignore",
            }
        )
        self.postmaster = int((database.data / "postmaster.pid").read_text().split("\n", 1)[0])

    def run(self, arguments, role):
        """Run Python here and return what it printed."""
        environment = self.environment | {"STACKBE_ROLE": role}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
        return done.stdout

    def ask(self, *words, role="worker"):
        """Do one thing of bench/queue.py and return what came of it."""
        return json.loads(self.run(["-m", "bench.inside", *map(str, words)], role).splitlines()[-1])

    def sql(self, statement, parameters=None):
        """Run one statement as the superuser."""
        from stackbe.runner import roles  # noqa: PLC0415  # it needs the packages of the environment

        with roles.connect(self.database.url("postgres", DATABASE)) as connection:
            return connection.execute(statement, parameters)

    def one(self, statement):
        """Return the only row of a query."""
        return self.sql(statement).fetchone()

    def fill(self, port, asked):
        """Queue what will be drained."""
        told = self.ask("fill", f"http://127.0.0.1:{port}", asked.tenants, asked.endpoints, asked.events, role="web")
        self.sql("analyze")
        return told | {"fan_out_per_second": told["deliveries"] / told["fan_out_seconds"]}

    def dispatchers(self, count):
        """Start so many."""
        command = [sys.executable, "-m", "django", "dispatcher"]
        environment = self.environment | {"STACKBE_ROLE": "worker"}
        return [
            processes.Server(f"dispatcher-{n}", command, environment, self.folder / f"dispatcher-{n}.log")
            for n in range(count)
        ]

    def drain(self, sink, asked):
        """Send all that is queued; tell the rate between the first and the last, and what each delivery cost."""
        started = self.dispatchers(asked.dispatchers)
        sizes, costs = [], {}
        pids = {server.process.pid for server in started}
        try:
            left, total = -1, self.one("select count(*) from webhooks_delivery where status = 'pending'")[0]
            while left:
                time.sleep(0.5)
                [left] = self.one("select count(*) from webhooks_delivery where status = 'pending'")
                sizes.append((1 - left / total, sum(resident_kib(pid) for pid in pids)))
                if left and not costs:
                    costs = self.costs(pids, sink) if left < total else {}
                    base = total - left
            spent = {name: value - costs.get(name, 0) for name, value in self.costs(pids, sink).items()}
        finally:
            for server in started:
                server.stop()
        count, failed, seconds = self.one(
            "select count(*), count(*) filter (where status <> 'delivered'),"
            " extract(epoch from max(finished_at) - min(finished_at))::float from webhooks_delivery"
        )
        [attempts] = self.one("select count(*) from webhooks_attempt")
        at = [next(kib for share, kib in sizes if share >= mark) for mark in (0.25, 1.0)]
        return {
            "deliveries": count, "attempts": attempts, "not_delivered": failed, "seconds": seconds,
            "per_second": count / seconds, "resident_kib_at_a_quarter": at[0], "resident_kib_at_the_end": at[1],
            "cpu_us_each": {name: value / (total - base) * 1e6 for name, value in spent.items()},
        }  # fmt: skip

    def costs(self, pids, sink):
        """Return the CPU seconds so far."""
        return {
            "dispatchers": processes.cpu_seconds(pids),
            "postgresql": processes.cpu_seconds(processes.children(self.postmaster)),
            "receiver": processes.cpu_seconds({sink.process.pid}),
        }

    def latency(self, asked):
        """Make 50 events a second and tell how long each took from its writing to the first attempt."""
        started = self.dispatchers(1)
        [before] = self.one("select max(id::text)::uuid from webhooks_event")
        try:
            time.sleep(3)
            told = self.ask("announce", 50, asked.seconds, role="worker")
            time.sleep(2)
        finally:
            for server in started:
                server.stop()
        attempts, p50, p99, most = self.sql(
            "select count(*), percentile_cont(0.5) within group (order by took), percentile_cont(0.99) within group"
            " (order by took), max(took) from (select extract(epoch from a.attempted_at - e.created_at)::float * 1000"
            " as took from webhooks_event e join webhooks_delivery d on d.event_id = e.id join webhooks_attempt a"
            " on a.delivery_id = d.id and a.number = 1 where e.id > %s) as each",
            [before],
        ).fetchone()
        return told | {"attempts": attempts, "p50_ms": p50, "p99_ms": p99, "max_ms": most}

    def claims(self):
        """Time claims."""
        return self.ask("claims", 30)

    def backlog(self, port, asked):
        """Time claims of what is due beside nothing, then beside a million retries that wait."""
        self.sql("delete from webhooks_delivery")
        self.sql("vacuum analyze webhooks_delivery")
        self.ask("fill", f"http://127.0.0.1:{port}", 10, 10, 500, role="web")
        self.sql("vacuum analyze webhooks_delivery")
        alone = self.claims()
        self.sql(LATER, {"endpoints": 100, "each": asked.backlog // 100})
        self.sql("vacuum analyze webhooks_delivery")
        beside = self.claims()
        return {"waiting": asked.backlog, "alone": alone, "beside": beside, "ratio": beside["p50_ms"] / alone["p50_ms"]}


def resident_kib(pid):
    """Return how much memory a process holds."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS")), 0)


def table(found):
    """Return the figures and their aims as a Markdown table."""
    drain, latency, backlog = found["drain"], found["latency"], found["backlog"]
    growth = drain["resident_kib_at_the_end"] / drain["resident_kib_at_a_quarter"]
    each = ", ".join(f"{name} {value:.0f}" for name, value in drain["cpu_us_each"].items())
    rows = [
        ("fan-out of a queue", f"{found['filled']['fan_out_per_second']:.0f} deliveries/s", ""),
        ("drain of a filled queue", f"{drain['per_second']:.0f} deliveries/s", "≥ 5,000"),
        ("CPU of one delivery", f"{each} µs", ""),
        ("lost or repeated", f"{drain['not_delivered']} / {drain['attempts'] - drain['deliveries']}", "0 / 0"),
        ("commit → first attempt, p99", f"{latency['p99_ms']:.0f} ms (p50 {latency['p50_ms']:.0f})", "< 1,000 ms"),
        ("claim beside waiting retries", f"× {backlog['ratio']:.2f} with {backlog['waiting']:,} waiting", "< × 2"),
        ("memory, at the end / at a quarter", f"× {growth:.2f}", "flat"),
    ]
    return "\n".join(["| what | measured | aim |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])


def keep(found, asked):
    """Write what was measured, and on what."""
    asked.results.mkdir(parents=True, exist_ok=True)
    moment = datetime.now(UTC)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    about = {
        "measured_at": moment.isoformat(timespec="seconds"), "note": asked.note, "commit": commit.stdout.strip(),
        "python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count(),
        "load_average_at_the_end": os.getloadavg(), "dispatchers": asked.dispatchers,
    }  # fmt: skip
    path = asked.results / f"deliveries-{moment:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps({"about": about} | found, indent=1) + "\n")
    return path


if __name__ == "__main__":
    main()
