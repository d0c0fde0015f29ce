"""Patience for runs whose parts are killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from stackbe.runner.demo import client, play
from stackbe.runner.demo.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

# A job of a killed worker is put back after 12 silent seconds; a loaded machine takes its time to start a process.
PATIENCE = 90.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the demo wait for as long as recovery may take."""
    until, wait_for = client.until, Receiver.wait_for

    def longer(what: str, ask: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        return until(what, ask, seconds)

    for module in (client, play):
        monkeypatch.setattr(module, "until", longer)
    monkeypatch.setattr(Receiver, "wait_for", lambda self, kind: wait_for(self, kind, PATIENCE))
