"""JSON on the wire: how bodies are read and replies written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from stackbe.kernel import errors

BODY_BYTES = 256 * 1024


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
        if not body.strip():
            return {}
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            raise errors.BadRequest("The body is not valid JSON.") from None
