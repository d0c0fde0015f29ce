"""Places for servers of their own: never the one that the suite itself runs on."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from stackbe.runner.devdb import Server


@pytest.fixture
def place():
    """A folder that PostgreSQL's account can reach; pytest's own temporary folders are closed to it when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="stackbe-test-", dir="/var/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server(place):
    server = Server(place / "postgres", testing=True)
    yield server
    server.stop()
    server.release()
