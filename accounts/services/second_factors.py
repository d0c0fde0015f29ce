"""Anybody's second factors: an authenticator app, passkeys, and recovery codes for when both are lost.

The rules are the same for developers and for customers and stand here once; whose rows they are, under
whose keys they lie and who is told of a change is said by `factors.py` and `customer_factors.py`. Nothing
is stored that would let a reader of the database pass: the secret of an app is sealed under the person's
own key, recovery codes are keyed hashes, and of a passkey there is only the public half.
"""

from __future__ import annotations

import base64
import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.db import IntegrityError, transaction

from accounts.errors import AuthenticatorExists, FactorNotFound, PasskeyRefused, TooManyPasskeys, WrongCode
from accounts.services import passkeys as ceremony
from stackbe.kernel import ids
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import equal, keyed_hash
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

STEP_SECONDS = 30
SECRET_BYTES = 20  # RFC 4226, 4: as many as the hash has
STEPS_AROUND = (-1, 0, 1)  # RFC 6238, 5.2: one step of clock drift either way
PENDING = timedelta(minutes=30)
RECOVERY_CODES, RECOVERY_LETTERS = 10, 10
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32: nothing that reads as something else
TOTP_DIGITS = 6
MOST_PASSKEYS = 10
AUTHENTICATOR, PASSKEY, RECOVERY, EMAIL = "authenticator", "passkey", "recovery", "email"


@dataclass(frozen=True, slots=True)
class Standing:
    """Which factors somebody has."""

    authenticator_since: datetime | None
    passkeys: list[Any]
    codes_left: int

    @property
    def has_factor(self) -> bool:
        """Say whether signing in takes more than a link."""
        return self.authenticator_since is not None or bool(self.passkeys)


class SecondFactors(ABC):
    """One person's factors."""

    site_name: ClassVar[str] = "StackBE"

    def __init__(self, person_id: UUID) -> None:
        """Take whose."""
        self.person_id = person_id

    @abstractmethod
    def apps(self) -> QuerySet[Any]:
        """Return the rows of their authenticator apps, the one that waits for its first code too."""

    @abstractmethod
    def passkeys(self) -> QuerySet[Any]:
        """Return the rows of their passkeys."""

    @abstractmethod
    def recovery_codes(self) -> QuerySet[Any]:
        """Return the rows of their recovery codes."""

    @abstractmethod
    def owner(self) -> dict[str, Any]:
        """Return the columns that make a new row theirs."""

    @abstractmethod
    def hold(self) -> None:
        """Let changes of one person's factors wait for each other."""

    @abstractmethod
    def record(self, kind: str) -> None:
        """Put a change on record, and tell the person by mail."""

    @abstractmethod
    def record_refusal(self) -> None:
        """Put a wrong code on record."""

    @abstractmethod
    def peppers(self) -> list[bytes]:
        """Return the key under which recovery codes are hashed, and after it those that it has replaced."""

    @abstractmethod
    def address(self) -> str:
        """Return the address by which an authenticator shows whose account it is. Needs an open reading."""

    def issuer(self) -> str:
        """Return the name that an authenticator shows beside the address."""
        return self.site_name

    def has_factor(self) -> bool:
        """Say whether they have a factor."""
        return self.apps().filter(confirmed_at__isnull=False).exists() or self.passkeys().exists()

    def standing(self) -> Standing:
        """Return which factors they have."""
        app = self.apps().filter(confirmed_at__isnull=False).first()
        return Standing(
            authenticator_since=app.confirmed_at if app else None,
            passkeys=list(self.passkeys().order_by("id")),
            codes_left=self.recovery_codes().count(),
        )

    def begin_authenticator(self) -> str:
        """Return the secret (base32) of an authenticator app that counts once a code of it is given.

        An earlier one that was never confirmed is forgotten. Raises `AuthenticatorExists`.
        """
        require_change()
        self.hold()
        rows = self.apps()
        if rows.filter(confirmed_at__isnull=False).exists():
            raise AuthenticatorExists
        rows.delete()
        secret = base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()
        rows.model(**self.owner(), secret=secret, created_at=wall_clock()).save(force_insert=True)
        return secret

    def otpauth_uri(self, secret: str) -> str:
        """Return what an authenticator app reads from a QR code. Needs an open reading: it names the person."""
        issuer, account = quote(self.issuer(), safe=""), quote(self.address(), safe="@")
        return f"otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}"

    def pending_secret(self) -> str | None:
        """Return the secret that waits for its first code, None where there is none or it waited too long."""
        row = self._waiting().first()
        secret: str | None = row.secret if row else None
        return secret

    def confirm_authenticator(self, code: str) -> list[str]:
        """Count an authenticator app from now on; return fresh recovery codes if it is the first factor.

        Raises `FactorNotFound` where none is waiting and `WrongCode`.
        """
        require_change()
        self.hold()
        row = self._waiting().first()
        if row is None:
            raise FactorNotFound
        step = _step_of(row.secret, code)
        if step is None:
            raise WrongCode
        first = not self.has_factor()
        row.confirmed_at, row.last_step = wall_clock(), step
        row.save(update_fields=["confirmed_at", "last_step"])
        self.record("authenticator_added")
        return self.make_recovery_codes() if first else []

    def check_authenticator(self, code: str) -> bool:
        """Take a code of the authenticator app. Each step is taken once, and none before one that was taken."""
        require_change()
        row = self.apps().filter(confirmed_at__isnull=False).first()
        step = None if row is None else _step_of(row.secret, code)
        if row is None or step is None:
            return False
        return bool(self.apps().filter(pk=row.pk, last_step__lt=step).update(last_step=step))

    def remove_authenticator(self) -> None:
        """Forget the authenticator app; with the last factor the recovery codes go too."""
        require_change()
        self.hold()
        if not self.apps().delete()[0]:
            raise FactorNotFound
        self.record("authenticator_removed")
        self._forget_codes_without_factor()

    def make_recovery_codes(self) -> list[str]:
        """Return ten new recovery codes, shown this once; the ones from before no longer work."""
        require_change()
        rows = self.recovery_codes()
        rows.delete()
        codes = ["".join(secrets.choice(ALPHABET) for _ in range(RECOVERY_LETTERS)) for _ in range(RECOVERY_CODES)]
        for code in codes:
            rows.model(**self.owner(), digest=self._code_digests(code)[0]).save(force_insert=True)
        half = RECOVERY_LETTERS // 2
        return [f"{code[:half]}-{code[half:]}" for code in codes]

    def renew_recovery_codes(self) -> list[str]:
        """Do that for who has a factor. Raises `FactorNotFound` for who has none: there is nothing to recover."""
        require_change()
        self.hold()
        if not self.has_factor():
            raise FactorNotFound
        self.record("codes_renewed")
        return self.make_recovery_codes()

    def spend_recovery_code(self, text: str) -> bool:
        """Take a recovery code; of two racers with the same code one is let in."""
        require_change()
        digests = self._code_digests("".join(c for c in text.lower() if c.isalnum()))
        if not self.recovery_codes().filter(digest__in=digests).delete()[0]:
            return False
        self.record("code_spent")
        return True

    def take_code(self, text: str) -> str | None:
        """Return which kind of factor a typed code is, `authenticator` or `recovery`, and spend it; None if neither."""
        digits = "".join(text.split())
        if digits.isascii() and digits.isdigit() and len(digits) == TOTP_DIGITS:
            return AUTHENTICATOR if self.check_authenticator(digits) else None
        return RECOVERY if self.spend_recovery_code(text) else None

    def registration_options(self, challenge: bytes) -> dict[str, Any]:
        """Return what the browser's `credentials.create` takes. Needs an open reading: it names the person."""
        return ceremony.creation_options(
            site_name=self.issuer(),
            user_id=self.person_id,
            user_name=self.address(),
            challenge=challenge,
            known=self._known(),
        )

    def add_passkey(self, *, name: str, answer: str, challenge: bytes) -> list[str]:
        """Keep the public half of a new passkey; return fresh recovery codes if it is the first factor.

        Raises `PasskeyRefused` for an answer that does not fit and `TooManyPasskeys`.
        """
        require_change()
        self.hold()
        rows = self.passkeys()
        if rows.count() >= MOST_PASSKEYS:
            raise TooManyPasskeys
        made = ceremony.made(answer, challenge)
        first = not self.has_factor()
        row = rows.model(
            **self.owner(),
            credential_id=made.credential_id,
            public_key=made.public_key,
            sign_count=made.sign_count,
            name=name,
        )
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            raise PasskeyRefused("This passkey is known already.") from None
        self.record("passkey_added")
        return self.make_recovery_codes() if first else []

    def proof_options(self, challenge: bytes) -> dict[str, Any]:
        """Return what the browser's `credentials.get` takes; any passkey of the person will do."""
        return ceremony.request_options(challenge=challenge, known=self._known())

    def check_passkey(self, *, answer: str, challenge: bytes) -> str | None:
        """Return by which kind of key a passkey of theirs signed the challenge, and count it; None where none did."""
        require_change()
        credential_id = ceremony.named(answer)
        row = self.passkeys().select_for_update().filter(credential_id=credential_id).first() if credential_id else None
        if row is None:
            return None
        signed = ceremony.signed(answer, challenge, public_key=bytes(row.public_key), sign_count=row.sign_count)
        if signed is None:
            return None
        row.sign_count, row.last_used_at = signed.sign_count, wall_clock()
        row.save(update_fields=["sign_count", "last_used_at"])
        return signed.method

    def remove_passkey(self, passkey_id: str) -> None:
        """Forget a passkey; with the last factor the recovery codes go too."""
        require_change()
        self.hold()
        rows = self.passkeys()
        try:
            key = ids.decode(rows.model.id_prefix, passkey_id)
        except ids.MalformedId:
            raise FactorNotFound from None
        if not rows.filter(pk=key).delete()[0]:
            raise FactorNotFound
        self.record("passkey_removed")
        self._forget_codes_without_factor()

    def forget_all(self) -> int:
        """Delete every factor and recovery code; return how many rows."""
        require_change()
        return sum(rows.delete()[0] for rows in (self.apps(), self.passkeys(), self.recovery_codes()))

    def _waiting(self) -> QuerySet[Any]:
        return self.apps().filter(confirmed_at__isnull=True, created_at__gt=wall_clock() - PENDING)

    def _forget_codes_without_factor(self) -> None:
        """Drop the recovery codes where no factor is left that they could stand in for."""
        if not self.has_factor():
            self.recovery_codes().delete()

    def _known(self) -> list[bytes]:
        return [bytes(found) for found in self.passkeys().order_by("id").values_list("credential_id", flat=True)]

    def _code_digests(self, code: str) -> list[bytes]:
        return [keyed_hash(pepper, "recovery-code", str(self.person_id), code) for pepper in self.peppers()]


def _step_of(secret: str, code: str) -> int | None:
    """Return the time step whose code this is, among those that count now."""
    totp = TOTP(base64.b32decode(secret), TOTP_DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303  # RFC 6238's own: every app knows it
    present = int(wall_clock().timestamp()) // STEP_SECONDS
    found = None
    for step in (present + offset for offset in STEPS_AROUND):
        if equal(totp.generate(step * STEP_SECONDS), code.encode()):
            found = step
    return found
