"""The list of sabotages fits the code as it is, so that the slow run of it means something."""

from __future__ import annotations

import pytest

from tests.sabotage.checks import CHECKS, page
from tests.sabotage.controls import SABOTAGES
from tests.sabotage.shapes import ROOT
from tests.sabotage.traps import TRAPS


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda s: s.name)
def test_what_is_taken_out_stands_in_the_code(sabotage):
    files = sabotage.applied()

    assert bool(files) or bool(sabotage.sql)
    for path, content in files.items():
        if path.endswith(".py"):
            compile(content, path, "exec")


def test_every_test_that_is_named_is_there():
    named = {test for held in (*CHECKS, *SABOTAGES, *TRAPS) for test in held.tests}
    sources = {name: (ROOT / "tests" / name).read_text() for name in {test.partition("::")[0] for test in named}}

    missing = [
        test for test in sorted(named) if f"\ndef {test.partition('::')[2]}(" not in sources[test.partition("::")[0]]
    ]
    assert missing == []


def test_every_check_has_tests_and_loses_a_control_or_says_why_not():
    assert [check.number for check in CHECKS] == list(range(1, 33))
    assert all(check.tests for check in CHECKS)
    sabotaged = {s.check for s in SABOTAGES}
    assert [c.number for c in CHECKS if (c.number in sabotaged) == bool(c.unsabotaged)] == []


def test_names_are_unique():
    names = [f"{s.check}-{s.name}" for s in SABOTAGES]

    assert sorted(set(names)) == sorted(names)


def test_the_page_of_checks_is_what_the_list_says():
    """Write it anew by `python -m tests.sabotage.checks > docs/checks.md`."""
    assert (ROOT / "docs/checks.md").read_text() == page()
