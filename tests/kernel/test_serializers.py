"""Shapes in: strict, bounded, and with no card number in any of them."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from uuid import UUID

import pytest
from rest_framework.serializers import ChoiceField, ListField, ValidationError

from stackbe.kernel import serializers as s
from stackbe.kernel.ids import encode


class Shape(s.Input):
    """One field of each kind."""

    some_text = s.Text(required=False)
    count = s.Integer(required=False)
    flag = s.Boolean(required=False)
    at = s.Timestamp(required=False)
    owner_id = s.PublicId("cust", required=False)
    home = s.Url(required=False)
    metadata = s.Metadata(required=False)
    email = s.Email(required=False)


def read(**given):
    form = Shape(data=given)
    form.is_valid(raise_exception=True)
    return form.validated_data


def test_what_is_spoken_in_camel_case_is_read_in_snake_case():
    owner = UUID(int=7)

    assert read(someText="x", count=2**53 - 1, flag=False, ownerId=encode("cust", owner)) == {
        "some_text": "x",
        "count": 2**53 - 1,
        "flag": False,
        "owner_id": owner,
    }


@pytest.mark.parametrize(
    "given",
    [
        {"someText": 1}, {"someText": True}, {"someText": None}, {"someText": ["x"]}, {"someText": {}},
        {"someText": "x" * 256}, {"someText": "\0"}, {"someText": "\ud800"},
        {"count": "1"}, {"count": 1.0}, {"count": 1.5}, {"count": True}, {"count": None}, {"count": 2**53}, {"count": -(2**53)},
        {"flag": 1}, {"flag": "true"}, {"flag": None},
        {"at": "yesterday"}, {"at": "2026-01-01"}, {"at": "2026-01-01T00:00:00"}, {"at": 1}, {"at": "2026-13-01T00:00:00Z"},
        {"at": "0001-01-01T00:00:00+14:00"}, {"at": "9999-12-31T23:59:59-14:00"},
        {"ownerId": "cust_x"}, {"ownerId": encode("key", UUID(int=7))}, {"ownerId": 7},
        {"home": "ftp://x.example"}, {"home": "//x.example"}, {"home": "https://u:p@x.example"}, {"home": "https://x.example/ a"},
        {"home": "https://x.example\\y"}, {"home": "https://"}, {"home": "javascript:alert(1)"},
        {"email": "x"}, {"email": "x@y"}, {"email": 1}, {"email": f"{'x' * 250}@y.example"},
        {"some_text": "x"}, {"unknown": 1},
    ],
    ids=str,
)  # fmt: skip
def test_anything_else_is_refused(given):
    with pytest.raises(ValidationError) as refused:
        read(**given)
    assert set(refused.value.detail) == {next(iter(given))}


def test_a_time_is_read_with_its_offset_and_kept_in_utc():
    assert read(at="2026-01-01T02:00:00+02:00")["at"] == datetime(2026, 1, 1, tzinfo=UTC)


def test_two_spellings_of_an_address_are_one():
    assert s.normalised_email(" Joe@Shop.EXAMPLE ") == s.normalised_email("joe@shop.example")
    assert s.normalised_email("ｊoe@shop.example") == "joe@shop.example"


CARDS = ["4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "378282246310005", "6011000990139424",
         "pay with 5555555555554444, please", "４２４２４２４２４２４２４２４２", "4242.4242.4242.4242", "card:4242424242424242;",
         "4242\t4242\t4242\t4242", "4242_4242_4242_4242", "4242  4242  4242  4242",
         "4242\u20134242\u20134242\u20134242",
         "4242 4242 4242 4242 12/29", "4242424242424242 12/29 123", "378282246310005 07/29", "3782 822463 10005 07",
         "2026-11-27 4242424242424242", "order 77 4242-4242-4242-4242", "+49 4242424242424242",
         "6304 0000 0000 0000 000 1", "100000000000009", "4222 2222 2222 2 11/30", "1234567812345670"]  # fmt: skip
NO_CARDS = ["4242424242424241", "424242424242", "0000000000000000", "1111111111111111", "order 12345678",
            "cus4242424242424242x", "42424242424242424242424", "2026-01-01T00:00:00.000Z", ""]  # fmt: skip
# Digits that pass Luhn's test by chance: clocks, dates, numbers of invoices, ids, telephones.
LUCKY = ["1795804281305", "1795804281302002", "1795804281302000003", "order-1795804281302-2", "20261127183006",
         "2026-11-27-1234569", "INV-2026-000123-0008", "1489572057263816706", "+86 138 0013 8002",
         "50258329-0838-4874-b30d-900f658d992d"]  # fmt: skip


@pytest.mark.parametrize("text", CARDS)
def test_a_card_number_is_seen(text):
    assert s.holds_card_number(text)


@pytest.mark.parametrize("text", NO_CARDS + LUCKY)
def test_other_digits_are_left_alone(text):
    assert not s.holds_card_number(text)


def test_random_ids_are_never_taken_for_cards():
    ids = random.Random(7)
    assert not any(s.holds_card_number(str(UUID(int=ids.getrandbits(128), version=4))) for _ in range(20_000))


def test_a_card_number_is_refused_wherever_it_hides():
    card = CARDS[0]
    for given in (
        {"someText": card},
        {"home": f"https://x.example/{card}"},
        {"email": f"{card}@x.example"},
        {"metadata": {"a": {"b": [card]}}},
        {"metadata": {"a": int(card)}},
        {"metadata": {card: 1}},
    ):
        with pytest.raises(ValidationError) as refused:
            read(**given)
        assert "card number" in str(refused.value)


def test_metadata_are_bounded_in_bytes_depth_and_names():
    assert read(metadata={"k": "x" * 16_000})
    deep: object = 1
    for _ in range(8):
        deep = {"d": deep}
    assert read(metadata=deep)
    for metadata in ({"k": "é" * 8_200}, {"d": deep}, {"": 1}, {"k" * 129: 1}, [], "x", None):
        with pytest.raises(ValidationError):
            read(metadata=metadata)


def test_a_word_that_is_none_of_a_few_is_refused_with_the_few():
    class Chosen(s.Input):
        way = ChoiceField(["up", "down"])
        ways = ListField(child=ChoiceField(["up", "{x}"]))

    form = Chosen(data={"way": "left", "ways": ["{x}", "down"]})

    assert not form.is_valid()
    assert form.errors["way"] == ['"left" is not one of: up, down.']
    assert form.errors["ways"][1] == ['"down" is not one of: up, {x}.']


def test_unknown_fields_are_named_but_not_repeated_at_length():
    with pytest.raises(ValidationError) as refused:
        read(**{"x" * 5000: 1})
    assert len(json.dumps(refused.value.detail)) < 300
