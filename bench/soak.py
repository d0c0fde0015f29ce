"""Mixed traffic against a deployment for as long as one likes, and whether it holds.

    python3 -m bench.soak [--minutes 60] [--rate 200] [--note "quiet machine"]

It makes a PostgreSQL of its own (fsync on), web processes, a worker and a dispatcher on it as they are deployed, and
asks them for everything that an app asks of them: checks, counts, batches, holds, credits, new customers. Then more
is asked than can be answered, and then as before. Four connections ask as fast as they are answered, or together
`--rate` times a second. It ends with 1 where a bound was passed. See docs/performance.md.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import rounds

STEADY_CONNECTIONS, SLICES = 4, 20
# More than the web has threads for seconds: what cannot be answered in time is refused.
MANY_CONNECTIONS, FLOOD_SECONDS = 1600, 20
FINE = {"200", "201", "409"}
# What a server may say that has too much to do, or whose caller asks too often.
REFUSED = {"429", "503"}
# A base backup, which the worker may take as it starts, begins a segment of 16 MiB at both of its ends.
LOG_OF_A_BACKUP = 2 * (16 << 20)
BOUNDS = {
    "99 of 100 answers came within (ms)": 250.0,
    "answers that were no answer, of a thousand": 0.0,
    "refused without a flood, of a thousand": 1.0,
    "oldest job that was due (s)": 30.0,
    "oldest event that was not handed out (s)": 30.0,
    "memory grew by (% after the first quarter)": 10.0,
    "log written for a request, beside a backup's segments (bytes)": 20_000.0,
    "tables of a fixed number of rows grew by (times)": 4.0,
    "in the flood, 99 of 100 answers came within (ms)": 4000.0,
    "in the flood, answers that were no answer, of a thousand": 0.0,
    "after the flood, 99 of 100 answers came within (ms)": 500.0,
    "units that were counted and not recorded": 0.0,
}


@dataclass
class Soak:
    """What came of it, slice by slice."""

    slices: list = field(default_factory=list)
    flood: dict = field(default_factory=dict)
    after: dict = field(default_factory=dict)
    lost: int = 0

    def figures(self):
        """Return what each bound is compared with."""
        answers, waited = self._answers(), [each["p99_ms"] for each in self.slices]
        first, last = self.slices[0], self.slices[-1]
        log = max(0, last["wal"] - first["wal_before"] - LOG_OF_A_BACKUP) / sum(answers.values())
        measured = (
            statistics.median(waited),
            per_thousand(answers, FINE | REFUSED),
            per_thousand(answers, FINE),
            max(each["oldest_job"] for each in self.slices),
            max(each["oldest_event"] for each in self.slices),
            self._memory(),
            log,
            max(last["fixed"][table] / max(size, 1 << 20) for table, size in first["fixed"].items()),
            self.flood["p99_ms"],
            per_thousand(self.flood["statuses"], FINE | REFUSED),
            self.after["p99_ms"],
            float(self.lost),
        )
        return dict(zip(BOUNDS, measured, strict=True))

    def _answers(self):
        total = {}
        for each in self.slices:
            for status, count in each["statuses"].items():
                total[status] = total.get(status, 0) + count
        return total

    def _memory(self):
        """Return by how many percent the process grew that grew most, from the second quarter to the last."""
        quarter = max(1, len(self.slices) // 4)
        grown = []
        for name in self.slices[0]["memory"]:
            sizes = [each["memory"][name] for each in self.slices]
            before = statistics.median(sizes[quarter : 2 * quarter] or sizes)
            grown.append((statistics.median(sizes[-quarter:]) / before - 1) * 100)
        return max(grown)


def per_thousand(statuses, fine):
    """Return how many of a thousand answers are none of those."""
    total = sum(statuses.values())
    return 1000 * sum(count for status, count in statuses.items() if status not in fine) / total


def main():
    """Soak, keep, print; end with 1 where a bound was passed."""
    parser = rounds.arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--patience", type=float, default=1.0, help="times that answers may take longer than the bounds"
    )
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; 0 for as many as are answered")
    parser.add_argument("--flood", type=float, default=FLOOD_SECONDS, help="seconds for which too much is asked")
    asked = parser.parse_args()
    rounds.as_asked(asked)
    rounds.enter("bench.soak")
    from bench import soaking  # noqa: PLC0415  # it needs the packages of the environment

    folder = Path(tempfile.mkdtemp(prefix="stackbe-bench-", dir="/var/tmp"))
    try:
        with soaking.deployment(folder) as stand:
            soak = run(stand, soaking, asked)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = soak.figures()
    rows = [{"slice": number, **each} for number, each in enumerate(soak.slices, 1)]
    kept = rounds.keep("soak", rows, {"flood": soak.flood, "after": soak.after, "found": figures}, asked)
    bounds = {name: bound * asked.patience if name.endswith("(ms)") else bound for name, bound in BOUNDS.items()}
    passed = [name for name, bound in bounds.items() if figures[name] > bound]
    print(table(figures, bounds))
    print(f"\nraw output: {kept}")
    print(f"FAILED: {'; '.join(passed)}" if passed else "PASSED")
    raise SystemExit(1 if passed else 0)


def run(stand, soaking, asked):
    """Ask in slices, then for too much, then in a slice again."""
    soak, seconds = Soak(), asked.minutes * 60 / SLICES
    soaking.load(stand, min(seconds, 5.0), STEADY_CONNECTIONS)
    for number in range(SLICES):
        before, began = soaking.sample(stand), time.monotonic()
        told = soaking.load(stand, seconds, STEADY_CONNECTIONS, asked.rate)
        soak.slices.append({**told, **soaking.sample(stand), "wal_before": before["wal"]})
        rate = sum(told["statuses"].values()) / (time.monotonic() - began)
        print(f"slice {number + 1}: {rate:.0f}/s, p99 {told['p99_ms']:.0f} ms, {told['statuses']}", file=sys.stderr)
    soak.flood = soaking.load(stand, asked.flood, MANY_CONNECTIONS)
    print(f"flood: p99 {soak.flood['p99_ms']:.0f} ms, {soak.flood['statuses']}", file=sys.stderr)
    soak.after = soaking.load(stand, min(seconds, 20.0), STEADY_CONNECTIONS, asked.rate)
    soak.lost = soaking.lost(stand)
    return soak


def table(figures, bounds):
    """Return what was found beside its bound as a Markdown table."""
    lines = ["| | found | at most |", "|---|--:|--:|"]
    lines += [f"| {name} | {figures[name]:,.1f} | {bound:,.0f} |" for name, bound in bounds.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
