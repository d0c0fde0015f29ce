"""The ceremonies of passkeys (WebAuthn level 2): what a browser is asked, and whether its answer fits.

Nothing here reads or writes a row. Whoever asks keeps the challenge and takes it away before an answer is
judged, so an answer is good once. The library reads and verifies; what counts as this site is BASE_URL alone.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import webauthn
from django.conf import settings
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from accounts.errors import PasskeyRefused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

CHALLENGE_BYTES = 32
LONGEST_ANSWER = 16 * 1024
# What a malformed answer makes the library raise, besides its own exceptions.
MALFORMED = (WebAuthnException, ValueError, KeyError, TypeError)
# RFC 8176: a key that cannot leave its hardware, and one that is copied between a person's machines.
HARDWARE_KEY, COPIED_KEY = "hwk", "swk"


@dataclass(frozen=True, slots=True)
class Made:
    """The public half of a new passkey."""

    credential_id: bytes
    public_key: bytes
    sign_count: int


@dataclass(frozen=True, slots=True)
class Signed:
    """What a passkey that fits has told: how often it has signed, and whether its key stays in hardware."""

    sign_count: int
    method: str


def new_challenge() -> bytes:
    """Return what an authenticator is to sign."""
    return secrets.token_bytes(CHALLENGE_BYTES)


def creation_options(
    *, site_name: str, user_id: UUID, user_name: str, challenge: bytes, known: Iterable[bytes]
) -> dict[str, Any]:
    """Return what the browser's `credentials.create` takes; an authenticator among `known` makes no second one."""
    options = webauthn.generate_registration_options(
        rp_id=_site(),
        rp_name=site_name,
        user_id=user_id.bytes,
        user_name=user_name,
        challenge=challenge,
        exclude_credentials=_described(known),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
    )
    return _as_json(options)


def request_options(*, challenge: bytes, known: Iterable[bytes]) -> dict[str, Any]:
    """Return what the browser's `credentials.get` takes; any of the `known` will do."""
    options = webauthn.generate_authentication_options(
        rp_id=_site(),
        challenge=challenge,
        allow_credentials=_described(known),
        user_verification=UserVerificationRequirement.PREFERRED,
    )
    return _as_json(options)


def made(answer: str, challenge: bytes) -> Made:
    """Return the new passkey that an answer to `creation_options` holds. Raises `PasskeyRefused`."""
    try:
        found = webauthn.verify_registration_response(
            credential=_read(answer),
            expected_challenge=challenge,
            expected_rp_id=_site(),
            expected_origin=settings.BASE_URL,
        )
    except MALFORMED:
        raise PasskeyRefused from None
    return Made(found.credential_id, found.credential_public_key, found.sign_count)


def named(answer: str) -> bytes | None:
    """Return the id of the passkey that an answer says it comes from, None where it says nothing readable."""
    try:
        return webauthn.base64url_to_bytes(_read(answer)["rawId"])
    except MALFORMED:
        return None


def signed(answer: str, challenge: bytes, *, public_key: bytes, sign_count: int) -> Signed | None:
    """Return what the passkey tells if it signed the challenge for this site, None where anything is amiss.

    A count that falls behind `sign_count` is amiss: the authenticator was copied.
    """
    try:
        proven = webauthn.verify_authentication_response(
            credential=_read(answer),
            expected_challenge=challenge,
            expected_rp_id=_site(),
            expected_origin=settings.BASE_URL,
            credential_public_key=public_key,
            credential_current_sign_count=sign_count,
        )
    except MALFORMED:
        return None
    copied = proven.credential_device_type == CredentialDeviceType.MULTI_DEVICE
    return Signed(proven.new_sign_count, COPIED_KEY if copied else HARDWARE_KEY)


def _site() -> str:
    """Return the name that passkeys are bound to: the host alone (WebAuthn, 5.1.2)."""
    return urlsplit(settings.BASE_URL).hostname or "localhost"


def _described(known: Iterable[bytes]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=bytes(credential_id)) for credential_id in known]


def _read(answer: str) -> dict[str, Any]:
    if len(answer) > LONGEST_ANSWER:
        raise ValueError("longer than any authenticator's answer")
    given = json.loads(answer)
    if not isinstance(given, dict):
        raise TypeError("not an object")
    return given


def _as_json(options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(webauthn.options_to_json(options))
    return found
