"""What the operator says: the privacy policy and the terms, filled in from settings or written by them; who runs what.

A text is Markdown with `{{ places }}`. Those that come with the software want a few settings (`OPERATOR_…`) and are
whole once these are set; one of the operator's own, in the folder OPERATOR_TEXTS, may name the same places, so that its
table of retention is the one that the purge executes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from stackbe.trust import retention
from stackbe.trust.documents import MARKDOWN, SCROLLING_TABLE
from stackbe.trust.wording import HELD, OURS, WANTED

DRAFTS = Path(__file__).resolve().parent / "drafts"
# Stands in a text until somebody who runs a copy has made it theirs; the checks of D2 and P1 look for it.
UNFILLED = "This is a draft"
TEXTS = {"privacy": "Privacy policy", "terms": "Terms of service"}
PLACE = re.compile(r"\{\{ *([a-z_]+) *\}\}")


@dataclass(frozen=True, slots=True)
class Provider:
    """Somebody who runs a part of it: what, and what attests how they do."""

    name: str
    does: str
    attestation: str


def text_of(name: str) -> str:
    """Return a text as HTML: the operator's own from OPERATOR_TEXTS, else the one that comes with the software."""
    unsaid = missing(name)
    html: str = MARKDOWN.render(PLACE.sub(lambda place: _filled(place.group(1), unsaid), _written(name)))
    return html.replace("<table>", SCROLLING_TABLE)


def missing(name: str) -> list[str]:
    """Return the variables that a text names and that nobody has set."""
    places = dict.fromkeys(PLACE.findall(_written(name)))
    unsaid = [variable(place) for place in places if place in WANTED and not _said(place)]
    stated = {"region": "STATED_REGION", "providers": "STATED_PROVIDERS"}
    unsaid += [stated[place] for place in places if place in stated and not settings.STATEMENTS.get(stated[place])]
    return unsaid


def providers() -> list[Provider]:
    """Return who runs what, as the operator states it."""
    found = []
    for line in settings.STATEMENTS.get("STATED_PROVIDERS", "").split(";"):
        parts = [part.strip() for part in line.split("|")]
        if parts[0]:
            found.append(Provider(*[*parts, "", ""][:3]))
    return found


def variable(place: str) -> str:
    """Return the variable that a place is filled from."""
    return f"OPERATOR_{place.upper()}"


def _written(name: str) -> str:
    own = Path(settings.OPERATOR_TEXTS) / f"{name}.md" if settings.OPERATOR_TEXTS else None
    path = own if own is not None and own.is_file() else DRAFTS / f"{name}.md"
    return path.read_text(encoding="utf-8")


def _said(place: str) -> str:
    said: str = settings.OPERATOR.get(place, "")
    return " ".join(said.split())


def _filled(place: str, unsaid: list[str]) -> str:
    """Return what stands in a place: the operator's words, ours, a table; or that nobody has said it, in bold."""
    if place == "draft":
        return _draft(unsaid)
    if place in MADE:
        return MADE[place]()
    said = _said(place) or OURS.get(place, "")
    if said or place not in WANTED:
        return said
    return f"**[{WANTED[place]}: {variable(place)}]**"


def _draft(unsaid: list[str]) -> str:
    if not unsaid:
        return ""
    return f"**{UNFILLED}: whoever runs this copy has not said {', '.join(f'`{name}`' for name in unsaid)} yet.**"


def _held() -> str:
    return _table(("Whose", "What", "Why", "Ground"), HELD)


def _retention() -> str:
    kept = [(row.kind, row.said) for row in retention.TABLE]
    return _table(("Kind", "Kept"), [*((kind, time) for kind, time, _ in retention.OTHERWISE), *kept])


def _providers() -> str:
    named = providers()
    if not named:
        return "**[who runs what, Stripe and the mail service among them: STATED_PROVIDERS]**"
    return _table(("Who", "Does", "Attested by"), [(each.name, each.does, each.attestation) for each in named])


def _region() -> str:
    stated = settings.STATEMENTS.get("STATED_REGION", "")
    return f"In the region {stated}." if stated else "**[the region that the data lies in: STATED_REGION]**"


def _officer() -> str:
    said = _said("officer")
    return f". Data protection officer: {said}" if said else ""


def _security_contact() -> str:
    contact = settings.SECURITY_CONTACT.removeprefix("mailto:")
    return f", or to {contact}" if contact else ""


def _cooling_off() -> str:
    return str(settings.TENANT_DELETION_DAYS)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table as Markdown; what would end a cell early is spelt out."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


MADE: Mapping[str, Callable[[], str]] = {
    "held": _held,
    "retention": _retention,
    "providers": _providers,
    "region": _region,
    "officer": _officer,
    "security_contact": _security_contact,
    "cooling_off": _cooling_off,
}
