"""The code of docs/webhooks.md that verifies a signature without a library, in each language that it is given in."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from django.conf import settings

GUIDE = Path(settings.BASE_DIR) / "docs" / "webhooks.md"
LANGUAGES = {"python": "Python", "js": "Node", "php": "PHP", "java": "Java"}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@lru_cache(maxsize=1)
def snippets() -> dict[str, str]:
    """Return the code by the language's name. Of two in one language the later one needs no library."""
    found = _BLOCK.findall(GUIDE.read_text(encoding="utf-8"))
    return {LANGUAGES[kind]: code for kind, code in found if kind in LANGUAGES}
