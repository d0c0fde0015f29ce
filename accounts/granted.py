"""What of a value that was granted beside the plan counts at a moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def counting(grant: dict[str, Any] | None, moment: datetime) -> dict[str, Any] | None:
    """Return the grant until its end, after it what stands behind it (`then`), None once nothing does.

    So what one has besides counts from the very second in which a better one ends, whenever access is worked out anew.
    """
    while grant is not None and grant["until"] is not None and datetime.fromisoformat(grant["until"]) <= moment:
        grant = grant.get("then")
    return grant
