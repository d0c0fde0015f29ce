"""The guides as pages: whatever one of them links to is there."""

from __future__ import annotations

import re

import pytest

from stackbe.trust import documents

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("name", documents.names())
def test_no_guide_has_a_style_that_the_content_policy_blocks(name):
    assert "style=" not in re.sub(r"<code.*?</code>", "", documents.read(name).html, flags=re.DOTALL)


@pytest.mark.parametrize("name", documents.names())
def test_every_link_of_a_guide_leads_to_a_page_of_ours_or_to_a_whole_address(client, name):
    for target in re.findall(r'href="([^"]+)"', documents.read(name).html):
        page, _, anchor = target.partition("#")
        if target.startswith(("https://", "mailto:")):
            continue
        assert page.startswith("/") or not page, target
        if page:
            assert client.get(page, headers={"Host": "localhost:8000"}).status_code == 200, target
        if anchor:
            guide = documents.read(page.removeprefix("/docs/") if page else name)
            assert f'id="{anchor}"' in guide.html, target


def test_a_guide_whose_name_has_a_hyphen_is_linked_like_any_other(monkeypatch, tmp_path):
    (tmp_path / "one.md").write_text("# One\n\n[Two](two-three.md#four)\n")
    monkeypatch.setattr(documents, "FOLDER", tmp_path)

    assert 'href="/docs/two-three#four"' in documents.read.__wrapped__("one").html
