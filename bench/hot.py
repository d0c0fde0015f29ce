"""Requests per second and CPU per request of the two hot routes, beside what one would write instead.

    python3 -m bench.hot [--rounds 3] [--seconds 4] [--note "quiet machine"]

It makes a PostgreSQL of its own (fsync on), three servers on it, and takes all away at the end. See
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

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
WORKERS, CONNECTIONS = 2, 8
TENANTS, CUSTOMERS = 20, 50
OPERATIONS = ("check", "track")
OURS = ("stackbe", "stackbe-unlogged")
# The requests of a deployment behind its TLS proxy.
PROXIED = "X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n"


def main():
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--note", default="", help="what else the machine was doing")
    asked = parser.parse_args()
    venv.ensure("test")
    venv.enter(["-m", "bench.hot", *sys.argv[1:]])
    from bench.stand import standing  # noqa: PLC0415  # it needs the packages of the environment

    folder = Path(tempfile.mkdtemp(prefix="stackbe-bench-", dir="/var/tmp"))
    try:
        with ExitStack() as stack:
            stand = stack.enter_context(standing(folder))
            rows = measure(stand, asked.rounds, asked.seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    kept = keep(rows, asked)
    print(table(rows))
    print(f"\nraw output: {kept.relative_to(ROOT)}")


def measure(stand, rounds, seconds):
    """Run the rounds: in each, every server answers each operation once, in turn."""
    for operation in OPERATIONS:
        for name in stand.servers:
            stand.load(name, operation, 0.5, least=10 * TENANTS)  # every key on every process
    rows = []
    for number in range(rounds):
        names = list(stand.servers)
        names = names[number % len(names) :] + names[: number % len(names)]
        for operation in OPERATIONS:
            for name in names:
                row = {"round": number + 1, "operation": operation, "server": name}
                rows.append(row | stand.load(name, operation, seconds))
                print(f"round {number + 1} {operation:5} {name:16} {rows[-1]['per_second']:8.0f}/s", file=sys.stderr)
    return rows


def medians(rows, operation, server):
    """Return the medians of a server's rounds."""
    found = [row for row in rows if (row["operation"], row["server"]) == (operation, server)]
    names = ("per_second", "cpu_us", "server_us", "postgres_us", "p50_ms", "p99_ms")
    return {name: statistics.median(row[name] for row in found) for name in names}


def table(rows):
    """Return the medians as a Markdown table, ratios to the plain view and to the hand-rolled one beside them."""
    lines = [
        "| operation | server | req/s | CPU µs | server | PostgreSQL | p50 ms | p99 ms | CPU / plain | req/s / DRF |"
    ]
    lines.append("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    servers = list(dict.fromkeys(row["server"] for row in sorted(rows, key=lambda r: r["server"])))
    for operation in OPERATIONS:
        plain, drf = medians(rows, operation, "plain"), medians(rows, operation, "drf")
        for name in servers:
            m = medians(rows, operation, name)
            figures = f"{m['per_second']:.0f} | {m['cpu_us']:.0f} | {m['server_us']:.0f} | {m['postgres_us']:.0f}"
            ratios = f"{m['cpu_us'] / plain['cpu_us']:.2f} | {m['per_second'] / drf['per_second']:.1f}"
            lines.append(f"| {operation} | {name} | {figures} | {m['p50_ms']:.1f} | {m['p99_ms']:.1f} | {ratios} |")
    return "\n".join(lines)


def keep(rows, asked):
    """Write what was measured, and on what, to bench/results."""
    RESULTS.mkdir(exist_ok=True)
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
        "tenants": TENANTS,
        "customers_each": CUSTOMERS,
    }
    path = RESULTS / f"hot-{moment:%Y%m%dT%H%M%SZ}.json"
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
