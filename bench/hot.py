"""Requests per second and CPU per request of the two hot routes, beside what one would write instead.

    python3 -m bench.hot [--rounds 3] [--seconds 4] [--note "quiet machine"]

It makes a PostgreSQL of its own (fsync on), all servers on it, and takes all away at the end. See
docs/performance.md for what is measured and what is not.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from stackbe.runner import venv
from stackbe.runner.state import RunnerError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
WORKERS, CONNECTIONS = 2, 8
OPERATIONS = ("check", "track")
# The requests of a deployment behind its TLS proxy.
PROXIED = "X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n"


def main():
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--tenants", type=int, default=20, help="each with a key of its own")
    parser.add_argument("--customers", type=int, default=50, help="of each tenant")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder that keeps the raw output")
    asked = parser.parse_args()
    try:
        venv.ensure("bench")
    except RunnerError as error:
        raise SystemExit(str(error)) from error
    venv.enter(["-m", "bench.hot", *sys.argv[1:]])
    from bench.stand import standing  # noqa: PLC0415  # it needs the packages of the environment

    folder = Path(tempfile.mkdtemp(prefix="stackbe-bench-", dir="/var/tmp"))
    try:
        with ExitStack() as stack:
            stand = stack.enter_context(standing(folder, asked.tenants, asked.customers))
            rows = measure(stand, asked)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    kept = keep(rows, stand.not_run, asked)
    print(table(rows))
    for reason in stand.not_run:
        print(f"\nNOT RUN: {reason}")
    print(f"\nraw output: {kept}")


def measure(stand, asked):
    """Run the rounds: in each, every server answers each operation once, in turn.

    One round more comes first and is not counted, so that every process has had every key and V8 has compiled.
    """
    for operation in OPERATIONS:
        for name in stand.named(operation):
            stand.load(name, operation, asked.seconds, least=10 * asked.tenants)
    rows = []
    for number in range(asked.rounds):
        for operation in OPERATIONS:
            names = stand.named(operation)
            first = number % len(names)
            for name in names[first:] + names[:first]:
                row = {"round": number + 1, "operation": operation, "server": name}
                rows.append(row | stand.load(name, operation, asked.seconds))
                print(f"round {number + 1} {operation:5} {name:16} {rows[-1]['per_second']:8.0f}/s", file=sys.stderr)
    return rows


def medians(rows, operation):
    """Return the medians of each server's rounds, by name, in the order of the names."""
    found = {}
    for row in sorted(rows, key=lambda row: row["server"]):
        if row["operation"] == operation:
            found.setdefault(row["server"], []).append(row)
    names = ("per_second", "cpu_us", "server_us", "postgres_us", "p50_ms", "p99_ms")
    return {
        server: {name: statistics.median(row[name] for row in rounds) for name in names}
        for server, rounds in found.items()
    }


def table(rows):
    """Return the medians as a Markdown table, with the ratios to what they are measured beside."""
    titles = ["operation", "server", "req/s", "CPU µs", "server", "PostgreSQL", "p50 ms", "p99 ms"]
    titles += ["CPU / plain", "req/s / drf", "req/s / better-auth"]
    lines = [f"| {' | '.join(titles)} |", "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for operation in OPERATIONS:
        of = medians(rows, operation)
        for name, m in of.items():
            figures = f"{m['per_second']:.0f} | {m['cpu_us']:.0f} | {m['server_us']:.0f} | {m['postgres_us']:.0f}"
            times = f"{m['p50_ms']:.1f} | {m['p99_ms']:.1f}"
            ratios = f"{m['cpu_us'] / of['plain']['cpu_us']:.2f} | {m['per_second'] / of['drf']['per_second']:.1f}"
            third = f"{m['per_second'] / of['better-auth']['per_second']:.1f}" if "better-auth" in of else ""
            lines.append(f"| {operation} | {name} | {figures} | {times} | {ratios} | {third} |")
    return "\n".join(lines)


def keep(rows, not_run, asked):
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
        "rounds": asked.rounds,
        "seconds": asked.seconds,
        "workers": WORKERS,
        "connections": CONNECTIONS,
        "tenants": asked.tenants,
        "customers_each": asked.customers,
        "not_run": not_run,
    }
    path = asked.results / f"hot-{moment:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    return path


def production():
    """Return the environment of a deployment; its secrets open nothing and no mail or Stripe call is made."""
    return {
        "STACKBE_ENV": "production",
        "DJANGO_SETTINGS_MODULE": "stackbe.settings",
        "BASE_URL": "https://localhost",
        "TRUSTED_PROXIES": "1",
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


if __name__ == "__main__":
    main()
