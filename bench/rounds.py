"""Interleaved rounds: how every benchmark here measures, prints and keeps."""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stackbe.runner import venv
from stackbe.runner.state import RunnerError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
# The requests of a deployment behind its TLS proxy.
PROXIED = "X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n"
MEASURED = ("per_second", "cpu_us", "server_us", "postgres_us", "p50_ms", "p99_ms")


@dataclass
class AtOnce:
    """How much goes on at once: sync workers of each server, and connections of the client."""

    workers: int = 2
    connections: int = 8


AT_ONCE = AtOnce()


def arguments(about, *, rounds=3, seconds=4.0):
    """Return a parser of what every benchmark can be told."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seconds", type=float, default=seconds)
    parser.add_argument("--workers", type=int, default=AT_ONCE.workers, help="sync workers of each server")
    parser.add_argument("--connections", type=int, default=AT_ONCE.connections, help="requests at a time")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder that keeps the raw output")
    parser.add_argument("--only", default="", help="servers to measure, parted by commas; empty for all")
    return parser


def enter(module):
    """Go on in the project's own environment, with the benchmark's packages in it."""
    try:
        venv.ensure("bench")
    except RunnerError as error:
        raise SystemExit(str(error)) from error
    venv.enter(["-m", module, *sys.argv[1:]])
    # Whoever is told to stop takes along what was stood up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"{module} was stopped"))


def as_asked(asked):
    """Let so much go on at once as was asked for."""
    AT_ONCE.workers, AT_ONCE.connections = asked.workers, asked.connections


def run(name, asked, operations, standing, table):
    """Stand everything up, measure, keep, print."""
    as_asked(asked)
    folder = Path(tempfile.mkdtemp(prefix="stackbe-bench-", dir="/var/tmp"))
    try:
        with ExitStack() as stack:
            stand = stack.enter_context(standing(folder, asked))
            stand.only = set(asked.only.split(",")) if asked.only else set()
            rows = measure(stand, asked, operations)
            told = stand.at_the_end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    kept = keep(name, rows, {"not_run": stand.not_run, **told}, asked)
    print(table(rows))
    for sentence in told.values():
        print(f"\n{sentence}")
    for reason in stand.not_run:
        print(f"\nNOT RUN: {reason}")
    print(f"\nraw output: {kept}")


def measure(stand, asked, operations):
    """Run the rounds: in each, every server answers each operation once, in turn.

    One round more comes first and is not counted, so that every process has had every key and V8 has compiled.
    """
    for operation in operations:
        for name in stand.named(operation):
            stand.load(name, operation, asked.seconds, least=10 * asked.tenants)
    rows = []
    for number in range(asked.rounds):
        for operation in operations:
            names = stand.named(operation)
            first = number % len(names)
            for name in names[first:] + names[:first]:
                row = {"round": number + 1, "operation": operation, "server": name}
                rows.append(row | stand.load(name, operation, asked.seconds))
                figures = f"{rows[-1]['per_second']:8.0f}/s {rows[-1]['cpu_us']:6.0f} µs"
                print(f"round {number + 1} {operation:8} {name:18} {figures}", file=sys.stderr)
    return rows


def medians(rows, operation):
    """Return the medians of each server's rounds, by name, in the order of the names."""
    found = {}
    for row in sorted(rows, key=lambda row: row["server"]):
        if row["operation"] == operation:
            found.setdefault(row["server"], []).append(row)
    return {
        server: {name: statistics.median(row[name] for row in rounds) for name in MEASURED}
        for server, rounds in found.items()
    }


def ratio_table(rows, operations, ratios):
    """Return the medians as a Markdown table; `ratios` are (title, other server, name of the figure, turned over).

    A ratio says how many times the other's figure a server's is; turned over, how many times its own the other's is.
    """
    titles = ["operation", "server", "req/s", "CPU µs", "server", "PostgreSQL", "p50 ms", "p99 ms"]
    titles += [title for title, *_ in ratios]
    lines = [f"| {' | '.join(titles)} |", f"|---|---{'|--:' * (len(titles) - 2)}|"]
    for operation in operations:
        of = medians(rows, operation)
        for name, m in of.items():
            cells = [f"{m[figure]:.0f}" for figure in MEASURED[:4]] + [f"{m[figure]:.1f}" for figure in MEASURED[4:]]
            for _, other, figure, digits in ratios:
                cells.append(f"{m[figure] / of[other][figure]:.{digits}f}" if other in of else "")
            lines.append(f"| {operation} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def keep(name, rows, told, asked):
    """Write what was measured, on what, and what could not be."""
    asked.results.mkdir(parents=True, exist_ok=True)
    moment = datetime.now(UTC)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    about = {
        "measured_at": moment.isoformat(timespec="seconds"),
        "note": asked.note,
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_average_at_the_end": os.getloadavg(),
        **{option: value for option, value in vars(asked).items() if option not in {"results", "note"}},
        **told,
    }
    path = asked.results / f"{name}-{moment:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    return path


def production():
    """Return the environment of a deployment; its secrets open nothing and no mail or Stripe call is made."""
    return {
        "STACKBE_ENV": "production",
        "DJANGO_SETTINGS_MODULE": "stackbe.settings",
        "BASE_URL": "https://localhost",
        "TRUSTED_PROXIES": "1",
        # One client asks for all of an app's customers.
        "LIMIT_AUTH_PER_MINUTE": "1000000",
        "SECRET_KEY": secrets.token_urlsafe(60),
        "STACKBE_MASTER_KEY": f"bench:{base64.b64encode(secrets.token_bytes(32)).decode()}",
        "EMAIL_URL": "smtp://127.0.0.1:9",
        "STRIPE_SECRET_KEY": f"sk_test_{secrets.token_hex(12)}",
        "STRIPE_CLIENT_ID": f"ca_{secrets.token_hex(12)}",
        "STRIPE_PLATFORM_ENDPOINT_ID": str(uuid.uuid4()),
        "STRIPE_CONNECT_ENDPOINT_ID": str(uuid.uuid4()),
        "STRIPE_PLATFORM_WEBHOOK_SECRETS": f"whsec_{secrets.token_hex(12)}",
        "STRIPE_CONNECT_WEBHOOK_SECRETS": f"whsec_{secrets.token_hex(12)}",
    }
