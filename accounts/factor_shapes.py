"""Shapes of second factors, in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from accounts.sign_in_shapes import TOKEN_LENGTH
from stackbe.kernel.clock import render
from stackbe.kernel.serializers import Input, Integer, Output, Text, Timestamp, Url

if TYPE_CHECKING:
    from accounts.services.second_factors import Standing

CODE_LENGTH = 40


class FactorInput(Input):
    """The token of a sign-in that waits, and a code of the app or a recovery code."""

    factor_token = Text(max_length=TOKEN_LENGTH)
    code = Text(max_length=CODE_LENGTH)


class CodeInput(Input):
    """A code of the authenticator app, or a recovery code."""

    code = Text(max_length=CODE_LENGTH)


class SecuritySessionInput(Input):
    """Where the page leads back to."""

    return_url = Url()


class SecuritySessionOutput(Output):
    """A URL that opens the page once."""

    url = Text(max_length=None)
    expires_at = Timestamp()


class AuthenticatorShape(Output):
    """The authenticator app."""

    added_at = Timestamp()


class PasskeyShape(Output):
    """One passkey."""

    id = Text()
    name = Text()
    created_at = Timestamp()
    last_used_at = Timestamp(allow_null=True)


class FactorsOutput(Output):
    """Which factors a customer has."""

    authenticator = AuthenticatorShape(allow_null=True)
    passkeys = PasskeyShape(many=True)
    recovery_codes_left = Integer()

    def to_representation(self, instance: Standing) -> dict[str, Any]:
        """Return the shape above."""
        since = instance.authenticator_since
        return {
            "authenticator": None if since is None else {"addedAt": render(since)},
            "passkeys": [
                {
                    "id": key.public_id,
                    "name": key.name,
                    "createdAt": render(key.created_at),
                    "lastUsedAt": render(key.last_used_at),
                }
                for key in instance.passkeys
            ],
            "recoveryCodesLeft": instance.codes_left,
        }


class AuthenticatorOutput(Output):
    """What an authenticator app is told; `otpauthUri` is what a QR code holds."""

    secret = Text()
    otpauth_uri = Text(max_length=None)


class RecoveryCodesOutput(Output):
    """Recovery codes, shown this once; none where the earlier ones stay good."""

    recovery_codes = serializers.ListField(child=Text())
