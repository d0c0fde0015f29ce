"""`manage.py test`: the whole suite on a real PostgreSQL, on three processes, with pytest's closing line last.

Called as `manage.py test [--full] [anything that pytest takes]`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from stackbe.runner import devdb, state, venv
from stackbe.runner.state import REPOSITORY

# What some tests want of the machine, beyond Python: the part, and the programs of which one is enough.
SYSTEM_PARTS = {
    "chromium (browser tests)": ("chromium", "chromium-browser", "google-chrome"),
    "node (JavaScript examples)": ("node",),
    "nginx (the example of a proxy)": ("nginx",),
}
# The one run that leaves this machine is for who has a key; no machine of CI lacks anything without it.
STRIPE_NOT_ASKED = "Stripe itself was not asked: tests/stripe/test_real.py wants STRIPE_TEST_KEY"
# One more than the two cores that most machines of CI have: browsers, servers and disks are waited for.
PROCESSES = 3


def main(argv: list[str]) -> int:
    """Run the tests; whatever `argv` holds beyond `--full` goes to pytest."""
    full = "--full" in argv
    chosen = [argument for argument in argv if argument != "--full"]
    scanner = full and venv.ensure_scanner()
    server = devdb.server("test", state.private_folder(state.home()))
    with server.running():
        status, closing = relay(pytest_command(chosen, full=full))
    missing = missing_parts()
    if full and not scanner:
        missing.append("sslyze (TLS by Mozilla's profile)")
    for part in missing:
        sys.stdout.write(f"NOT RUN: {part}, because this machine has none\n")
    if full and "STRIPE_TEST_KEY" not in os.environ:
        sys.stdout.write(f"{STRIPE_NOT_ASKED}\n")
    sys.stdout.write(f"{closing}\n")
    sys.stdout.flush()
    return status


def pytest_command(chosen: list[str], *, full: bool) -> list[str]:
    """How pytest is called: in parallel unless the caller says how, the slow tests only when asked for."""
    command = [sys.executable, "-m", "pytest"]
    if not any(argument.startswith(("-n", "--numprocesses", "--pdb")) for argument in chosen):
        command += ["-n", str(PROCESSES), "--dist", "loadgroup"]
    if not full and not any(argument.startswith("-m") for argument in chosen):
        command += ["-m", "not slow"]
    if sys.stdout.isatty():
        command.append("--color=yes")
    return [*command, *chosen]


def relay(command: list[str]) -> tuple[int, str]:
    """Show what pytest prints as it comes, but for its closing line, which is the caller's to print."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_")}
    environment |= {"STACKBE_ENV": "test", "PYTHONUNBUFFERED": "1"}
    closing = ""
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as pytest:
        for line in pytest.stdout or ():
            if closing:
                sys.stdout.write(f"{closing}\n")
                sys.stdout.flush()
            closing = line.rstrip("\n")
    return pytest.returncode, closing


def missing_parts() -> list[str]:
    """The parts of SYSTEM_PARTS that this machine lacks, so that tests which want them did not run."""
    return [
        part for part, programs in SYSTEM_PARTS.items() if not any(shutil.which(program) for program in programs)
    ]  # fmt: skip
