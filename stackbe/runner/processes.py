"""What the operating system says of a process; `ps` is missing in small containers, /proc on macOS."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A live process. `born` tells it from a later one that was given the same id."""

    born: str
    command: str


def look_up(pid: int) -> Process | None:
    """The process that has an id now; None when there is none, or only a zombie that waits to be reaped."""
    if sys.platform == "linux":
        try:
            about = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        # Fields 3 and 22 of proc(5): the state, and the start in clock ticks after boot.
        return None if about[0] == "Z" else Process(born=about[19], command=words.replace("\0", " "))
    asked = subprocess.run(
        ["/bin/ps", "-o", "stat=,lstart=,command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    words_of_line = asked.stdout.split(None, 6)
    start_of_command = 6
    if len(words_of_line) <= start_of_command or words_of_line[0].startswith("Z"):
        return None
    return Process(born=" ".join(words_of_line[1:start_of_command]), command=words_of_line[start_of_command])
