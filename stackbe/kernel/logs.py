"""Structured logs: one JSON object a line, the request id in each, no secret in any."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import orjson

from stackbe.kernel import http
from stackbe.kernel.clock import render, wall_clock

SECRETS = re.compile(
    r"sbk_(?:live|test)_[A-Za-z0-9]+|sbk_pub_[A-Za-z0-9]+|whsec_[A-Za-z0-9+/=]+"
    r"|[sr]k_(?:live|test)_[A-Za-z0-9]+|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"
    r"|(?:sbm|sbr|sbc|sbl)_[A-Za-z0-9_.-]{16,}|Bearer\s+[^\s\"']+"
)
ADDRESSES = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")
OWN_REQUEST_ID = re.compile(r"req_[0-9a-z]{26}")
log = logging.getLogger("stackbe.request")
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def masked(text: str) -> str:
    """Return the text with credentials, tokens and e-mail addresses taken out."""
    if "@" in text:  # the search for addresses tries every character of a line, and few lines have one
        text = ADDRESSES.sub("[masked]", text)
    return SECRETS.sub("[masked]", text)


class JsonFormatter(logging.Formatter):
    """Writes a record as JSON; extras become fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": render(wall_clock()),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if identifier := http.request_id.get():
            line["requestId"] = identifier
        line |= {k: v for k, v in vars(record).items() if k not in STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return masked(_as_json(line))


def request_line(method: str, route: str, status: int, duration_ms: float) -> None:
    """Say how a request went, in one line.

    Every request has one, so where logs go to one stream as JSON, as in every deployment, the line is written
    there without a record being made of it first.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    said = {"method": method, "route": route, "status": status, "duration_ms": duration_ms}
    stream = _only_stream()
    if stream is None:
        log.info("request", extra=said)
        return
    identifier = http.request_id.get()
    line = {"time": render(wall_clock()), "level": "info", "logger": log.name, "message": "request"}
    text = orjson.dumps(line | {"requestId": identifier} | said).decode()
    # Of all that is in it, a caller may have chosen the id alone.
    stream.write((text if OWN_REQUEST_ID.fullmatch(identifier) else masked(text)) + "\n")
    stream.flush()


def _only_stream() -> Any:
    """Return the stream that our lines go to, None where something else listens too or writes otherwise."""
    handlers = logging.getLogger().handlers
    if log.handlers or log.parent is not logging.root or len(handlers) != 1:
        return None
    [handler] = handlers
    if type(handler) is not logging.StreamHandler or type(handler.formatter) is not JsonFormatter:
        return None
    return None if handler.filters or handler.level > logging.INFO else handler.stream


def _as_json(line: dict[str, Any]) -> str:
    """Return a line's text, whatever is in it: orjson is quick, json takes huge numbers and lone surrogates too."""
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_PASSTHROUGH_DATACLASS).decode()
    except orjson.JSONEncodeError:
        return json.dumps(line, default=str, ensure_ascii=False)
