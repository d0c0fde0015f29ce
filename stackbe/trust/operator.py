"""What the operator says: the privacy policy and the terms as texts of theirs, and who runs what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from stackbe.trust.documents import MARKDOWN

DRAFTS = Path(__file__).resolve().parent / "drafts"
# Stands in a draft until somebody who runs a copy has made it theirs; the check of D2 looks for it.
UNFILLED = "This is a draft"
TEXTS = {"privacy": "Privacy policy", "terms": "Terms of service"}


@dataclass(frozen=True, slots=True)
class Provider:
    """Somebody who runs a part of it: what, and what attests how they do."""

    name: str
    does: str
    attestation: str


def text_of(name: str) -> str:
    """Return a text as HTML: the operator's own from OPERATOR_TEXTS, else the draft that comes with the software."""
    own = Path(settings.OPERATOR_TEXTS) / f"{name}.md" if settings.OPERATOR_TEXTS else None
    path = own if own is not None and own.is_file() else DRAFTS / f"{name}.md"
    return str(MARKDOWN.render(path.read_text(encoding="utf-8")))


def providers() -> list[Provider]:
    """Return who runs what, as the operator states it."""
    found = []
    for line in settings.STATEMENTS.get("STATED_PROVIDERS", "").split(";"):
        parts = [part.strip() for part in line.split("|")]
        if parts[0]:
            found.append(Provider(*[*parts, "", ""][:3]))
    return found
