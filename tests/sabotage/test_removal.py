"""Each control is taken out of a copy of the code, and the test that guards it must fail.

A test that passes with and without what it tests shows nothing. `manage.py test --full` runs this, and by
itself `manage.py test -m slow tests/sabotage`; one entry alone by `-k its-name`.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.sabotage.controls import SABOTAGES
from tests.sabotage.stage import LONGEST_SECONDS, Stage, complaints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sabotage.shapes import Sabotage

pytestmark = pytest.mark.slow
HAS_BROWSER = any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("sabotage"))
    yield made
    made.close()


def needs_browser(sabotage: Sabotage) -> bool:
    return any(test.startswith("browser/") for test in sabotage.tests)


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda s: f"{s.check:02}-{s.name}")
def test_without_its_control_the_test_fails(stage, sabotage):
    if needs_browser(sabotage) and not HAS_BROWSER:
        pytest.skip("NOT RUN: no chromium on this machine")

    with stage.without(sabotage):
        ended, said = stage.run(sabotage.tests, sabotage.sql)

    assert complaints(sabotage.tests, ended) == [], said[-6000:]


def test_with_all_controls_in_place_the_same_tests_pass(stage):
    tests = sorted({t for s in SABOTAGES for t in s.tests if HAS_BROWSER or not t.startswith("browser/")})

    ended, said = stage.run(tuple(tests), seconds=LONGEST_SECONDS * 10)

    failed = [e for e in ended if e.outcome == "failed"]
    missing = [test for test in tests if not any(e.of(test) and e.outcome == "passed" for e in ended)]
    assert (failed, missing) == ([], []), said[-6000:]
