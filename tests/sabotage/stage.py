"""Runs tests in a copy of the tree from which one control was taken out, and judges how they ended."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackbe.runner import state
from tests.sabotage.shapes import ROOT
from tests.sabotage.witness import REPORT, SQL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sabotage.shapes import Sabotage

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".stackbe", ".mypy_cache", ".ruff_cache", ".pytest_cache", "__pycache__", "node_modules"
)
# What the tests want of pytest and no more: loading the rest takes as long again as a narrow test.
PLUGINS = ("pytest_django.plugin", "xdist.plugin", "no:cacheprovider", "tests.sabotage.witness")
LONGEST_SECONDS = 300
# How a test of ours says that something is not as it should be: by an assertion, or by not finding in an answer
# what it reads there. Anything else is a crash.
BY_ASSERTION = {"AssertionError", "Failed"}
BY_READING = {"KeyError", "IndexError", "StopIteration", "ValueError"}


@dataclass(frozen=True, slots=True)
class Ended:
    """How one stage of one test ended."""

    id: str
    stage: str
    outcome: str
    kind: str
    where: str

    @property
    def crashed(self) -> bool:
        """Say whether it failed in another way than a test does that has noticed something."""
        noticed = self.kind in BY_ASSERTION or (
            self.kind in BY_READING and f"/{self.id.partition('::')[0]}" in self.where
        )
        return self.outcome == "failed" and not noticed

    def of(self, test: str) -> bool:
        """Say whether this is the test, or one of its parameters."""
        return self.id == f"tests/{test}" or self.id.startswith(f"tests/{test}[")


class Stage:
    """A copy of the tree; one control is out of it at a time."""

    def __init__(self, folder: Path) -> None:
        """Copy what is under version control and what lies beside it, but no state."""
        self.root = folder / "copy"
        self.report, self.output = folder / "report.jsonl", folder / "output.txt"
        shutil.copytree(ROOT, self.root, ignore=LEFT_OUT, symlinks=True)
        self._forge: subprocess.Popen[str] | None = None

    def run(
        self, tests: tuple[str, ...], sql: str = "", *, seconds: float = LONGEST_SECONDS
    ) -> tuple[list[Ended], str]:
        """Run tests in the copy on the server that is running already; return how each ended, and what was said."""
        for left in (self.report, self.output):
            left.unlink(missing_ok=True)
        arguments = ["-q", *(word for name in PLUGINS for word in ("-p", name))]
        if len(tests) == 1:
            arguments.append("-x")
        asked = {
            "arguments": [*arguments, *(f"tests/{test}" for test in tests)],
            "environment": {**environment(), REPORT: str(self.report), SQL: sql},
            "output": str(self.output),
        }
        self._ask(json.dumps(asked), seconds)
        lines = self.report.read_text(encoding="utf-8").splitlines() if self.report.exists() else []
        said = self.output.read_text(encoding="utf-8", errors="replace") if self.output.exists() else ""
        return [Ended(**json.loads(line)) for line in lines], said

    def close(self) -> None:
        """End the process that runs the tests, with whatever it has started."""
        if self._forge is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._forge.pid, signal.SIGKILL)
            self._forge.communicate()
            self._forge = None

    def _ask(self, line: str, seconds: float) -> None:
        if self._forge is None:
            self._forge = subprocess.Popen(
                [sys.executable, "-m", "tests.sabotage.forge"],
                cwd=self.root,
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        forge = self._forge
        assert forge.stdin is not None
        assert forge.stdout is not None
        forge.stdin.write(f"{line}\n")
        forge.stdin.flush()
        ready, _, _ = select.select([forge.stdout], [], [], seconds)
        if not ready or not forge.stdout.readline():
            self.close()

    @contextmanager
    def without(self, sabotage: Sabotage) -> Iterator[None]:
        """Take a control out of the copy for the length of a block."""
        files = {self.root / path: content for path, content in sabotage.applied(self.root).items()}
        sound = {path: path.read_bytes() for path in files}
        try:
            for path, content in files.items():
                path.write_text(content, encoding="utf-8")
                _forget_compiled(path)
            yield
        finally:
            for path, content in sound.items():
                path.write_bytes(content)
                _forget_compiled(path)


def _forget_compiled(path: Path) -> None:
    """Delete what Python compiled of a file: it tells a stale one by second and size, which two edits may share."""
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
        compiled.unlink()


def environment() -> dict[str, str]:
    """Return the environment of a run: ours, without what pytest or Django were told in it."""
    ours = {n: v for n, v in os.environ.items() if not n.startswith(("PYTEST_", "DATABASE_", "STACKBE_TEST_"))}
    home = {"STACKBE_HOME": str(state.home()), "STACKBE_ENV": "test"}
    return {**ours, **home, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def complaints(tests: tuple[str, ...], ended: list[Ended]) -> list[str]:
    """Return why a run does not show that each of the tests notices, in sentences; empty when it does."""
    found = []
    for test in tests:
        mine = [e for e in ended if e.of(test)]
        failed = [e for e in mine if e.outcome == "failed"]
        crashed = sorted({e.kind for e in failed if e.crashed})
        if not mine:
            found.append(f"{test} did not run")
        elif crashed:
            found.append(f"{test} crashed ({', '.join(crashed)}) where it should have said what is wrong")
        elif not failed and any(e.outcome == "skipped" for e in mine):
            found.append(f"{test} was skipped")
        elif not failed:
            found.append(f"{test} passes without the control")
    return found
