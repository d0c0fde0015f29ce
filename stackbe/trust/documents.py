"""The guides under docs/, served as pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

FOLDER = Path(settings.BASE_DIR) / "docs"
# In the order in which a newcomer reads them; the decisions stay in the repository.
ORDER = (
    "quickstart",
    "sign-in",
    "billing",
    "stripe",
    "usage",
    "organizations",
    "webhooks",
    "errors",
    "members",
    "security",
    "checks",
    "data",
    "sandbox",
    "production",
    "performance",
    "architecture",
)
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
# Code and tables wider than the page scroll, and what scrolls must be reachable by keyboard.
SCROLLING = '<pre tabindex="0">'
SCROLLING_TABLE = '<table tabindex="0">'
# A column of figures; the renderer's own style attribute is one that our content policy blocks.
ALIGNED, FIGURES = 'style="text-align:right"', 'class="is-number"'


@dataclass(frozen=True, slots=True)
class Document:
    """A guide as a page: its title, its HTML, and its headings `{id, title, level}`."""

    name: str
    title: str
    html: str
    contents: Sequence[dict[str, Any]]


def names() -> list[str]:
    """Return the guides that there are: those of `ORDER` first, then the others by name, so that none lacks a page."""
    there = sorted(path.stem for path in FOLDER.glob("*.md"))
    return [name for name in ORDER if name in there] + [name for name in there if name not in ORDER]


@lru_cache(maxsize=32)
def read(name: str) -> Document:
    """Return a guide, rendered once a process. Raw HTML in the Markdown is shown, not run."""
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    tokens = MARKDOWN.parse(text)
    contents = _headings(tokens)
    title = contents[0]["title"] if contents else name
    html = MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})
    html = html.replace("<pre>", SCROLLING).replace("<table>", SCROLLING_TABLE).replace(ALIGNED, FIGURES)
    html = re.sub(r'href="([\w-]+)\.md', r'href="/docs/\1', html)
    return Document(name, title, html, contents[1:])


def _headings(tokens: Sequence[Token]) -> list[dict[str, Any]]:
    """Give each heading an id, and return them all."""
    found = []
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            title = tokens[place + 1].content.replace("`", "")
            anchor = re.sub(r"[^a-z0-9_]+", "-", title.lower()).strip("-")
            token.attrSet("id", anchor)
            found.append({"id": anchor, "title": title, "level": int(token.tag[1:])})
    return found
