"""Places for servers of their own: never the one that the suite itself runs on."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from stackbe.runner.devdb import Server


@contextmanager
def reachable_folder():
    """A folder that PostgreSQL's account can reach; pytest's own temporary folders are closed to it when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="stackbe-test-", dir="/var/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def place():
    with reachable_folder() as folder:
        yield folder


@pytest.fixture
def server(place):
    """A server for one test, to be killed and broken."""
    server = Server(place / "postgres", testing=True)
    yield server
    server.stop()
    server.release()


@pytest.fixture(scope="session")
def intact():
    """A running server for tests that only look, or roll back."""
    with reachable_folder() as folder:
        server = Server(folder / "postgres", testing=True)
        with server.running():
            yield server
