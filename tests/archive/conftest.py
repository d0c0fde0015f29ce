"""What the tests of archives, receipts and deletion share."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from tests.dashboard.conftest import desk, desk_of  # noqa: F401  # fixtures of theirs
from tests.databases import ROOT
from tests.webhooks.conftest import receiver  # noqa: F401  # a fixture of theirs

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = ROOT / "examples/archive.py"


class StandAlone:
    """The reader that needs nothing of ours but the public keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = folder / "keys.json"
        self.keys.write_bytes(
            Client().get("/.well-known/stackbe-keys.json", headers={"Host": "localhost:8000"}).content
        )

    def run(self, what: str, content: bytes, *more: str) -> subprocess.CompletedProcess[str]:
        """Save a file and have the script look at it."""
        file = self.folder / "given"
        file.write_bytes(content)
        # -I: neither the repository nor anything in the environment is on the path.
        command = [sys.executable, "-I", str(SCRIPT), what, str(file), "--keys", str(self.keys), *more]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def receipt(self, receipt: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        """Have a receipt checked."""
        return self.run("receipt", json.dumps(receipt).encode())


@pytest.fixture
def stand_alone(request: pytest.FixtureRequest, tmp_path: Path) -> StandAlone:
    """The script and this instance's published keys."""
    request.getfixturevalue("committed" if "committed" in request.fixturenames else "db")
    return StandAlone(tmp_path)
