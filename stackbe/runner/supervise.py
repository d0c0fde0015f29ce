"""Several processes that live and die as one: started together, restarted whatever their exit code, stopped in order.

A child leads a session of its own, so that Ctrl-C reaches the supervisor alone and a child is ended with everything it
started. What it prints appears behind its name.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TextIO

from stackbe.runner import processes

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
# A child that has lived this long is well again: its next restart is prompt.
WELL_AFTER_SECONDS = 30.0
GRACE_SECONDS = 15.0
POLL_SECONDS = 0.1
TEND_SECONDS = 1.0


@dataclass(frozen=True)
class Program:
    """What to run. Programs of a higher `stage` are stopped after those of a lower one."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    stage: int = 0


@dataclass
class Child:
    """One program and the process it is at the moment."""

    program: Program
    process: subprocess.Popen[str] | None = None
    started_at: float = 0.0
    start_again_at: float = 0.0
    failures: int = 0
    reader: threading.Thread | None = None

    def signal_all(self, number: int) -> None:
        """Send a signal to the process and everything it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    @property
    def is_running(self) -> bool:
        """Whether there is a process now."""
        return self.process is not None and self.process.poll() is None


@dataclass
class Supervisor:
    """Keeps programs running until it is told to stop.

    `tend` is called about every second, for what the programs stand on. `record` is a file that
    names the living children, so that the next supervisor can end them if this one is killed.
    """

    programs: Sequence[Program]
    record: Path
    tend: Callable[[], None] = lambda: None
    output: TextIO = field(default_factory=lambda: sys.stdout)

    def __post_init__(self) -> None:
        """Nothing runs yet."""
        self.children = [Child(program) for program in self.programs]
        self.stopping = threading.Event()
        self.impatient = threading.Event()
        self._writing = threading.Lock()
        self._width = max(len(program.name) for program in self.programs)

    def run(self, when_started: Callable[[], None] = lambda: None) -> None:
        """Start everything, call `when_started` beside it, and stay until a stop is asked for."""
        beside = threading.Thread(target=when_started, daemon=True)
        try:
            for child in self.children:
                self._start(child)
            beside.start()
            tended_at = time.monotonic()
            while not self.stopping.wait(POLL_SECONDS):
                for child in self.children:
                    self._restart_if_ended(child)
                if time.monotonic() - tended_at > TEND_SECONDS:
                    self.tend()
                    tended_at = time.monotonic()
        finally:
            self._stop_all()

    def stop(self, number: int | None = None, frame: FrameType | None = None) -> None:
        """Ask for the end; asked twice, it does not wait for anybody."""
        if self.stopping.is_set():
            self.impatient.set()
        self.stopping.set()

    def listen_to_signals(self) -> None:
        """Let Ctrl-C, a closed terminal and a service manager stop everything cleanly."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.stop)

    def say(self, name: str, line: str) -> None:
        """Print one line behind the name of who says it."""
        with self._writing:
            self.output.write(f"{name:<{self._width}} | {line}\n")
            self.output.flush()

    def _start(self, child: Child) -> None:
        program = child.program
        try:
            child.process = subprocess.Popen(
                list(program.command),
                cwd=program.folder,
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            child.process = None
            self._plan_restart(child, f"could not start: {error}")
            return
        child.started_at = time.monotonic()
        child.reader = threading.Thread(target=self._relay, args=(program.name, child.process), daemon=True)
        child.reader.start()
        self._write_record()

    def _relay(self, name: str, process: subprocess.Popen[str]) -> None:
        if process.stdout is not None:
            with process.stdout as lines:
                for line in lines:
                    self.say(name, line.rstrip("\n"))

    def _restart_if_ended(self, child: Child) -> None:
        if child.is_running:
            return
        if child.process is not None:
            # Whatever it left behind would hold its port.
            child.signal_all(signal.SIGKILL)
            status = child.process.returncode
            child.process = None
            self._plan_restart(child, f"ended with exit status {status}")
        elif time.monotonic() >= child.start_again_at:
            self._start(child)

    def _plan_restart(self, child: Child, why: str) -> None:
        if time.monotonic() - child.started_at > WELL_AFTER_SECONDS:
            child.failures = 0
        pause = min(FIRST_PAUSE_SECONDS * 2**child.failures, LONGEST_PAUSE_SECONDS)
        child.failures += 1
        child.start_again_at = time.monotonic() + pause
        self.say(child.program.name, f"{why}; starting it again in {pause:g} s")

    def _stop_all(self) -> None:
        for stage in sorted({child.program.stage for child in self.children}):
            now = [child for child in self.children if child.program.stage == stage]
            for child in now:
                child.signal_all(signal.SIGTERM)
            deadline = time.monotonic() + GRACE_SECONDS
            while any(child.is_running for child in now):
                if self.impatient.is_set() or time.monotonic() > deadline:
                    break
                time.sleep(POLL_SECONDS / 2)
            for child in now:
                child.signal_all(signal.SIGKILL)
                if child.process is not None:
                    child.process.wait()
                if child.reader is not None:
                    child.reader.join(timeout=1)
        self.record.unlink(missing_ok=True)

    def _write_record(self) -> None:
        living = [child.process.pid for child in self.children if child.process is not None]
        found = {pid: processes.look_up(pid) for pid in living}
        born = {str(pid): process.born for pid, process in found.items() if process is not None}
        # Whole or not at all: a kill may come between any two bytes.
        draft = self.record.with_suffix(".draft")
        draft.write_text(json.dumps(born), encoding="utf-8")
        draft.replace(self.record)


def end_leftovers(record: Path) -> int:
    """End what a killed supervisor left running; answers how many there were.

    A process is only touched when it was born at the moment that the record names: an id may belong to another by now.
    """
    try:
        born = json.loads(record.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return 0
    left = [int(pid) for pid, moment in born.items() if is_same(int(pid), moment)]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in left:
            if is_same(pid, born[str(pid)]):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, number)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(is_same(pid, born[str(pid)]) for pid in left) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    record.unlink(missing_ok=True)
    return len(left)


def is_same(pid: int, born: str) -> bool:
    """Whether the process that has this id now is the one that was born then."""
    process = processes.look_up(pid)
    return process is not None and process.born == born
