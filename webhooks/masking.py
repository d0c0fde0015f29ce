"""What is kept of a receiver's answer: its first KiB, without card numbers and secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stackbe.kernel.serializers import passes_luhn

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT_CHARACTERS = 1024
# Read a little further than is kept, so that a number on the edge is seen whole.
_LOOK_AHEAD = 512
_SHORTEST_CARD, _LONGEST_CARD = 13, 19
_DIGITS = re.compile(r"\d(?:[\s_.\-\u2010-\u2015]{0,2}\d){12,}")
_SECRETS = re.compile(
    r"\bsbk_(?:live|test|pub)_[A-Za-z0-9]+"
    r"|\bwhsec_[A-Za-z0-9+/=_-]+"
    r"|\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]+"
    r"|\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
    r"|(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(?i:\b(?:password|passwd|secret|token|api[_-]?key)\b[\"']?\s*[:=]\s*)[\"']?[^\s\"',;&}]{4,}"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
MASK = "[masked]"


def mask_answer(answer: bytes, known_secrets: Iterable[str] = ()) -> str:
    """Return the first KiB of an answer, fit to be stored and shown.

    Receivers echo what they were sent and dump what they hold: Luhn-valid runs of digits, key
    formats, bearer tokens, `password=` pairs and `known_secrets` are masked before the cut.
    """
    text = answer[: KEPT_CHARACTERS + _LOOK_AHEAD].decode("utf-8", "replace")
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    for secret in known_secrets:
        text = text.replace(secret, MASK)
    text = _SECRETS.sub(MASK, text)
    return _DIGITS.sub(_mask_cards, text)[:KEPT_CHARACTERS]


def _mask_cards(match: re.Match[str]) -> str:
    """Mask every stretch of 13 to 19 digits in the run that could be a card number."""
    run = match.group()
    places = [place for place, character in enumerate(run) if character.isdigit()]
    digits = "".join(run[place] for place in places)
    hidden: set[int] = set()
    for length in range(_SHORTEST_CARD, _LONGEST_CARD + 1):
        for start in range(len(digits) - length + 1):
            if passes_luhn(digits[start : start + length]):
                hidden.update(places[start : start + length])
    return "".join("*" if place in hidden else character for place, character in enumerate(run))
