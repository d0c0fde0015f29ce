"""Runs pytest in forks of a process that has loaded the packages already, so that a narrow test takes a second or two.

Each line of the input is a JSON object `{arguments, environment, output}`; the answer is pytest's exit status.
Nothing of ours is loaded before the fork but the two empty packages that this file lies in: each run reads the
tree as it is then.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any

import pytest

PACKAGES = (
    "anymail",
    "cryptography.hazmat.primitives.ciphers.aead",
    "django.contrib.admin",
    "django.db.backends.postgresql.psycopg_any",
    "django.db.models",
    "django.test",
    "hypothesis",
    "jwt",
    "orjson",
    "procrastinate",
    "prometheus_client",
    "psycopg",
    "pycurl",
    "stripe",
    "webauthn",
)


def main() -> None:
    """Serve until the input ends."""
    for package in PACKAGES:
        import_module(package)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            raise SystemExit(run(json.loads(line)))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def run(asked: dict[str, Any]) -> int:
    """Run pytest once, in the fork: its words go to a file, its environment is the one that was asked for."""
    with open(asked["output"], "wb") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(asked["environment"])
    return int(pytest.main(asked["arguments"]))


if __name__ == "__main__":
    main()
