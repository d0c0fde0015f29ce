"""What hot routes cost as there is more of everything: customers, apps, events at once, events of one customer, time.

    python3 -m bench.scale [--rounds 3] [--seconds 4] [--million 1000000] [--apps 10000] [--soak 100000]

Ratios within one run again: a check is measured beside the plain view at every size, a hot customer beside a
thousand, a batch in events per second. See docs/performance.md.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from bench import asking, rounds

FEW = 1000


def main():
    """Measure at each size in turn, keep, print."""
    parser = rounds.arguments(__doc__)
    parser.add_argument("--million", type=int, default=1_000_000, help="customers of the one app in the end")
    parser.add_argument("--apps", type=int, default=10_000, help="apps in the end")
    parser.add_argument("--soak", type=int, default=100_000, help="checks after which the memory is looked at again")
    asked = parser.parse_args()
    asked.tenants = 1
    rounds.as_asked(asked)
    rounds.enter("bench.scale")
    from bench import growing  # noqa: PLC0415  # it needs the packages of the environment

    folder = Path(tempfile.mkdtemp(prefix="stackbe-bench-", dir="/var/tmp"))
    try:
        with growing.small(folder, FEW) as stand:
            rows, told = stages(stand, growing, asked)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    kept = rounds.keep("scale", rows, {"found": told}, asked)
    print("\n".join(f"- {sentence}" for sentence in told))
    print(f"\nraw output: {kept}")


def stages(stand, growing, asked):
    """Run every stage; return all rows and what they come to."""
    rows = measured(stand, asked, "small", ("check", "track", "hot", "batch"))
    of = {name: rounds.medians(rows, f"small {name}") for name in ("check", "track", "hot", "batch")}
    events = of["batch"]["stackbe"]["per_second"] * asking.BATCH
    share = of["hot"]["stackbe"]["per_second"] / of["track"]["stackbe"]["per_second"]
    told = [
        f"batch: {events:.0f} events/s, counters exact ({growing.exact(stand)} events)",
        f"one hot customer: {share:.0%} of the rate on {FEW}",
    ]
    for size, grow in (("customers", growing.more_customers), ("apps", growing.more_apps)):
        number = grow(stand, asked.million if size == "customers" else asked.apps)
        rows += measured(stand, asked, size, ("check",))
        told.append(f"{number} {size}: {compared(of['check'], rounds.medians(rows, f'{size} check'))}")
    told.append(growing.soaked(stand, asked.soak))
    return rows, told


def measured(stand, asked, stage, operations):
    """Return the rounds of a stage, its name before each operation's."""
    print(stage, file=sys.stderr)
    return [{**row, "operation": f"{stage} {row['operation']}"} for row in rounds.measure(stand, asked, operations)]


def compared(before, after):
    """Say what a check costs of the plain view beside it, and what it did when all was small."""
    now, then = (of["stackbe"]["cpu_us"] / of["plain"]["cpu_us"] for of in (after, before))
    return f"a check costs {now:.2f} plain views, {then:.2f} when there was little ({now / then - 1:+.0%})"


if __name__ == "__main__":
    main()
