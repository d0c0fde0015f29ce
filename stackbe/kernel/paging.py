"""Pages by keyset: no OFFSET, so a page costs the same however deep it lies."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any
from uuid import UUID

from stackbe.kernel import errors

if TYPE_CHECKING:
    from django.db.models import QuerySet


def keyset_page(rows: QuerySet[Any], limit: int, cursor: str | None) -> tuple[list[Any], str | None]:
    """Return up to `limit` rows, newest first, and the cursor of the next page if there is one."""
    if cursor is not None:
        rows = rows.filter(pk__lt=_read_cursor(cursor))
    found = list(rows.order_by("-pk")[: limit + 1])
    if len(found) <= limit:
        return found, None
    last: UUID = found[limit - 1].pk
    return found[:limit], base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def _read_cursor(cursor: str) -> UUID:
    try:
        return UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        message = "Use a nextCursor from a previous page."
        raise errors.ValidationFailed(fields={"cursor": [message]}) from None
