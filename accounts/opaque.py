"""Opaque tokens of sign-in: links, one-time codes, refresh tokens, and the 6 digits beside a link.

A token is a prefix, the id of its row in 26 characters of base32, and 43 characters of secret (256
bits). Only SHA-256 of the whole is stored. The id in it lets a spent token be told from a forged one
for as long as the spent row's id is remembered, without keeping anything of the secret.

`sbl_` a developer's link · `sbm_` a customer's link and `sbi_` an invitation to an organization (both
name their app as well) · `sbc_` the one-time code on an app's callback · `sbr_` a refresh token ·
`sbs_` the state of a sign-in at a provider and `sba_` leave to connect an account there (name their app too) ·
`sbf_` a sign-in that waits for its second factor and `sby_` a visit to the page of one's factors (likewise).
"""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from stackbe.kernel import ids
from stackbe.kernel.crypto import equal, keyed_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

DEVELOPER_LINK = "sbl"
MAGIC_LINK = "sbm"
INVITE = "sbi"
ONE_TIME_CODE = "sbc"
FACTOR, SECURITY = "sbf", "sby"
REFRESH_TOKEN = "sbr"  # noqa: S105  # a prefix
SOCIAL_STATE = "sbs"
SOCIAL_LINK = "sba"
NAMING_THEIR_APP = frozenset({MAGIC_LINK, INVITE, FACTOR, SECURITY, SOCIAL_STATE, SOCIAL_LINK})
SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
DIGITS = 6
TRIES = 5


@dataclass(frozen=True, slots=True, repr=False)
class Opaque:
    """A well-formed token, taken apart. It has no repr, since it opens something."""

    prefix: str
    row_id: UUID
    app_id: UUID | None
    text: str


def mint(prefix: str, row_id: UUID, *, app_id: UUID | None = None, secret: bytes | None = None) -> str:
    """Return a token for a row; `secret` (32 bytes) is random unless it must be derivable."""
    names = ids.encode("x", row_id)[2:] if app_id is None else ids.encode("x", app_id)[2:] + ids.encode("x", row_id)[2:]
    material = secrets.token_bytes(32) if secret is None else secret
    return f"{prefix}_{names}{base64.urlsafe_b64encode(material).decode().rstrip('=')}"


def read(prefix: str, text: str) -> Opaque | None:
    """Return the parts of a token, None for what cannot be one of that kind."""
    head, _, rest = text.partition("_")
    named = 2 if prefix in NAMING_THEIR_APP else 1
    length = named * ids.LENGTH
    if head != prefix or not SECRET.fullmatch(rest[length:]):
        return None
    try:
        found = [ids.decode("x", f"x_{rest[n * ids.LENGTH : (n + 1) * ids.LENGTH]}") for n in range(named)]
    except ids.MalformedId:
        return None
    return Opaque(prefix, found[-1], found[0] if named > 1 else None, text)


def mint_code() -> str:
    """Return 6 random digits. Their few bits are guarded by the pepper, five tries and 15 minutes."""
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"


def is_code(peppers: Sequence[bytes], row_id: UUID, code: str, digest: bytes) -> bool:
    """Say whether these are a row's digits, under the live pepper or one that it has replaced."""
    return any(equal(code_digest(pepper, row_id, code), digest) for pepper in peppers)


def code_digest(pepper: bytes, row_id: UUID, code: str) -> bytes:
    """Return what is stored of a code: bound to its link, so that equal codes look different."""
    return keyed_hash(pepper, "sign-in-code", str(row_id), code)


def masked(email: str) -> str:
    """Return `j•••@example.com`: enough to know one's own address by, not enough to learn one."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}•••@{domain}"
