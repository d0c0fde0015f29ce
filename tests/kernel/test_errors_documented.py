"""Every code that the API answers with is explained, once."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING

from stackbe.kernel.errors import ApiError
from tests import databases

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = databases.ROOT / "docs" / "errors.md"
HEADING = re.compile(r"^### ([A-Z_]+) · (\d{3}(?:, \d{3})*)$", re.MULTILINE)
APPS = ("accounts", "apikeys", "billing", "stackbe", "usage", "webhooks")


def kinds(parent: type[ApiError] = ApiError) -> Iterator[type[ApiError]]:
    for kind in parent.__subclasses__():
        yield kind
        yield from kinds(kind)


def in_the_code() -> dict[str, set[str]]:
    """Return the statuses of each code, from every error class there is."""
    for app in APPS:
        for path in sorted((databases.ROOT / app).rglob("*.py")):
            if "(ApiError)" in path.read_text() or path.name == "errors.py":
                import_module(".".join(path.relative_to(databases.ROOT).with_suffix("").parts))
    found: dict[str, set[str]] = {}
    for kind in kinds():
        if kind.__module__.split(".")[0] in APPS:
            found.setdefault(kind.code, set()).add(str(kind.status))
    return found


def test_every_code_has_a_heading_with_its_statuses_and_no_heading_lacks_a_code():
    headings = {code: set(statuses.split(", ")) for code, statuses in HEADING.findall(DOCUMENT.read_text())}

    assert headings == in_the_code()


def test_every_heading_says_what_it_means_and_what_to_do():
    parts = HEADING.split(DOCUMENT.read_text())
    for code, text in zip(parts[1::3], parts[3::3], strict=True):
        assert len(text.partition("\n## ")[0].split()) > 12, code
