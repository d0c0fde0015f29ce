"""What is kept of a receiver's answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackbe.kernel.serializers import passes_luhn
from webhooks.masking import KEPT_CHARACTERS, mask_answer


@pytest.mark.parametrize(
    "secret",
    [
        "4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "4242.4242.4242.4242",
        "378282246310005", "6011000990139424", "0000 4242424242424242 11",
        "sbk_live_AbCdEfGh0123456789abcdef", "sbk_pub_abc123",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "sk_live_51Habc", "rk_test_abc",
        "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2ln", "Bearer abcdefghijkl", '"password": "hunter22"',
        "token=abcd1234",
    ],
)  # fmt: skip
def test_card_numbers_and_secrets_are_masked(secret: str) -> None:
    kept = mask_answer(f"before {secret} after".encode())

    assert secret not in kept
    assert kept.startswith("before ")
    assert kept.endswith(" after")
    assert "4242 4242" not in kept


def test_what_is_known_to_be_secret_is_masked_wherever_it_stands() -> None:
    assert mask_answer(b"xxhunter2xx", ["hunter2"]) == "xx[masked]xx"


@pytest.mark.parametrize("harmless", ["order 1234567890", "2026-11-23T12:00:00Z", "1234567890123"])
def test_other_digits_stay(harmless: str) -> None:
    assert mask_answer(harmless.encode()) == harmless


def test_a_number_on_the_edge_is_seen_whole() -> None:
    kept = mask_answer(b"x" * (KEPT_CHARACTERS - 8) + b"4242424242424242")

    assert len(kept) == KEPT_CHARACTERS
    assert "4242" not in kept


def test_control_characters_and_broken_utf8_are_replaced() -> None:
    assert mask_answer(b"a\0b\x1b[31m\xff") == "a\ufffdb\ufffd[31m\ufffd"


@given(st.text(alphabet="0123456789", min_size=12, max_size=18), st.sampled_from(["", " ", "-"]))
def test_no_number_that_could_be_a_card_survives(start: str, separator: str) -> None:
    check = next(d for d in "0123456789" if passes_luhn(start + d))
    written = separator.join(start + check)

    assert written not in mask_answer(written.encode())


@given(st.binary(max_size=3000))
def test_any_bytes_become_at_most_a_kibibyte_of_text(answer: bytes) -> None:
    assert len(mask_answer(answer)) <= KEPT_CHARACTERS
