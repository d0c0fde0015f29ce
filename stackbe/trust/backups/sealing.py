"""Sealed files: a stream of any length, encrypted in pieces, that tells when it was cut or changed.

The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance", 2015): each piece is AES-256-GCM under a nonce of its number and of whether
it is the last, so pieces cannot be dropped, swapped or repeated, and a file that ends early does not open.

A file is: magic (8 bytes) · name of the master key (16) · salt (32) · pieces of 4 bytes length and ciphertext.
The key of a file is HKDF-SHA-256 over the master key with that salt, so no two files share one.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import IO, TYPE_CHECKING, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from stackbe.kernel.crypto import KEY_BYTES, SealBroken, master_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"SBKSEAL1"
NAME_BYTES, SALT_BYTES, LENGTH_BYTES = 16, 32, 4
PIECE_BYTES = 1024 * 1024
TAG_BYTES = 16
LAST, MORE = b"\x01", b"\x00"


class SealedWriter:
    """A file object that encrypts what is written to it under the current master key.

    `close` writes the last piece: without it the file does not open. `digest` is the SHA-256 of the
    sealed bytes, `size` their number.
    """

    def __init__(self, file: IO[bytes], purpose: str) -> None:
        """Begin a sealed file; `purpose` is bound to it, so that one kind cannot stand for another."""
        name, master = next(iter(master_keys().items()))
        salt = secrets.token_bytes(SALT_BYTES)
        self._file, self._header = file, MAGIC + name.encode().ljust(NAME_BYTES, b"\0") + salt
        self._cipher, self._number, self._held = _cipher(master, salt, purpose), 0, bytearray()
        self._sha, self.size = hashlib.sha256(), 0
        self._put(self._header)

    def write(self, data: bytes) -> int:
        """Take bytes; they reach the file a piece at a time."""
        self._held += data
        # One piece stays behind, because only the end knows that it is the last.
        while len(self._held) > PIECE_BYTES:
            self._seal(bytes(self._held[:PIECE_BYTES]), MORE)
            del self._held[:PIECE_BYTES]
        return len(data)

    def close(self) -> None:
        """Write the last piece. The underlying file stays open."""
        self._seal(bytes(self._held), LAST)
        self._held.clear()

    @property
    def digest(self) -> str:
        """Return the SHA-256 of what was written to the file so far, in hex."""
        return self._sha.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()

    def _seal(self, piece: bytes, last: bytes) -> None:
        sealed = self._cipher.encrypt(_nonce(self._number, last), piece, self._header)
        self._number += 1
        self._put(len(sealed).to_bytes(LENGTH_BYTES, "big") + sealed)

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._sha.update(data)
        self.size += len(data)


def unsealed(file: IO[bytes], purpose: str) -> Iterator[bytes]:
    """Yield the plain pieces of a sealed file; raises `SealBroken` before any byte that was not sealed so."""
    header = file.read(len(MAGIC) + NAME_BYTES + SALT_BYTES)
    name = header[len(MAGIC) : len(MAGIC) + NAME_BYTES].rstrip(b"\0").decode("ascii", "replace")
    if not header.startswith(MAGIC) or len(header) != len(MAGIC) + NAME_BYTES + SALT_BYTES:
        raise SealBroken("not a sealed file")
    if name not in master_keys():
        raise SealBroken(f"it was sealed under the master key {name!r}, which is not in STACKBE_MASTER_KEY")
    cipher, number, ahead = _cipher(master_keys()[name], header[-SALT_BYTES:], purpose), 0, _piece(file)
    if ahead is None:
        raise SealBroken("the file ends before its first piece")
    while ahead is not None:
        piece, ahead = ahead, _piece(file)
        try:
            yield cipher.decrypt(_nonce(number, MORE if ahead is not None else LAST), piece, header)
        except InvalidTag as broken:
            raise SealBroken(f"piece {number} was changed, or the file was cut behind it") from broken
        number += 1


def _piece(file: IO[bytes]) -> bytes | None:
    length = file.read(LENGTH_BYTES)
    if not length:
        return None
    wanted = int.from_bytes(length, "big")
    piece = file.read(min(wanted, PIECE_BYTES + TAG_BYTES))
    if len(length) != LENGTH_BYTES or len(piece) != wanted:
        raise SealBroken("the file was cut")
    return piece


def _cipher(master: bytes, salt: bytes, purpose: str) -> AESGCM:
    kdf = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=salt, info=f"sealed-file|{purpose}".encode())
    return AESGCM(kdf.derive(master))


def _nonce(number: int, last: bytes) -> bytes:
    # Fits, because a file has one key: 88 bits count pieces, the last byte says whether one is the last.
    return number.to_bytes(11, "big") + last
