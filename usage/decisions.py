"""May this customer use this feature? Decided from facts alone, so that every way of asking agrees."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from accounts.granted import counting

NO_SUBSCRIPTION = "NO_ACTIVE_SUBSCRIPTION"
NOT_IN_PLAN = "FEATURE_NOT_AVAILABLE"


@dataclass(frozen=True, slots=True)
class Granted:
    """What counts for a customer at one moment.

    `answered_by` is `access` (their subscription), `default` (the app's default plan) or None. `values`
    are the plan's, `overrides` are `{feature: {"value": …, "until": ISO time or null}}`, with `"source": "addon"`
    where an add-on to the plan makes the value another, and `"then"` where one that ends has another behind it.
    """

    answered_by: str | None
    source: str | None
    moment: datetime
    values: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one feature. `reason` is a code where access is refused, else None."""

    has_access: bool
    value: Any
    source: str | None
    reason: str | None

    def as_json(self, *, with_reason: bool = True) -> dict[str, Any]:
        """Return the API's shape."""
        shown = {"hasAccess": self.has_access, "value": self.value, "source": self.source}
        return shown | {"reason": self.reason} if with_reason else shown


def opens(value: Any) -> bool:
    """Say whether a value gives access: false, 0, "" and an empty list do not; null means no limit."""
    return value is None or bool(value)


def decide(granted: Granted, feature: str) -> Decision:
    """Answer for one feature: an override in force wins, then the plan that counts."""
    override = counting(granted.overrides.get(feature), granted.moment)
    if override is not None:
        value = override["value"]
        return Decision(opens(value), value, override.get("source", "override"), None if opens(value) else NOT_IN_PLAN)
    if granted.answered_by is None:
        return Decision(False, None, None, NO_SUBSCRIPTION)  # has_access
    if feature not in granted.values:
        return Decision(False, None, granted.source, NOT_IN_PLAN)  # has_access
    value = granted.values[feature]
    return Decision(opens(value), value, granted.source, None if opens(value) else NOT_IN_PLAN)
