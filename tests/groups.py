"""Which tests one worker process runs."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from xdist.scheduler import LoadGroupScheduling

if TYPE_CHECKING:
    from pathlib import Path

GROUP = re.compile(r"xdist_group\(\"(\w+)\"\)")


class Groups(LoadGroupScheduling):
    """The groups of pytest-xdist, by files: what shares a costly copy of the system runs in one worker process.

    pytest-xdist 3.8 writes a test's group into its id in a way that pytest 9.2 does not read.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(self.config.rootpath / nodeid.partition("::")[0]) or nodeid


@cache
def group_of(file: Path) -> str:
    """Return the group that a file of tests marks, or an empty string."""
    marked = GROUP.search(file.read_text(encoding="utf-8"))
    return marked[1] if marked else ""
