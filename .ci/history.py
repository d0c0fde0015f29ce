"""Secrets in the history: every line that any commit ever added, and every message. `.ci/run lint` calls it.

The tree is compared with `.secrets.baseline` by detect-secrets; what was taken out of the tree is still in the history,
and this looks there with the same detectors. Status 1: something is found that neither the baseline nor `KNOWN` below
accepts. 3: the history is not all here, which is never taken for a yes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from detect_secrets.core.scan import get_plugins, scan_line
from detect_secrets.settings import configure_settings_from_baseline

ROOT = Path(__file__).resolve().parent.parent
BASELINE = ROOT / ".secrets.baseline"
FOUND, NOT_RUN = 1, 3
# Values of tests that no line of the tree holds any more, by the SHA-1 that detect-secrets knows them by.
KNOWN = {
    "86bf82814a768067995c0de3b874ec1621736397": "a token that a log masks",  # pragma: allowlist secret
}


def main(folder: str) -> int:
    """Look through the history of a clone."""
    why = incomplete(folder)
    if why:
        print(f"NOT RUN: secrets in the history, because {why}")
        return NOT_RUN
    baseline = json.loads(BASELINE.read_text(encoding="utf-8"))
    configure_settings_from_baseline(baseline)
    accepted = {row["hashed_secret"] for rows in baseline["results"].values() for row in rows} | set(KNOWN)
    excluded = [re.compile(each["pattern"][0]) for each in baseline["filters_used"] if "pattern" in each]
    lines, found = added(folder), 0
    for line, (commit, file) in lines.items():
        # The detectors are asked first and their filters after: of a hundred thousand lines only a few get so far.
        suspicious = any(any(plugin.analyze_string(line)) for plugin in get_plugins())
        if not suspicious or any(pattern.search(file) for pattern in excluded):
            continue
        for secret in scan_line(line):
            if secret.secret_hash not in accepted:
                found += 1
                print(f"{commit[:12]} {file}: {secret.type}, SHA-1 {secret.secret_hash}")
    if found:
        print("A secret that was committed is lost: replace it where it is used. The value of a test goes into KNOWN.")
    print(f"{len(lines):,} different lines in the history, {found} secrets")
    return FOUND if found else 0


def incomplete(folder: str) -> str:
    """Return why the history is not all here, empty where it is."""
    asked = subprocess.run(
        ["git", "-C", folder, "rev-parse", "--is-shallow-repository"], check=False, capture_output=True, text=True
    )
    if asked.returncode:
        return "this is no clone"
    return "this clone is shallow (git fetch --unshallow)" if asked.stdout.strip() == "true" else ""


def added(folder: str) -> dict[str, tuple[str, str]]:
    """Return each line that a commit added or its message says, with the first commit and file found."""
    shown = ["--all", "-p", "-m", "-U0", "--text", "--no-color", "--no-ext-diff", "--no-textconv"]
    command = ["git", "-C", folder, "log", *shown, "--format=commit %H%n%B"]
    text = subprocess.run(command, check=True, capture_output=True).stdout.decode("utf-8", "replace")
    lines: dict[str, tuple[str, str]] = {}
    commit = file = ""
    for line in text.split("\n"):
        if line.startswith("commit "):
            commit, file = line[7:], "the message"
        elif line.startswith("+++ "):
            file = line[6:]
        elif line and not line.startswith("-"):
            lines.setdefault(line.removeprefix("+"), (commit, file))
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else str(ROOT)))
