"""Starting servers, and reading from /proc what their processes have cost."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def children(parent):
    """Return the processes below one, itself included."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, grown = {parent}, True
    while grown:
        more = {pid for pid, above in parents.items() if above in found} - found
        found |= more
        grown = bool(more)
    return found


def cpu_seconds(pids):
    """Return the user and system time that processes have had so far, those they have reaped included."""
    total = 0
    for pid in pids:
        try:
            total += sum(int(ticks) for ticks in _stat(pid)[11:15])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / TICKS


def megabytes(parent):
    """Return the resident memory that is a process's and its children's alone."""
    total = 0
    for pid in children(parent):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return total / 1024


def _stat(pid):
    # The name in parentheses may hold anything; the fields after it are numbers.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def gunicorn(application, workers):
    """Return the command of a server with as many sync workers; its port is put in for {port}."""
    command = [sys.executable, "-m", "gunicorn", "-c", "stackbe/gunicorn.py", application, f"--workers={workers}"]
    return [*command, "--worker-class=sync", "--threads=1", "--bind=127.0.0.1:{port}", "--max-requests=0"]


class Server:
    """A server under measurement, with all processes below it."""

    def __init__(self, name, command, environment, log):
        self.name, self.port, self.log = name, free_port(), log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [part.format(port=self.port) for part in command],
                cwd=ROOT,
                env=environment | {"PORT": str(self.port)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait(self):
        """Return when it accepts connections."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit(f"{self.name} did not start:\n{self.log.read_text()[-2000:]}")

    def stop(self):
        """End it and its workers."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
