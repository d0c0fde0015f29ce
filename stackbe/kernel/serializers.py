"""Shapes in and out of the public API.

Fields are written in snake_case and spoken in camelCase. Input is strict: an unknown field, a
value of the wrong JSON type, a NUL byte or a run of digits that could be a card number is refused
with the field named. These are plain serializers on purpose: DRF's ModelSerializer looks up
relations and uniqueness across tenants.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from django.core.validators import EmailValidator, RegexValidator
from django.utils.dateparse import parse_datetime
from rest_framework import serializers

from stackbe.kernel import ids
from stackbe.kernel.clock import render
from stackbe.kernel.errors import ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

METADATA_BYTES = 16 * 1024
METADATA_DEPTH = 8
EMAIL_LENGTH = 254
BIGGEST = 2**53 - 1  # what every JSON client can hold exactly
DIGIT_RUN = re.compile(r"(?<![A-Za-z0-9])\d(?:[\s_.\-\u2010-\u2015]{0,2}\d){12,}(?![A-Za-z0-9])")
UUID_FORM = re.compile(r"(?<![A-Za-z0-9])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![A-Za-z0-9])")
CARD_LENGTHS = range(13, 20)
# How digits stand in groups on cards, which tells a number from an expiry date or a code that follows it.
CARD_GROUPS = tuple(
    re.compile(rf"(?<!\d)(?={groups}(?!\d))")
    for groups in (
        r"(\d{13,19})",
        r"(\d{4}(?: \d{4}){2} \d{1,4})",
        r"(\d{4}(?: \d{4}){3} \d{1,3})",
        r"(\d{4} \d{6} \d{4,5})",
    )
)
# A date of this century, a clock's seconds with what follows them, and the ids that count milliseconds since some
# year of it: issuers have none of these but for the 15 digits of airlines (ISO/IEC 7812-1, major industry 1).
DATED = re.compile(r"(?!\d{15}$|\d{4} \d{6} \d{5}$)(?:1[6-9]|20)|1\d{18}$")
# A plus and at most this many digits are a telephone number (ITU-T E.164).
TELEPHONE_LENGTH = 15
DIGITS = "0123456789"
NO_DIGITS = re.compile(r"\D+")
_NINE = 9
CARD_SENTENCE = "This looks like a card number. Card data must never be sent to this API."


def camel(name: str) -> str:
    """Return `currentPeriodEnd` for `current_period_end`."""
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


def passes_luhn(digits: str) -> bool:
    """Say whether the digits carry a valid check digit (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - _NINE if value > _NINE else value
    return total % 10 == 0


def holds_card_number(text: str) -> bool:
    """Say whether a text has what `card_numbers` finds. Few texts have as many digits as the shortest of them."""
    least = CARD_LENGTHS.start
    if text.isascii() and (len(text) < least or sum(map(text.count, DIGITS)) < least):
        return False
    return any(card_numbers(text))


def card_numbers(text: str) -> Iterator[str]:
    """Give the digits of each Luhn-valid run of 13 to 19 of them, up to two separators between any two.

    In a run with more before or after it, such as a date or a code, only a number that stands in groups as cards show
    it is one. One repeated digit is none, nor is what a UUID holds, what begins as a date or a clock's reading does,
    and a telephone number with its plus.
    """
    text = UUID_FORM.sub("uuid", unicodedata.normalize("NFKC", text))
    for run in DIGIT_RUN.finditer(text):
        shown = NO_DIGITS.sub(" ", run.group())
        if text.startswith("+", max(run.start() - 1, 0)) and sum(map(str.isdigit, shown)) <= TELEPHONE_LENGTH:
            continue
        parts = CARD_GROUPS if " " in shown else ()
        for candidate in chain([shown], *(groups.findall(shown) for groups in parts)):
            digits = candidate.replace(" ", "")
            if not DATED.match(candidate) and _is_card_number(digits):
                yield digits


def _is_card_number(digits: str) -> bool:
    return len(digits) in CARD_LENGTHS and len(set(digits)) > 1 and passes_luhn(digits)


def refuse_unclean(text: str) -> None:
    """Raise for what no string of the API may hold."""
    if "\0" in text:
        raise serializers.ValidationError("NUL bytes are not allowed.")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise serializers.ValidationError("The text is not valid Unicode.")
    if holds_card_number(text):
        raise serializers.ValidationError(CARD_SENTENCE)


class Text(serializers.CharField):
    """A JSON string; numbers and booleans are not quietly turned into one."""

    def __init__(self, **kwargs: Any) -> None:
        """Bound every string: 255 characters unless told."""
        kwargs.setdefault("max_length", 255)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Return the string, refused if unclean."""
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be a string.")
        refuse_unclean(data)
        return str(super().to_internal_value(data))


class Pattern(Text):
    """A string of one fixed shape."""

    def __init__(self, pattern: str, message: str = "Has characters it may not have.", **kwargs: Any) -> None:
        """Take an anchored regular expression."""
        super().__init__(**kwargs)
        self.validators.append(RegexValidator(pattern, message=message))


class Email(Text):
    """An e-mail address, kept as written; comparisons are on `normalised_email`."""

    def __init__(self, **kwargs: Any) -> None:
        """Bound it as RFC 5321 does."""
        super().__init__(max_length=EMAIL_LENGTH, **kwargs)
        self.validators.append(EmailValidator(message="Invalid email format", code="invalid_email"))


def normalised_email(address: str) -> str:
    """Return the form under which two spellings are one address."""
    return unicodedata.normalize("NFKC", address).strip().casefold()


class Url(Text):
    """An absolute http(s) URL without credentials in it."""

    def __init__(self, **kwargs: Any) -> None:
        """Allow what browsers do."""
        kwargs.setdefault("max_length", 2048)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Return the URL."""
        text = super().to_internal_value(data)
        if not re.fullmatch(r"https?://[^\s/@\\?#]+([/?#][^\s\\]*)?", text):
            raise serializers.ValidationError("Must be an absolute http or https URL.")
        return text


class Integer(serializers.IntegerField):
    """A JSON integer that every client can hold exactly (± 2⁵³ - 1 unless bounded closer)."""

    def __init__(self, **kwargs: Any) -> None:
        """Bound it."""
        kwargs.setdefault("max_value", BIGGEST)
        kwargs.setdefault("min_value", -BIGGEST)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> int:
        """Return the number; strings, booleans and fractions are refused."""
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("Must be an integer.")
        return int(super().to_internal_value(data))


class Boolean(serializers.BooleanField):
    """JSON true or false."""

    def to_internal_value(self, data: Any) -> bool:
        """Return it; "yes" and 1 are refused."""
        if not isinstance(data, bool):
            raise serializers.ValidationError("Must be true or false.")
        return data


class QueryInteger(serializers.IntegerField):
    """An integer in a query string, in plain decimal digits."""

    def to_internal_value(self, data: Any) -> int:
        """Return it; what only Python reads as a number (`1_0`, ` 5`, `5.0`, `٣`) is refused."""
        if not re.fullmatch(r"-?[0-9]{1,20}", str(data)):
            raise serializers.ValidationError("Must be an integer.")
        return int(super().to_internal_value(data))


class QueryBoolean(serializers.Field[bool, str, bool, Any]):
    """`true` or `false` in a query string."""

    def to_internal_value(self, data: str) -> bool:
        """Return the truth of it."""
        if data not in {"true", "false"}:
            raise serializers.ValidationError("Must be true or false.")
        return data == "true"

    def to_representation(self, value: Any) -> bool:
        """Return it."""
        return bool(value)


class Timestamp(serializers.Field[datetime, str, str, Any]):
    """ISO 8601; read with any offset, written in UTC with `Z`."""

    def to_internal_value(self, data: str) -> datetime:
        """Return an aware UTC time; one without an offset is refused as ambiguous."""
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be an ISO 8601 time.")
        try:
            moment = parse_datetime(data)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise serializers.ValidationError("Must be an ISO 8601 time with an offset or Z.")
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            raise serializers.ValidationError("The time is out of range.") from None

    def to_representation(self, value: datetime) -> str:
        """Return the text."""
        return render(value) or ""


class Moment(serializers.CharField):
    """A time that was written as text already, such as by a document that is sent as it is stored."""


class PublicId(serializers.Field["UUID", str, str, Any]):
    """A prefixed id. Reading gives the UUID behind it; a malformed one is a field error."""

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        """Say what it names."""
        self.prefix = prefix
        super().__init__(**kwargs)

    def to_internal_value(self, data: str) -> UUID:
        """Return the UUID."""
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be a string.")
        try:
            return ids.decode(self.prefix, data)
        except ids.MalformedId:
            raise serializers.ValidationError(f"Must be an id such as {self.prefix}_….") from None

    def to_representation(self, value: UUID) -> str:
        """Return the public spelling."""
        return ids.encode(self.prefix, value)


class Metadata(serializers.DictField):
    """A JSON object of at most 16 KiB and 8 levels; keys are strings of 1 to 128 characters."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Return the object, every string in it checked."""
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be an object.")
        _check_json(data, METADATA_DEPTH)
        if len(json.dumps(data, ensure_ascii=False).encode()) > METADATA_BYTES:
            raise serializers.ValidationError("Must be at most 16 KiB.")
        return data

    def to_representation(self, value: Any) -> Any:
        """Return it as it is."""
        return value


def merge_metadata(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored metadata with the given laid over; null deletes a key.

    Raises `ValidationFailed` where the two together outgrow their 16 KiB.
    """
    kept = {key: value for key, value in {**stored, **given}.items() if value is not None}
    if len(json.dumps(kept, ensure_ascii=False).encode()) > METADATA_BYTES:
        raise ValidationFailed(fields={"metadata": ["Must be at most 16 KiB once merged."]})
    return kept


def _check_json(value: Any, depth: int) -> None:
    if depth < 0:
        raise serializers.ValidationError("Must be at most 8 levels deep.")
    if isinstance(value, str):
        refuse_unclean(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        refuse_unclean(str(value))
    elif isinstance(value, dict):
        for key, inner in value.items():
            if not 0 < len(key) <= 128:  # noqa: PLR2004  # said in the sentence
                raise serializers.ValidationError("Keys must have 1 to 128 characters.")
            refuse_unclean(key)
            _check_json(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            _check_json(inner, depth - 1)


class _Camel(serializers.SerializerMetaclass):
    """Renames declared fields to camelCase, each with its snake_case source."""

    def __new__(mcs, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> Any:
        """Build the class, then respell its fields."""
        cls = super().__new__(mcs, name, bases, attrs)
        respelt: dict[str, Any] = {}
        for field_name, field in cls._declared_fields.items():
            spoken = camel(field_name)
            if spoken != field_name and field.source is None:
                field._kwargs["source"] = field_name
                field.source = field_name
            respelt[spoken] = field
        cls._declared_fields = respelt
        return cls


class Output(serializers.Serializer[Any], metaclass=_Camel):
    """A shape that goes out."""


class Input(serializers.Serializer[Any], metaclass=_Camel):
    """A shape that comes in. What it does not name is refused."""

    def get_fields(self) -> dict[str, Any]:
        """Have every field that takes one of a few words name them when it refuses another."""
        fields: dict[str, Any] = super().get_fields()
        for field in fields.values():
            chosen = getattr(field, "child", field)
            if isinstance(chosen, serializers.ChoiceField):
                words = ", ".join(map(str, chosen.choices)).replace("{", "{{").replace("}", "}}")
                chosen.error_messages["invalid_choice"] = f'"{{input}}" is not one of: {words}.'
        return fields

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Return the validated values under their snake_case names."""
        if not isinstance(data, Mapping):
            raise serializers.ValidationError({"nonFieldErrors": ["The body must be an object."]})
        unknown = [str(name) for name in data if name not in self.fields]
        errors: dict[str, Any] = {name[:100]: ["Unknown field."] for name in unknown}
        try:
            validated: dict[str, Any] = super().to_internal_value(data)
        except serializers.ValidationError as invalid:
            detail = invalid.detail
            errors |= detail if isinstance(detail, dict) else {"nonFieldErrors": detail}
            raise serializers.ValidationError(errors) from None
        if errors:
            raise serializers.ValidationError(errors)
        return validated


class NoInput(Input):
    """An empty body, or an empty object."""


class Query(Input):
    """Query parameters. Repeated ones are lists; unknown ones are refused."""


class PageQuery(Query):
    """What every list takes."""

    limit = QueryInteger(min_value=1, max_value=100, default=25)
    cursor = Text(max_length=200, required=False)
