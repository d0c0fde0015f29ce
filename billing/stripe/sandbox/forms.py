"""Form bodies with nested brackets, read as Stripe reads them and held against an allow-list."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.store import Json

BRACKETS = re.compile(r"\[([^\[\]]*)\]")
DEEPEST = 8
METADATA_KEYS = 50
METADATA_KEY_LENGTH = 40
METADATA_VALUE_LENGTH = 500


@dataclass(frozen=True)
class Required:
    """A parameter that must be sent."""

    schema: Any


@dataclass(frozen=True)
class Clearable:
    """A parameter that an empty string unsets."""

    schema: Any


@dataclass(frozen=True)
class Either:
    """A parameter that is one of several words, or else of a type (`trial_end=now`)."""

    words: tuple[str, ...]
    schema: Any


@dataclass(frozen=True)
class Between:
    """A whole number within bounds."""

    low: int
    high: int


class Exact:
    """An amount with up to twelve decimals, sent as text."""


class Metadata:
    """Free keys with string values, within Stripe's limits."""


class Ranged:
    """A moment, or a range of moments (`created[gte]`)."""


def decode(*encoded: str) -> Json:
    """The nested structure of form-encoded text; `a[]=1` and `a[0]=1` are the same."""
    tree: Json = {}
    for text in encoded:
        for name, value in parse_qsl(text, keep_blank_values=True, errors="replace"):
            if "\x00" in value or "\x00" in name:
                message = "Invalid string: a parameter holds a NUL byte."
                raise StripeError(message, param=name.replace("\x00", ""))
            plant(tree, name, value)
    return tree


def plant(tree: Json, name: str, value: str) -> None:
    """Put one form pair into the tree."""
    head, _, rest = name.partition("[")
    path = [head, *BRACKETS.findall("[" + rest)] if rest else [head]
    if len(path) > DEEPEST:
        raise StripeError(f"Invalid parameter: more than {DEEPEST} levels of brackets.", param=head)
    at = tree
    for step in path[:-1]:
        key = step if step or at is tree else str(len(at))
        child = at.setdefault(key, {})
        if not isinstance(child, dict):
            raise StripeError(f"Invalid parameter: {name} is both a value and a hash.", param=name)
        at = child
    last = path[-1]
    at[last if last or at is tree else str(len(at))] = value


def listed(value: Any) -> Any:
    """The items of a list, which a form sends as a hash with numbers for keys."""
    if isinstance(value, dict) and value and all(key.isdigit() for key in value):
        return [value[key] for key in sorted(value, key=int)]
    return value


def check(schema: dict[str, Any], given: Json, prefix: str = "") -> Json:
    """The parameters with their types, or the 400 that Stripe answers for the first bad one."""
    for name in given:
        if name not in schema:
            full = f"{prefix}[{name}]" if prefix else name
            raise StripeError(f"Received unknown parameter: {full}", code="parameter_unknown", param=full)

    clean: Json = {}
    for name, expected in schema.items():
        full = f"{prefix}[{name}]" if prefix else name
        if name in given:
            inner = expected.schema if isinstance(expected, Required) else expected
            clean[name] = convert(inner, given[name], full)
        elif isinstance(expected, Required):
            raise missing(full)
    return clean


def missing(param: str) -> StripeError:
    """A parameter that Stripe cannot do without was not sent."""
    return StripeError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def convert(schema: Any, value: Any, param: str) -> Any:  # noqa: C901 - one arm for each kind of parameter
    """One value in the type that the allow-list names."""
    if isinstance(schema, Clearable):
        return "" if value == "" else convert(schema.schema, value, param)
    if isinstance(schema, Either):
        return value if value in schema.words else convert(schema.schema, value, param)
    if schema is Metadata:
        return metadata(value, param)
    if schema is Ranged:
        bounds = {"gt": int, "gte": int, "lt": int, "lte": int}
        return check(bounds, value, param) if isinstance(value, dict) else convert(int, value, param)
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            raise StripeError("Invalid object", param=param, code="parameter_invalid")
        return check(schema, value, param)
    if isinstance(schema, list):
        value = listed(value)
        if not isinstance(value, list):
            raise StripeError("Invalid array", param=param, code="parameter_invalid")
        return [convert(schema[0], item, f"{param}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, str):
        raise StripeError("Invalid string: a hash or list was sent", param=param)
    if value == "":
        raise StripeError(
            f"You passed an empty string for '{param}'. We assume empty values are an attempt to unset a"
            f" parameter; however '{param}' cannot be unset. You should remove '{param}' from your request"
            " or supply a non-empty value.",
            code="parameter_invalid_empty",
            param=param,
        )
    return scalar(schema, value, param)


def scalar(schema: Any, value: str, param: str) -> str | int | float | bool:
    """One plain value: a number, a truth, one of several words, or text."""
    if isinstance(schema, tuple):
        if value not in schema:
            words = ", ".join(schema)
            raise StripeError(f"Invalid {param}: must be one of {words}", param=param)
        return value
    if schema is bool:
        if value not in {"true", "false"}:
            raise StripeError(f"Invalid boolean: {value}", param=param)
        return value == "true"
    if schema is int or isinstance(schema, Between):
        return whole(schema, value, param)
    if schema in (float, Exact):
        if not re.fullmatch(r"-?\d{1,12}(\.\d{1,12})?", value):
            raise StripeError(f"Invalid decimal: {value}", param=param)
        return float(value) if schema is float else value
    return value


def whole(schema: type[int] | Between, value: str, param: str) -> int:
    """A whole number, within bounds where there are any."""
    code = "parameter_invalid_integer"
    if not re.fullmatch(r"-?\d{1,15}", value):
        raise StripeError(f"Invalid integer: {value}", code=code, param=param)
    number = int(value)
    if isinstance(schema, Between) and not schema.low <= number <= schema.high:
        raise StripeError(f"This value must be between {schema.low} and {schema.high}.", code=code, param=param)
    return number


def metadata(value: Any, param: str) -> dict[str, str]:
    """Metadata within Stripe's limits."""
    if not isinstance(value, dict) or any(not isinstance(item, str) for item in value.values()):
        raise StripeError("Invalid metadata: it must be a hash of strings", param=param)
    if len(value) > METADATA_KEYS:
        raise StripeError(f"Metadata can have at most {METADATA_KEYS} keys", param=param)
    for key, item in value.items():
        if len(key) > METADATA_KEY_LENGTH:
            raise StripeError(
                f"Metadata keys must be under {METADATA_KEY_LENGTH} characters: {key}", param=f"{param}[{key}]"
            )
        if len(item) > METADATA_VALUE_LENGTH:
            raise StripeError(
                f"Metadata values must be under {METADATA_VALUE_LENGTH} characters, but the value for"
                f" '{key}' is {len(item)}",
                param=f"{param}[{key}]",
            )
    return value
