"""A pytest plugin for runs under sabotage: takes out what the database holds, and writes down how each test ended.

Loaded by `-p tests.sabotage.witness`, in the copy of the tree and nowhere else.
"""

from __future__ import annotations

import json
import os
from typing import Any

import psycopg
import pytest

from tests import databases
from tests.plugin import as_role

REPORT, SQL = "STACKBE_SABOTAGE_REPORT", "STACKBE_SABOTAGE_SQL"
create_soundly = databases.create


def create(name: str) -> None:
    """Make a test database as ever, then run the sabotage on it as its owner."""
    create_soundly(name)
    url = as_role(os.environ["STACKBE_TEST_MAINTENANCE_URL"], "stackbe_owner", name)
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(os.environ[SQL])


if os.environ.get(SQL):
    databases.create = create


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Write one line for each stage of each test: its outcome, and what was raised where."""
    outcome = yield
    report = outcome.get_result()
    kind = call.excinfo.typename if call.excinfo is not None else ""
    where = str(call.excinfo.traceback[-1].path) if call.excinfo is not None else ""
    with open(os.environ[REPORT], "a", encoding="utf-8") as lines:
        told = {"id": item.nodeid, "stage": report.when, "outcome": report.outcome, "kind": kind, "where": where}
        lines.write(f"{json.dumps(told)}\n")
