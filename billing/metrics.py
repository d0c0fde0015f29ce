"""Which metrics an app has. They live in a higher app, which says so here when it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

Lookup = Callable[["Scope"], dict[str, str]]

_lookups: list[Lookup] = []


def register(lookup: Lookup) -> None:
    """Say how an app's metrics are found: `lookup(scope)` answers `{name: when it resets}`."""
    _lookups[:] = [lookup]


def resets_by_metric(scope: Scope) -> dict[str, str]:
    """Return when each of the app's metrics starts again from zero, by the metric's name."""
    return _lookups[0](scope) if _lookups else {}
