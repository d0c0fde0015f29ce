"""Developers' second factors. The rules are everybody's (second_factors.py); the rows lie under the platform's key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.developer_models import Passkey, RecoveryCode, TotpFactor
from accounts.member_mail import mail_security_notice
from accounts.models import User
from accounts.services.second_factors import SecondFactors
from stackbe.kernel.audit import audit
from stackbe.kernel.crypto import Keyring
from stackbe.kernel.jobs import enqueue
from stackbe.kernel.models import BrowserSession
from stackbe.kernel.scope import PLATFORM, Scope, platform_scope
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from django.db.models import QuerySet


class DeveloperFactors(SecondFactors):
    """The factors of one developer. What they have may be read with no change open."""

    def __init__(self, user: User, scope: Scope | None = None) -> None:
        """Take whose, and who changes them if it is not the developer."""
        super().__init__(user.id)
        self.user = user
        self.scope = scope or own_scope(user)

    def apps(self) -> QuerySet[TotpFactor]:
        """Return the rows of their authenticator apps."""
        return TotpFactor.objects.filter(user_id=self.person_id)

    def passkeys(self) -> QuerySet[Passkey]:
        """Return the rows of their passkeys."""
        return Passkey.objects.filter(user_id=self.person_id)

    def recovery_codes(self) -> QuerySet[RecoveryCode]:
        """Return the rows of their recovery codes."""
        return RecoveryCode.objects.filter(user_id=self.person_id)

    def owner(self) -> dict[str, Any]:
        """Return the columns that make a new row theirs."""
        return {"user_id": self.person_id}

    def hold(self) -> None:
        """Let changes of one developer's factors wait for each other."""
        User.objects.select_for_update().get(pk=self.person_id)

    def record(self, kind: str) -> None:
        """Put a change on record, and tell the developer by mail."""
        audit(self.scope, f"factor.{kind}", self.user.public_id, subject_id=self.person_id)
        enqueue(mail_security_notice, user_id=str(self.person_id), kind=kind)

    def record_refusal(self) -> None:
        """Put a wrong code on record."""
        require_change()
        audit(self.scope, "factor.refused", self.user.public_id, subject_id=self.person_id)

    def peppers(self) -> list[bytes]:
        """Return the platform's."""
        return Keyring(PLATFORM).secrets("pepper")

    def address(self) -> str:
        """Return the developer's address."""
        return str(self.user.email)


def reset_factors(user: User) -> None:
    """Remove all factors of a developer who lost them and end their sessions: the operator's last resort."""
    require_change()
    factors = DeveloperFactors(user, platform_scope("operator"))
    factors.forget_all()
    BrowserSession.objects.filter(user_id=user.id).delete()
    factors.record("factors_reset")


def own_scope(user: User) -> Scope:
    """Return the scope in which a developer changes what is their own."""
    return platform_scope(user.public_id)
