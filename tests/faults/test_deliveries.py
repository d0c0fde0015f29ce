"""Check 16 in full: 10,000 events, a receiver that fails three of ten, dispatchers killed twenty times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.webhooks.test_survive_kill import processes, survive

if TYPE_CHECKING:
    import subprocess

__all__ = ["processes"]


@pytest.mark.slow
def test_ten_thousand_events_arrive_though_dispatchers_are_killed_twenty_times(
    committed: None,
    processes: list[subprocess.Popen[bytes]],  # the fixture
) -> None:
    survive(processes, events=10_000, kills=20, places=128)
