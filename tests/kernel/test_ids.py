"""Identifiers: UUIDv7 inside, TypeID outside."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from stackbe.kernel import ids


def test_an_id_is_a_version_7_uuid_of_its_moment():
    made = ids.new_id(at_ms=1_700_000_000_123)

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert ids.moment_of(made) == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)


def test_later_ids_sort_later_in_both_forms():
    made = [ids.new_id(at_ms=ms) for ms in (1, 2, 10**9, 2**47)]

    assert made == sorted(made)
    spelt = [ids.encode("cust", i) for i in made]
    assert spelt == sorted(spelt)


def test_ids_of_one_millisecond_differ():
    assert len({ids.new_id(at_ms=5) for _ in range(1000)}) == 1000


def test_ids_sort_in_the_order_in_which_they_were_made_within_a_millisecond_too():
    made = [ids.new_id() for _ in range(20_000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(i.version == 7 for i in made[:100])


def test_a_clock_that_is_set_back_makes_no_earlier_id(monkeypatch):
    before = ids.new_id()
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_700_000_000_000_000_000)

    assert before < ids.new_id() < ids.new_id()


def test_the_first_id_of_a_moment_is_its_smallest():
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    assert ids.first_id(moment) <= ids.new_id(at_ms=int(moment.timestamp() * 1000))
    assert ids.first_id(moment) > ids.new_id(at_ms=int(moment.timestamp() * 1000) - 1)


@pytest.mark.parametrize("value", [0, 1, 31, 32, 2**127, 2**128 - 1])
def test_the_public_form_is_read_back(value):
    text = ids.encode("cust", UUID(int=value))

    assert len(text) == len("cust_") + 26
    assert ids.decode("cust", text) == UUID(int=value)


def test_it_is_the_typeid_spelling():
    assert ids.encode("t", UUID("01890a5d-ac96-774b-bcce-b302099a8057")) == "t_01h455vb4pex5vsknk084sn02q"


@pytest.mark.parametrize(
    "text",
    [
        "", "cust", "cust_", "cust_01h455vb4pex5vsknk084sn02", "cust_01h455vb4pex5vsknk084sn02qq",
        "key_01h455vb4pex5vsknk084sn02q", "CUST_01h455vb4pex5vsknk084sn02q", "cust_01H455VB4PEX5VSKNK084SN02Q",
        "cust_81h455vb4pex5vsknk084sn02q", "cust_01h455vb4pex5vsknk084sn0il", "cust_01h455vb4pex5vsknk084sn0\0q",
        "cust-01h455vb4pex5vsknk084sn02q", " cust_01h455vb4pex5vsknk084sn02q", "cust_٠1h455vb4pex5vsknk084sn02q",
        "x_cust_01h455vb4pex5vsknk084sn02q",
    ],
)  # fmt: skip
def test_no_other_spelling_is_read(text):
    with pytest.raises(ids.MalformedId):
        ids.decode("cust", text)
