"""JSON on the wire: how bodies are read and replies written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from stackbe.kernel import errors

BODY_BYTES = 256 * 1024
NAME_LENGTH = 100
# What ends each name of an object; inside of a string it may also stand for nothing.
NAME_END = re.compile(rb'"[ \t\r\n]*:')


def decode_json(body: bytes) -> Any:
    """Return the document, or raise `BadRequest`.

    A name that stands twice in one object is refused and told: readers disagree about which of the two
    counts (RFC 8259, section 4), and so what was checked on the way might not be what is done here.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise errors.BadRequest("The body is not valid JSON.") from None
    # As many names as were written: a look that costs next to nothing, after which few bodies are read again.
    if len(NAME_END.findall(body)) != _names_in(document):
        try:
            json.loads(body, object_pairs_hook=_named_once)
        except RecursionError:
            raise errors.BadRequest("The body is nested too deeply.") from None
    return document


def _names_in(document: Any) -> int:
    count, left = 0, [document]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            count += len(part)
            left.extend(part.values())
        elif isinstance(part, list):
            left.extend(part)
    return count


def _named_once(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise errors.ValidationFailed(fields={name[:NAME_LENGTH]: ["Stands twice in one object. Give it once."]})
        seen.add(name)


def encode_json(data: Any) -> bytes:
    """Return the bytes of a reply."""
    return orjson.dumps(data, default=str)


class JsonRenderer(BaseRenderer):
    """application/json, whatever the Accept header prefers among what it accepts."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return the bytes; nothing for 204."""
        if isinstance(data, bytes):
            return data
        return b"" if data is None else encode_json(data)


class JsonParser(BaseParser):
    """application/json in UTF-8, at most 256 KiB; no NaN, no other encoding."""

    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the document."""
        body = stream.read(BODY_BYTES + 1)
        if len(body) > BODY_BYTES:
            raise errors.PayloadTooLarge
        return decode_json(body) if body.strip() else {}
