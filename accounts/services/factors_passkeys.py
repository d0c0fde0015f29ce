"""Passkeys of developers (WebAuthn level 2): added, asked for, judged.

A challenge is made by the caller, kept in the browser's session and taken out before an answer is judged, so
an answer is good once. The library reads and verifies; what counts as this site is BASE_URL alone.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import webauthn
from django.conf import settings
from django.db import IntegrityError, transaction
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from accounts.developer_models import Passkey
from accounts.errors import FactorNotFound, PasskeyRefused, TooManyPasskeys
from accounts.services.factors import forget_codes_without_factor, has_factor, hold, make_recovery_codes, record
from stackbe.kernel import ids
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from accounts.models import User

CHALLENGE_BYTES = 32
MOST_PASSKEYS = 10
LONGEST_ANSWER = 16 * 1024
# What a malformed answer makes the library raise, besides its own exceptions.
MALFORMED = (WebAuthnException, ValueError, KeyError, TypeError)


def new_challenge() -> bytes:
    """Return what an authenticator is to sign."""
    return secrets.token_bytes(CHALLENGE_BYTES)


def registration_options(user: User, challenge: bytes) -> dict[str, Any]:
    """Return what the browser's `credentials.create` takes. Needs an open reading: it names the developer."""
    options = webauthn.generate_registration_options(
        rp_id=_site(),
        rp_name="StackBE",
        user_id=user.id.bytes,
        user_name=user.email,
        challenge=challenge,
        exclude_credentials=_known(user),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
    )
    return _as_json(options)


def add_passkey(user: User, *, name: str, answer: str, challenge: bytes) -> list[str]:
    """Keep the public half of a new passkey; return fresh recovery codes if it is the first factor.

    Raises `PasskeyRefused` for an answer that does not fit and `TooManyPasskeys`.
    """
    require_change()
    hold(user)
    if Passkey.objects.filter(user_id=user.id).count() >= MOST_PASSKEYS:
        raise TooManyPasskeys
    try:
        made = webauthn.verify_registration_response(
            credential=_read(answer),
            expected_challenge=challenge,
            expected_rp_id=_site(),
            expected_origin=settings.BASE_URL,
        )
    except MALFORMED:
        raise PasskeyRefused from None
    first = not has_factor(user.id)
    row = Passkey(
        user_id=user.id,
        credential_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
        name=name,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        raise PasskeyRefused("This passkey is known already.") from None
    record(user, "passkey_added")
    return make_recovery_codes(user) if first else []


def proof_options(user: User, challenge: bytes) -> dict[str, Any]:
    """Return what the browser's `credentials.get` takes; any passkey of the developer will do."""
    options = webauthn.generate_authentication_options(
        rp_id=_site(),
        challenge=challenge,
        allow_credentials=_known(user),
        user_verification=UserVerificationRequirement.PREFERRED,
    )
    return _as_json(options)


def check_passkey(user: User, *, answer: str, challenge: bytes) -> bool:
    """Say whether one of the developer's passkeys signed the challenge, and remember how often it has signed."""
    require_change()
    try:
        given = _read(answer)
        credential_id = webauthn.base64url_to_bytes(given["rawId"])
        row = Passkey.objects.select_for_update().filter(user_id=user.id, credential_id=credential_id).first()
        if row is None:
            return False
        proven = webauthn.verify_authentication_response(
            credential=given,
            expected_challenge=challenge,
            expected_rp_id=_site(),
            expected_origin=settings.BASE_URL,
            credential_public_key=bytes(row.public_key),
            credential_current_sign_count=row.sign_count,
        )
    except MALFORMED:
        return False
    row.sign_count, row.last_used_at = proven.new_sign_count, wall_clock()
    row.save(update_fields=["sign_count", "last_used_at"])
    return True


def remove_passkey(user: User, passkey_id: str) -> None:
    """Forget a passkey; with the last factor the recovery codes go too."""
    require_change()
    hold(user)
    try:
        key = ids.decode(Passkey.id_prefix, passkey_id)
    except ids.MalformedId:
        raise FactorNotFound from None
    if not Passkey.objects.filter(user_id=user.id, pk=key).delete()[0]:
        raise FactorNotFound
    record(user, "passkey_removed")
    forget_codes_without_factor(user)


def _site() -> str:
    """Return the name that passkeys are bound to: the host alone (WebAuthn, 5.1.2)."""
    return urlsplit(settings.BASE_URL).hostname or "localhost"


def _known(user: User) -> list[PublicKeyCredentialDescriptor]:
    rows = Passkey.objects.filter(user_id=user.id).order_by("id")
    return [PublicKeyCredentialDescriptor(id=bytes(row.credential_id)) for row in rows]


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
