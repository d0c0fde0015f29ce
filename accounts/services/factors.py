"""Developers' second factors: an authenticator app, passkeys, and recovery codes for when both are lost.

Nothing here is stored that would let a reader of the database pass: the secret of an app is sealed under
the developer's own key, recovery codes are keyed hashes, and of a passkey there is only the public half.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from accounts.developer_models import Passkey, RecoveryCode, TotpFactor
from accounts.errors import AuthenticatorExists, FactorNotFound, WrongCode
from accounts.member_mail import mail_security_notice
from accounts.models import User
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import Keyring, equal, keyed_hash
from stackbe.kernel.jobs import enqueue
from stackbe.kernel.models import BrowserSession
from stackbe.kernel.scope import PLATFORM, Scope, platform_scope
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from uuid import UUID

STEP_SECONDS = 30
SECRET_BYTES = 20  # RFC 4226, 4: as many as the hash has
STEPS_AROUND = (-1, 0, 1)  # RFC 6238, 5.2: one step of clock drift either way
PENDING = timedelta(minutes=30)
RECOVERY_CODES, RECOVERY_LETTERS = 10, 10
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32: nothing that reads as something else
TOTP_DIGITS = 6
AUTHENTICATOR, PASSKEY, RECOVERY, EMAIL = "authenticator", "passkey", "recovery", "email"


@dataclass(frozen=True, slots=True)
class Standing:
    """Which factors a developer has."""

    authenticator_since: datetime | None
    passkeys: list[Passkey]
    codes_left: int

    @property
    def has_factor(self) -> bool:
        """Say whether signing in takes more than a link."""
        return self.authenticator_since is not None or bool(self.passkeys)


def standing(user_id: UUID) -> Standing:
    """Return which factors a developer has; needs no open change."""
    app = TotpFactor.objects.filter(user_id=user_id, confirmed_at__isnull=False).first()
    return Standing(
        authenticator_since=app.confirmed_at if app else None,
        passkeys=list(Passkey.objects.filter(user_id=user_id).order_by("id")),
        codes_left=RecoveryCode.objects.filter(user_id=user_id).count(),
    )


def has_factor(user_id: UUID) -> bool:
    """Say whether a developer has a factor; needs no open change."""
    confirmed = TotpFactor.objects.filter(user_id=user_id, confirmed_at__isnull=False)
    return confirmed.exists() or Passkey.objects.filter(user_id=user_id).exists()


def begin_authenticator(user: User) -> str:
    """Return the secret (base32) of an authenticator app that counts once a code of it is given.

    An earlier one that was never confirmed is forgotten. Raises `AuthenticatorExists`.
    """
    require_change()
    hold(user)
    if TotpFactor.objects.filter(user_id=user.id, confirmed_at__isnull=False).exists():
        raise AuthenticatorExists
    TotpFactor.objects.filter(user_id=user.id).delete()
    secret = base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()
    TotpFactor(user_id=user.id, secret=secret, created_at=wall_clock()).save(force_insert=True)
    return secret


def pending_secret(user: User) -> str | None:
    """Return the secret that waits for its first code, None where there is none or it waited too long."""
    row = TotpFactor.objects.filter(
        user_id=user.id, confirmed_at__isnull=True, created_at__gt=wall_clock() - PENDING
    ).first()
    return row.secret if row else None


def confirm_authenticator(user: User, code: str) -> list[str]:
    """Count an authenticator app from now on; return fresh recovery codes if it is the first factor.

    Raises `FactorNotFound` where none is waiting and `WrongCode`.
    """
    require_change()
    hold(user)
    rows = TotpFactor.objects.filter(user_id=user.id, confirmed_at__isnull=True)
    row = rows.filter(created_at__gt=wall_clock() - PENDING).first()
    if row is None:
        raise FactorNotFound
    step = _step_of(row.secret, code)
    if step is None:
        raise WrongCode
    first = not has_factor(user.id)
    row.confirmed_at, row.last_step = wall_clock(), step
    row.save(update_fields=["confirmed_at", "last_step"])
    record(user, "authenticator_added")
    return make_recovery_codes(user) if first else []


def check_authenticator(user_id: UUID, code: str) -> bool:
    """Take a code of the authenticator app. Each step is taken once, and none before one that was taken."""
    require_change()
    row = TotpFactor.objects.filter(user_id=user_id, confirmed_at__isnull=False).first()
    step = None if row is None else _step_of(row.secret, code)
    if row is None or step is None:
        return False
    return bool(TotpFactor.objects.filter(pk=row.pk, last_step__lt=step).update(last_step=step))


def remove_authenticator(user: User) -> None:
    """Forget the authenticator app; with the last factor the recovery codes go too."""
    require_change()
    hold(user)
    if not TotpFactor.objects.filter(user_id=user.id).delete()[0]:
        raise FactorNotFound
    record(user, "authenticator_removed")
    forget_codes_without_factor(user)


def make_recovery_codes(user: User) -> list[str]:
    """Return ten new recovery codes, shown this once; the ones from before no longer work."""
    require_change()
    RecoveryCode.objects.filter(user_id=user.id).delete()
    codes = ["".join(secrets.choice(ALPHABET) for _ in range(RECOVERY_LETTERS)) for _ in range(RECOVERY_CODES)]
    for code in codes:
        RecoveryCode(user_id=user.id, digest=_code_digest(user.id, code)).save(force_insert=True)
    half = RECOVERY_LETTERS // 2
    return [f"{code[:half]}-{code[half:]}" for code in codes]


def renew_recovery_codes(user: User) -> list[str]:
    """Do that for who has a factor. Raises `FactorNotFound` for who has none: there is nothing to recover."""
    require_change()
    hold(user)
    if not has_factor(user.id):
        raise FactorNotFound
    record(user, "codes_renewed")
    return make_recovery_codes(user)


def spend_recovery_code(user: User, text: str) -> bool:
    """Take a recovery code; of two racers with the same code one is let in."""
    require_change()
    digest = _code_digest(user.id, "".join(c for c in text.lower() if c.isalnum()))
    if not RecoveryCode.objects.filter(user_id=user.id, digest=digest).delete()[0]:
        return False
    record(user, "code_spent")
    return True


def take_code(user: User, text: str) -> str | None:
    """Return which kind of factor a typed code is, `authenticator` or `recovery`, and spend it; None if neither."""
    digits = "".join(text.split())
    if digits.isascii() and digits.isdigit() and len(digits) == TOTP_DIGITS:
        return AUTHENTICATOR if check_authenticator(user.id, digits) else None
    return RECOVERY if spend_recovery_code(user, text) else None


def reset_factors(user: User) -> None:
    """Remove all factors of a developer who lost them and end their sessions: the operator's last resort."""
    require_change()
    for model in (TotpFactor, Passkey, RecoveryCode):
        model.objects.filter(user_id=user.id).delete()
    BrowserSession.objects.filter(user_id=user.id).delete()
    record(user, "factors_reset", platform_scope("operator"))


def record(user: User, kind: str, scope: Scope | None = None) -> None:
    """Put a change of somebody's factors on record, and tell them by mail."""
    audit(scope or own_scope(user), f"factor.{kind}", user.public_id, subject_id=user.id)
    enqueue(mail_security_notice, user_id=str(user.id), kind=kind)


def record_refusal(user: User) -> None:
    """Put a wrong code on record."""
    require_change()
    audit(own_scope(user), "factor.refused", user.public_id, subject_id=user.id)


def own_scope(user: User) -> Scope:
    """Return the scope in which a developer changes what is their own."""
    return platform_scope(user.public_id)


def forget_codes_without_factor(user: User) -> None:
    """Drop the recovery codes where no factor is left that they could stand in for."""
    if not has_factor(user.id):
        RecoveryCode.objects.filter(user_id=user.id).delete()


def hold(user: User) -> None:
    """Let changes of one developer's factors wait for each other."""
    User.objects.select_for_update().get(pk=user.pk)


def _step_of(secret: str, code: str) -> int | None:
    """Return the time step whose code this is, among those that count now."""
    totp = TOTP(base64.b32decode(secret), TOTP_DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303  # RFC 6238's own: every app knows it
    present = int(wall_clock().timestamp()) // STEP_SECONDS
    found = None
    for step in (present + offset for offset in STEPS_AROUND):
        if equal(totp.generate(step * STEP_SECONDS), code.encode()):
            found = step
    return found


def _code_digest(user_id: UUID, code: str) -> bytes:
    return keyed_hash(Keyring(PLATFORM).secret("pepper"), "recovery-code", str(user_id), code)
