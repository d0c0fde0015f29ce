"""How PostgreSQL finds what every hot route asks for, in tables of a million rows.

    python3 -m bench.plans [--rows 1000000]

It fills a database of its own, asks each hot route through the whole application, and has auto_explain tell the
plan of every statement that ran, those inside our functions too. It prints them as docs/performance.md shows
them, and fails where one reads a large table from end to end.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bench import rounds

# A table of so few rows is read whole on purpose: an index would cost more.
SMALL = 1000
TELL = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
}


def main():
    """Fill, ask, print; end with 1 where a large table was read whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="customers, and rows of what is kept of each")
    asked = parser.parse_args()
    rounds.enter("bench.plans")
    from bench import growing  # noqa: PLC0415  # it needs the packages of the environment
    from bench.stand import database_in, run  # noqa: PLC0415  # likewise

    folder = Path(tempfile.mkdtemp(prefix="stackbe-bench-", dir="/var/tmp"))
    try:
        with database_in(folder) as stand:
            began = time.monotonic()
            counted = json.loads(run(["-m", "bench.seed", "1", "20"], stand.ours))
            made = json.loads(run(["-m", "bench.seed_sign_in", "1", "20", "20", str(stand.postmaster)], stand.ours))
            large = growing.fill(stand, asked.rows)
            print(f"filled in {time.monotonic() - began:.0f} s", file=sys.stderr)
            growing.tell_plans(stand, TELL)
            whole = {"sign_in": made, "counted": counted, "small": SMALL, "large": large}
            (folder / "asked.json").write_text(json.dumps(whole))
            quiet = stand.ours | {"LOG_REQUESTS": "0"}
            told = json.loads(run(["-m", "bench.explained", str(folder / "asked.json")], quiet))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(table(told, asked.rows))
    whole = [(each["operation"], *read) for each in told for read in each["read_whole"]]
    for operation, name, rows in whole:
        print(f"READ WHOLE: {name} ({rows} rows) by {operation}")
    raise SystemExit(1 if whole else 0)


def table(told, rows):
    """Return what was found as a Markdown table."""
    lines = [f"| asked of tables of {rows:,} rows | statements | found by |", "|---|--:|---|"]
    for each in told:
        found = ", ".join(f"`{name}`" for name in each["indexes"])
        lines.append(f"| {each['operation']} | {each['statements']} | {found} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
