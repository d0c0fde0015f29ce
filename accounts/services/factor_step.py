"""The step between the first proof and the session: a factor is given, or added by who has none.

Each function takes the sign-in's token and says in the same change what came of it. A wrong code is committed
as such, so refusals are raised once the change is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from accounts import opaque
from accounts.errors import FactorNotFound, PasskeyRefused, SecondFactorInvalid
from accounts.services import pending_sign_ins
from accounts.services.customer_factors import (
    METHODS,
    CustomerFactors,
    count_try,
    new_challenge_for,
    taken_challenge,
    with_method,
)
from accounts.services.entry import Way, callback
from accounts.services.passkeys import HARDWARE_KEY
from accounts.services.second_factors import AUTHENTICATOR
from accounts.services.sessions import Opened, start_session
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from accounts.customer_factor_models import PendingSignIn
    from accounts.lookups import KnownApp
    from stackbe.kernel.scope import Scope

ACTOR = "second factor"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """What the page of a sign-in that waits has to show."""

    masked_email: str
    has_factor: bool
    has_authenticator: bool
    is_proven: bool
    options: dict[str, Any] | None


def look(app: KnownApp, token: str) -> Step:
    """Return what is wanted of whoever holds a sign-in's token, with a fresh challenge for their passkeys.

    Raises why it waits for nothing any more.
    """
    with change(app.system_scope(ACTOR)) as unit:
        pending = pending_sign_ins.waiting(unit.scope, token).locked().first()
        if pending is None:
            raise pending_sign_ins.why_not(unit.scope, token)
        factors = _factors(unit.scope, app, pending)
        held = factors.standing()
        options = factors.proof_options(new_challenge_for(pending)) if held.passkeys else None
        return Step(
            masked_email=opaque.masked(pending.customer.email),
            has_factor=held.has_factor,
            has_authenticator=held.authenticator_since is not None,
            is_proven=bool(pending.proven_by),
            options=options,
        )


def open_session(app: KnownApp, token: str, *, code: str, user_agent: str, country: str) -> tuple[Opened, str]:
    """Complete a sign-in with a typed code, for an app that asks for it on a page of its own.

    Returns the session and the URL that the sign-in began with. Raises `SecondFactorInvalid`, `RateLimited`, why the
    token names nothing that waits, or `SecondFactorRequired` for who has no factor to give.
    """

    def complete(scope: Scope, pending: PendingSignIn, amr: str) -> tuple[Opened, str]:
        opened = start_session(
            scope,
            pending.customer,
            organization_id=pending.organization_id,
            user_agent=user_agent,
            country=country,
            amr=amr,
        )
        return opened, pending.redirect_url

    return _given(app, token, code=code, answer="", then=complete)


def go_on(app: KnownApp, token: str, *, code: str, answer: str) -> str:
    """Complete a sign-in with a typed code or a passkey's answer, and return the app's callback with its code."""
    return _given(
        app, token, code=code, answer=answer, then=lambda scope, pending, amr: _callback(scope, app, pending, amr)
    )


def begin_authenticator(app: KnownApp, token: str) -> tuple[str, str]:
    """Return the secret and the otpauth URI of an app that somebody without any factor adds on the way in."""
    with change(app.system_scope(ACTOR)) as unit:
        factors, _ = _without_factor(unit.scope, app, token)
        secret = factors.begin_authenticator()
        return secret, factors.otpauth_uri(secret)


def pending_authenticator(app: KnownApp, token: str) -> tuple[str, str] | None:
    """Return the same of the app that waits for its first code, None where none does."""
    with reading(app.system_scope(ACTOR)) as unit:
        pending = pending_sign_ins.waiting(unit.scope, token).first()
        factors = None if pending is None else _factors(unit.scope, app, pending)
        secret = None if factors is None else factors.pending_secret()
        return None if factors is None or secret is None else (secret, factors.otpauth_uri(secret))


def confirm_authenticator(app: KnownApp, token: str, code: str) -> list[str]:
    """Count that app from now on, and as given; return the recovery codes to show. Raises `WrongCode`."""
    count_try(app.system_scope(ACTOR), _customer_of(app, token))
    with change(app.system_scope(ACTOR)) as unit:
        factors, pending = _without_factor(unit.scope, app, token)
        codes = factors.confirm_authenticator(code)
        pending.proven_by = METHODS[AUTHENTICATOR]
        pending.save(update_fields=["proven_by"])
        return codes


def passkey_to_add(app: KnownApp, token: str) -> dict[str, Any]:
    """Return what the browser's `credentials.create` takes of somebody without any factor."""
    with change(app.system_scope(ACTOR)) as unit:
        factors, pending = _without_factor(unit.scope, app, token)
        return factors.registration_options(new_challenge_for(pending))


def add_passkey(app: KnownApp, token: str, *, name: str, answer: str) -> list[str]:
    """Keep the new passkey, and count it as given; return the recovery codes to show. Raises `PasskeyRefused`."""
    refused: PasskeyRefused | None = None
    codes: list[str] = []
    with change(app.system_scope(ACTOR)) as unit:
        factors, pending = _without_factor(unit.scope, app, token)
        challenge = taken_challenge(pending)
        try:
            if challenge is None:
                raise PasskeyRefused("That took too long. Try again.")
            codes = factors.add_passkey(name=name, answer=answer, challenge=challenge)
            pending.proven_by = HARDWARE_KEY
            pending.save(update_fields=["proven_by"])
        except PasskeyRefused as failure:
            refused = failure
    if refused is not None:
        raise refused
    return codes


def finish(app: KnownApp, token: str) -> str:
    """Complete a sign-in whose factor was added on the way, and return the app's callback with its code."""
    with change(app.system_scope(ACTOR)) as unit:
        pending = pending_sign_ins.waiting(unit.scope, token).locked().first()
        if pending is None:
            raise pending_sign_ins.why_not(unit.scope, token)
        if not pending.proven_by:
            raise FactorNotFound("Add a factor first.")
        pending_sign_ins.spend(pending)
        return _callback(unit.scope, app, pending, with_method(pending.came_by, pending.proven_by))


def _given(app: KnownApp, token: str, *, code: str, answer: str, then: Callable[[Scope, PendingSignIn, str], T]) -> T:
    """Take a proof and complete the sign-in by `then`, in one change. Of racers with one token one gets there."""
    scope = app.system_scope(ACTOR)
    if not answer:
        count_try(scope, _customer_of(app, token))
    with change(scope):
        pending = pending_sign_ins.waiting(scope, token).locked().first()
        if pending is None:
            raise pending_sign_ins.why_not(scope, token)
        factors = _factors(scope, app, pending)
        if not factors.has_factor():
            raise pending_sign_ins.without_factor(app, token, pending)
        method = factors.prove(pending, code=code, answer=answer)
        if method is not None:
            pending_sign_ins.spend(pending)
            return then(scope, pending, with_method(pending.came_by, method))
    raise PasskeyRefused if answer else SecondFactorInvalid


def _without_factor(scope: Scope, app: KnownApp, token: str) -> tuple[CustomerFactors, PendingSignIn]:
    """Return the sign-in and its factors where there is none yet: nobody adds to factors with the mail alone."""
    pending = pending_sign_ins.waiting(scope, token).locked().first()
    if pending is None:
        raise pending_sign_ins.why_not(scope, token)
    factors = _factors(scope, app, pending)
    factors.hold()
    if factors.has_factor():
        raise FactorNotFound("You have a second factor already. Give it to sign in, and add another afterwards.")
    return factors, pending


def _customer_of(app: KnownApp, token: str) -> UUID:
    with reading(app.system_scope(ACTOR)) as unit:
        pending = pending_sign_ins.waiting(unit.scope, token).first()
        if pending is None:
            raise pending_sign_ins.why_not(unit.scope, token)
        return pending.subject_id


def _factors(scope: Scope, app: KnownApp, pending: PendingSignIn) -> CustomerFactors:
    return CustomerFactors(scope, pending.customer, app)


def _callback(scope: Scope, app: KnownApp, pending: PendingSignIn, amr: str) -> str:
    way: Way = {"redirect_url": pending.redirect_url or None, "organization_id": pending.organization_id}
    return callback(scope, app, pending.customer, **way, amr=amr)
