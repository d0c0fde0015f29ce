"""Known vulnerabilities in the locked packages, asked of pip-audit's service. `.ci/run audit` calls it.

Status 0: every locked package was asked about and none is known to be vulnerable. 1: some are. 3: somebody could not be
asked, which is never taken for a yes. pip-audit itself ends with 1 for both of the latter.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stackbe.runner.venv import LOCKS  # noqa: E402  # the path comes first
from stackbe.trust.lock import read_lock  # noqa: E402  # likewise

VULNERABLE, NOT_RUN = 1, 3
COMMAND = ("pip-audit", "--strict", "--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json")


def main(locks: list[Path]) -> int:
    """Ask about each lock; the worst decides."""
    known, unasked = False, []
    for lock in locks:
        shown = lock.relative_to(ROOT) if lock.is_relative_to(ROOT) else lock
        done = subprocess.run([*COMMAND, "-r", lock], check=False, capture_output=True, text=True)
        found, why = answers(done, lock)
        for name, version, vulnerability in found:
            print(f"{shown}: {name} {version} is vulnerable: {vulnerability}")
        known = known or bool(found)
        if why:
            unasked.append(f"{shown} ({why})")
        elif not found:
            print(f"{shown}: nothing known")
    for each in unasked:
        print(f"NOT RUN: known vulnerabilities in {each}")
    return VULNERABLE if known else NOT_RUN if unasked else 0


def answers(done: subprocess.CompletedProcess[str], lock: Path) -> tuple[list[tuple[str, str, str]], str]:
    """Return `(package, version, vulnerability)` of each that is known, and why some could not be asked about."""
    try:
        rows = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        said = (done.stderr.strip() or "pip-audit said nothing").splitlines()
        return [], said[-1][-200:]
    found = [(row["name"], row["version"], each["id"]) for row in rows for each in row.get("vulns", [])]
    asked = {row["name"].lower().replace("_", "-") for row in rows if "vulns" in row}
    # What another machine alone installs is left out here, and asked about there.
    missing = sorted({package.name for package in read_lock(lock) if not package.marker} - asked)
    return found, f"without {', '.join(missing)}" if missing else ""


if __name__ == "__main__":
    sys.exit(main([Path(each).resolve() for each in sys.argv[1:]] or list(LOCKS.values())))
