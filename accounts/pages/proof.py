"""What a browser's session remembers of who was proven, how, and when.

A session that begins with a link is *half* where the developer has a second factor: it names them, opens
nothing and lives ten minutes. A whole one remembers its latest proof; what cannot be undone wants a fresh one.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib.auth import login
from django.contrib.sessions.backends.base import SessionBase
from django.shortcuts import redirect
from django_ratelimit.core import is_ratelimited

from accounts.errors import PasskeyRefused, WrongCode
from accounts.models import User
from accounts.pages import browser
from accounts.services import developers, passkeys
from accounts.services.devices import note_sign_in
from accounts.services.factors import DeveloperFactors, own_scope
from accounts.services.second_factors import EMAIL, PASSKEY
from stackbe.kernel import http
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import RateLimited
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

PROOF, HALF = "proof", "half"
ADDING, PROVING = "passkey_to_add", "passkey_to_prove"
FRESH = timedelta(minutes=10)
HALF_LIVES = timedelta(minutes=10)
CHALLENGE_LIVES = timedelta(minutes=5)
CODES = ("5/10m", "30/d")


class Entry:
    """What becomes of the browser of somebody whom a link has proven.

    Services call it inside the change that spends the link, so that the session commits with it.
    """

    def __init__(self, request: HttpRequest) -> None:
        """Take the request; the browser gets a secret of its own if it has none."""
        self.request = request
        self.browser = browser.device_secret(request)
        self.is_half = False

    def __call__(self, user: User) -> None:
        """Sign the person in, or half in where a second factor is still to come."""
        if not DeveloperFactors(user).has_factor():
            self.admit(user, EMAIL)
            return
        self.is_half = True
        session = self.request.session
        session.clear()
        session.cycle_key()
        session[HALF] = {"user": str(user.id), "at": _seconds()}
        session.save()

    def admit(self, user: User, by: str) -> None:
        """Sign the person in for good, under a new session key, and remember the browser."""
        request = self.request
        request.session.pop(HALF, None)
        login(request, user)
        stamp(request.session, by)
        request.session.save()
        note_sign_in(
            user,
            browser=self.browser,
            session=request.session,
            user_agent=request.headers.get("User-Agent", ""),
            address=http.client_address(request),
        )

    def onward(self, path: str) -> HttpResponse:
        """Return the way to where the person was going, past the second factor where there is one."""
        if self.is_half:
            self.request.session[HALF] = {**self.request.session[HALF], "next": path}
        response = redirect("login-factor" if self.is_half else path)
        browser.remember_device(response, self.browser)
        return response


def half_signed_in(session: SessionBase) -> tuple[User, str] | None:
    """Return who still has to give a factor and where they were going, None once that took too long."""
    half = session.get(HALF)
    if half is None or _seconds() - half["at"] > HALF_LIVES.total_seconds():
        return None
    user = User.objects.filter(pk=UUID(half["user"]), is_active=True).first()
    return None if user is None else (user, half.get("next", ""))


def stamp(session: SessionBase, by: str) -> None:
    """Remember that the person was proven now, and how."""
    session[PROOF] = {"by": by, "at": _seconds()}


def is_fresh(session: SessionBase, user: User) -> bool:
    """Say whether the latest proof is at most ten minutes old, and of the strongest kind that the person has."""
    proof = session.get(PROOF)
    if proof is None or _seconds() - proof["at"] > FRESH.total_seconds():
        return False
    return proof["by"] != EMAIL or not DeveloperFactors(user).has_factor()


def new_challenge(session: SessionBase, purpose: str) -> bytes:
    """Return what a passkey is to sign; it lies in the session until an answer comes."""
    challenge = passkeys.new_challenge()
    session[purpose] = {"value": base64.b64encode(challenge).decode(), "at": _seconds()}
    return challenge


def taken_challenge(session: SessionBase, purpose: str) -> bytes:
    """Return the challenge and forget it. Raises `PasskeyRefused` where there is none or it is too old."""
    kept = session.pop(purpose, None)
    if kept is None or _seconds() - kept["at"] > CHALLENGE_LIVES.total_seconds():
        raise PasskeyRefused("That took too long. Try again.")
    return base64.b64decode(kept["value"])


def prove(request: HttpRequest, user: User, *, code: str, answer: str, then: Callable[[str], None]) -> None:
    """Check a typed code or a passkey's answer; `then` is called with the kind, in the change that spends it.

    Raises `WrongCode`, `PasskeyRefused`, or `RateLimited` for who has guessed too often.
    """
    factors = DeveloperFactors(user)
    if answer:
        challenge = taken_challenge(request.session, PROVING)
        with change(own_scope(user)):
            if factors.check_passkey(answer=answer, challenge=challenge):
                then(PASSKEY)
                return
            factors.record_refusal()
        raise PasskeyRefused
    refuse_guessing(request, user)
    with change(own_scope(user)):
        by = factors.take_code(code)
        if by is not None:
            then(by)
            return
        factors.record_refusal()
    raise WrongCode


def prove_by_mail(request: HttpRequest, user: User, code: str) -> None:
    """Check a mailed code of somebody without a second factor. Raises `WrongCode` or `RateLimited`."""
    refuse_guessing(request, user)
    if not developers.redeem_proof_code(user, "".join(code.split())):
        raise WrongCode("This code is not right. Type the one from the newest mail, or have another sent.")


def refuse_guessing(request: HttpRequest, user: User) -> None:
    """Count a try, right or wrong. Raises `RateLimited` after five in ten minutes or thirty in a day."""
    name = str(user.id)
    limited = [
        is_ratelimited(request, group=f"factor-{rate}", key=lambda _group, _request: name, rate=rate, increment=True)
        for rate in CODES
    ]
    if any(limited):
        raise RateLimited("Too many codes were tried. Wait ten minutes and try again.", retry_after_seconds=600)


def _seconds() -> int:
    return int(wall_clock().timestamp())
