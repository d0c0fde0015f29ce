"""The guides as pages: each has one, and can be read without a mouse."""

from __future__ import annotations

import pytest

from stackbe.trust import documents
from tests.databases import ROOT

GUIDES = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))


def test_every_guide_in_the_repository_has_a_page_in_the_list():
    assert sorted(documents.names()) == GUIDES


@pytest.mark.parametrize("name", GUIDES)
def test_what_scrolls_is_reachable_by_keyboard(name):
    html = documents.read(name).html

    assert "<pre>" not in html
    assert "<table>" not in html
