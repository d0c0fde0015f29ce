"""Which events an endpoint wants beyond their type: equality of values inside the body.

A filter is an object of paths and values, such as `{"data.plan.slug": ["pro", "team"]}`. All paths must hold; a list
is "one of these". There is no more to it on purpose: what a filter means can be read off it, and judging an event
costs a few look-ups.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    Plain: TypeAlias = str | int | float | bool | None

MOST_PATHS = 10
MOST_VALUES = 20
LONGEST_PATH = 255
LONGEST_VALUE = 255
_PATH = re.compile(r"data(?:\.[^.\x00-\x1f\x7f]{1,128}){1,8}")
# What names a person: a filter would keep it after their erasure.
_PERSONAL = re.compile(r".*\.(?:email|billingEmail)|.*(?:customer|member)\.name")


class FilterRefused(ValueError):
    """The filter cannot be used. The text says why, in one sentence."""


def check_path(path: str) -> None:
    """Raise `FilterRefused` for what names no value inside an event."""
    if len(path) > LONGEST_PATH or not _PATH.fullmatch(path):
        raise FilterRefused("Write paths like data.customer.id: data, then up to 8 names, parted by dots.")
    if _PERSONAL.fullmatch(path):
        raise FilterRefused("A filter may not hold a name or an address. Compare data.customer.id or metadata instead.")


def check_value(value: Any) -> None:
    """Raise `FilterRefused` for what no single value of an event can equal."""
    if isinstance(value, dict | list):
        raise FilterRefused("Compare with a string, a number, true, false or null, or with a list of these.")
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        raise FilterRefused(f"A value may have {LONGEST_VALUE} characters.")


def matches(wanted: Mapping[str, Any] | None, event: Mapping[str, Any]) -> bool:
    """Say whether an event's body has, at every path, one of the values that are wanted there.

    What is missing counts as null. Numbers equal numbers and never true or false.
    """
    return all(_one_of(value, _at(event, path)) for path, value in (wanted or {}).items())


def _at(event: Mapping[str, Any], path: str) -> Any:
    found: Any = event
    for name in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def _one_of(wanted: Any, found: Any) -> bool:
    choices: list[Plain] = wanted if isinstance(wanted, list) else [wanted]
    return any(isinstance(one, bool) == isinstance(found, bool) and one == found for one in choices)
