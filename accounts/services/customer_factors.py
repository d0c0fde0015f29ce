"""Customers' second factors. The rules are everybody's (second_factors.py); the rows are the app's, under the
customer's own key, and mails speak in the app's name.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from accounts.app_settings import OFF, REQUIRED
from accounts.customer_factor_models import (
    CustomerPasskey,
    CustomerRecoveryCode,
    CustomerTotp,
    PendingSignIn,
    SecurityVisit,
)
from accounts.factor_mail import ask_for_notice
from accounts.models import Customer
from accounts.services.passkeys import new_challenge
from accounts.services.second_factors import AUTHENTICATOR, RECOVERY, SecondFactors
from stackbe.kernel import limits
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import RateLimited
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import current, require_change

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.customer_factor_models import Visit
    from accounts.lookups import KnownApp
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

CHALLENGE_LIVES = timedelta(minutes=5)
TRIES_IN_TEN_MINUTES, TRIES_A_DAY = 5, 30
# How sessions say by what they were proven (RFC 8176). Mail, providers and recovery codes have no word there.
BY_MAIL, BY_PROVIDER, SEVERAL = "email", "fed", "mfa"
METHODS = {AUTHENTICATOR: "otp", RECOVERY: "recovery"}


class CustomerFactors(SecondFactors):
    """The factors of one customer. Needs an open change or reading of their app."""

    def __init__(self, scope: Scope, customer: Customer, app: KnownApp | None = None) -> None:
        """Take whose; the app is needed where an authenticator is to show its name."""
        super().__init__(customer.id)
        self.scope, self.customer, self.app = scope, customer, app

    def apps(self) -> ScopedQuerySet[CustomerTotp]:
        """Return the rows of their authenticator apps."""
        return CustomerTotp.objects.within(self.scope).filter(customer_id=self.person_id)

    def passkeys(self) -> ScopedQuerySet[CustomerPasskey]:
        """Return the rows of their passkeys."""
        return CustomerPasskey.objects.within(self.scope).filter(customer_id=self.person_id)

    def recovery_codes(self) -> ScopedQuerySet[CustomerRecoveryCode]:
        """Return the rows of their recovery codes."""
        return CustomerRecoveryCode.objects.within(self.scope).filter(customer_id=self.person_id)

    def owner(self) -> dict[str, Any]:
        """Return the columns that make a new row theirs."""
        return {**owned_by(self.scope), "customer_id": self.person_id}

    def hold(self) -> None:
        """Let changes of one customer's factors wait for each other."""
        Customer.objects.within(self.scope).locked().get(pk=self.person_id)

    def record(self, kind: str) -> None:
        """Put a change on record, and tell the customer by mail."""
        audit(self.scope, f"factor.{kind}", self.customer.public_id, subject_id=self.person_id)
        ask_for_notice(self.scope, self.customer, kind)

    def record_refusal(self) -> None:
        """Put a wrong code on record."""
        require_change()
        audit(self.scope, "factor.refused", self.customer.public_id, subject_id=self.person_id)

    def peppers(self) -> list[bytes]:
        """Return the tenant's."""
        return current().keys.secrets("pepper")

    def address(self) -> str:
        """Return the customer's address."""
        return str(self.customer.email)

    def issuer(self) -> str:
        """Return the app's name, as its mails and pages say it."""
        return self.site_name if self.app is None else self.app.settings.email_from_name or self.app.name

    def methods(self) -> list[str]:
        """Return what can be given now, as the API calls it: totp, passkey, recovery."""
        held = self.standing()
        found = {
            "totp": held.authenticator_since is not None,
            "passkey": bool(held.passkeys),
            "recovery": bool(held.codes_left) and held.has_factor,
        }
        return [name for name, can in found.items() if can]

    def prove(self, visit: Visit, *, code: str, answer: str) -> str | None:
        """Take a typed code or a passkey's answer; return the method in RFC 8176's words, None for a wrong one.

        A wrong one is put on record, so the change has to be committed all the same. Tries at codes are
        counted by `count_try`, before the change.
        """
        if answer:
            challenge = taken_challenge(visit)
            method = None if challenge is None else self.check_passkey(answer=answer, challenge=challenge)
        else:
            kind = self.take_code(code)
            method = None if kind is None else METHODS[kind]
        if method is None:
            self.record_refusal()
        return method


def is_due(scope: Scope, app: KnownApp, customer: Customer) -> bool:
    """Say whether signing in takes more than the first proof: the app wants factors, and this customer has to."""
    wanted = app.settings.second_factors
    return wanted == REQUIRED or (wanted != OFF and CustomerFactors(scope, customer).has_factor())


def count_try(scope: Scope, customer_id: UUID) -> None:
    """Count a try at a code, right or wrong, with no change open. Raises `RateLimited` after five in ten minutes
    or thirty in a day, whichever network they come from.
    """
    counted = (
        limits.take(f"factor:{scope.app}:{customer_id}", TRIES_IN_TEN_MINUTES, limits.TEN_MINUTES),
        limits.take(f"factor-day:{scope.app}:{customer_id}", TRIES_A_DAY, limits.DAY),
    )
    waits = [allowance.retry_after_seconds for allowance in counted if not allowance.ok]
    if waits:
        minutes = -(-max(waits) // 60)
        sentence = f"Too many codes were tried. Wait {minutes} minutes and try again."
        raise RateLimited(sentence, retry_after_seconds=max(waits))


def new_challenge_for(visit: Visit) -> bytes:
    """Return what a passkey is to sign at this visit; it replaces the one before."""
    require_change()
    visit.challenge, visit.challenge_at = new_challenge(), wall_clock()
    visit.save(update_fields=["challenge", "challenge_at"])
    return bytes(visit.challenge)


def taken_challenge(visit: Visit) -> bytes | None:
    """Return the challenge of a locked visit and forget it, so that it is answered once; None if it is too old."""
    require_change()
    challenge, made_at = visit.challenge, visit.challenge_at
    visit.challenge = visit.challenge_at = None
    visit.save(update_fields=["challenge", "challenge_at"])
    if challenge is None or made_at is None or wall_clock() - made_at > CHALLENGE_LIVES:
        return None
    return bytes(challenge)


def reset_factors(scope: Scope, customer: Customer) -> int:
    """Remove all factors of a customer who lost them, for the app; return how many rows went.

    Sign-ins on their way and open visits to the page of factors end with it. Without any factor it does nothing.
    """
    require_change()
    factors = CustomerFactors(scope, customer)
    factors.hold()
    removed = factors.forget_all()
    end_visits(scope, customer.id)
    if removed:
        factors.record("factors_reset")
    return removed


def end_visits(scope: Scope, customer_id: UUID) -> int:
    """End a customer's sign-ins that wait for a factor, and their visits to the page of factors."""
    require_change()
    rows = (model.objects.within(scope).filter(customer_id=customer_id) for model in (PendingSignIn, SecurityVisit))
    return sum(found.delete()[0] for found in rows)


def with_method(amr: str, method: str) -> str:
    """Return how somebody was proven once a factor is added to it; nothing is said twice."""
    return " ".join(dict.fromkeys([*amr.split(), method, SEVERAL]))
