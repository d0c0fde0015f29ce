"""Sealed files open as they were, or not at all."""

from __future__ import annotations

import io

import pytest

from stackbe.kernel import crypto
from stackbe.trust.backups.sealing import LENGTH_BYTES, PIECE_BYTES, SealedWriter, unsealed

HEADER = 56


def sealed(content, purpose="test"):
    out = io.BytesIO()
    with SealedWriter(out, purpose) as writer:
        for start in range(0, len(content), 700_000):
            writer.write(content[start : start + 700_000])
    return out.getvalue()


def opened(data, purpose="test"):
    return b"".join(unsealed(io.BytesIO(data), purpose))


def pieces_of(data):
    at, found = HEADER, []
    while at < len(data):
        length = int.from_bytes(data[at : at + LENGTH_BYTES], "big") + LENGTH_BYTES
        found.append(data[at : at + length])
        at += length
    return found


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, 3_000_000])
def test_what_went_in_comes_out(size):
    content = bytes(range(256)) * (size // 256 + 1)
    assert opened(sealed(content[:size])) == content[:size]


def test_two_files_of_the_same_content_share_nothing():
    first, second = sealed(b"x" * 5000), sealed(b"x" * 5000)

    assert first[HEADER:] != second[HEADER:]
    assert b"xxxx" not in first


@pytest.mark.parametrize("at", [0, 10, 30, HEADER + 10, -1, -30])
def test_a_changed_byte_is_noticed(at):
    data = bytearray(sealed(b"y" * (PIECE_BYTES + 10)))
    data[at] ^= 1
    with pytest.raises(crypto.SealBroken):
        opened(bytes(data))


def test_a_file_that_was_cut_between_its_pieces_is_noticed():
    data = sealed(b"z" * (2 * PIECE_BYTES + 10))
    pieces = pieces_of(data)

    assert len(pieces) == 3
    for cut in (pieces[:1], pieces[:2], pieces[1:], [pieces[0], pieces[2]], [pieces[1], pieces[0], pieces[2]], []):
        with pytest.raises(crypto.SealBroken):
            opened(data[:HEADER] + b"".join(cut))


def test_one_kind_of_file_cannot_stand_for_another():
    with pytest.raises(crypto.SealBroken):
        opened(sealed(b"wal", purpose="wal|one"), purpose="wal|two")


def test_a_file_of_a_master_key_that_was_taken_away_says_which(settings):
    data = sealed(b"x")
    settings.STACKBE_MASTER_KEY = (
        "other:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="  # pragma: allowlist secret - opens nothing
    )
    crypto.master_keys.cache_clear()
    try:
        with pytest.raises(crypto.SealBroken, match="'test'"):
            opened(data)
    finally:
        crypto.master_keys.cache_clear()
