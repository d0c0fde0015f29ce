"""The way into the console: who asks is sent to sign in as everybody does, proves a second factor, and comes back
with a pass.

The console's session has a cookie, and where the operator wants it a host, of its own; passkeys answer to the site's
own host alone. So the factor is given there (`enter`) and the console takes a pass (`arrive`): signed, good for a
minute, once, and only in the browser that the console sent away.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from csp.decorators import csp_update
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.views import redirect_to_login
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods
from django_ratelimit.decorators import ratelimit

from accounts.models import User
from accounts.pages import browser, proof
from accounts.pages.developers import PAGE_METHODS, TRIES
from accounts.services.factors import DeveloperFactors
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import equal
from stackbe.kernel.errors import ApiError
from stackbe.kernel.ids import new_id
from stackbe.kernel.transactions import change
from stackbe.staff.services import spend_pass, staff_scope

if TYPE_CHECKING:
    from django.contrib.sessions.backends.base import SessionBase
    from django.http import HttpRequest, HttpResponse

SALT = "stackbe.console"
PASS_SECONDS = 60
ASKED = "stackbe_console_asked"
ASKED_LIVES = timedelta(minutes=20)
STATE = re.compile(r"[0-9a-f]{32}")
BEGAN, SEEN = "console_began", "console_seen"
SEEN_EVERY = timedelta(minutes=1)
# In the ordinary session: where somebody who is still to add a factor was going.
WAITING = "console_waits"


@dataclass(frozen=True, slots=True)
class Pass:
    """Who was let through, when and how they proved a factor, and where in the console they were going."""

    id: UUID
    user: User
    by: str
    proven_at: int
    next_path: str


def send_to_sign_in(request: HttpRequest, next_path: str) -> HttpResponse:
    """Send the browser to give its proofs, remembering that it is this one that asked."""
    secret = request.COOKIES.get(ASKED) or secrets.token_urlsafe(32)
    query = urlencode({"state": state_of(secret), "next": inside(next_path)})
    response = redirect(f"{settings.BASE_URL}{reverse('staff-entry')}?{query}")
    response.set_cookie(
        ASKED,
        secret,
        max_age=ASKED_LIVES,
        path=console_root(),
        secure=settings.REQUIRE_HTTPS,
        httponly=True,
        samesite="Lax",
    )
    return response


@browser.discreet
@require_http_methods(PAGE_METHODS)
@ratelimit(group="staff-entry", **TRIES)
@csp_update({"form-action": [settings.CONSOLE_URL]})
def enter(request: HttpRequest) -> HttpResponse:
    """Take a second factor of a member of staff, have them add one if they have none, and let them through."""
    state, next_path = request.GET.get("state", ""), inside(request.GET.get("next", ""))
    user = request.user
    if not isinstance(user, User):
        return redirect_to_login(request.get_full_path(), settings.LOGIN_URL)
    if not user.is_staff:
        raise PermissionDenied("The staff console is for staff.")
    if not STATE.fullmatch(state):
        return redirect(f"{settings.CONSOLE_URL}{next_path}")
    factors = DeveloperFactors(user)
    standing = factors.standing()
    if not standing.has_factor:
        request.session[WAITING] = f"{settings.CONSOLE_URL}{next_path}"
        return render(request, "auth/staff_factor.html")
    error = ""
    if request.method == "POST":
        code, answer = request.POST.get("code", ""), request.POST.get("answer", "")
        try:
            proof.prove(request, user, code=code, answer=answer, then=lambda by: proof.stamp(request.session, by))
        except ApiError as refused:
            error = str(refused)
    if not error and proof.is_fresh(request.session, user):
        request.session.pop(WAITING, None)
        return _onward(request, user, state, next_path)
    challenge = proof.new_challenge(request.session, proof.PROVING) if standing.passkeys else None
    context = {
        "error": error,
        "for_console": True,
        "has_authenticator": standing.authenticator_since is not None,
        "options": factors.proof_options(challenge) if challenge else None,
    }
    return render(request, "auth/second_factor.html", context, status=400 if error else 200)


@browser.discreet
@ratelimit(group="staff-arrive", key="ip", rate="60/m")
def arrive(request: HttpRequest) -> HttpResponse:
    """Begin the console's session with a pass; the session commits with the record of it."""
    shown, secret = request.GET.get("pass", ""), request.COOKIES.get(ASKED, "")
    found = read_pass(shown, secret)
    if request.method != "GET" or found is None:
        raise PermissionDenied("This way into the console was used already, or took too long. Open the console again.")
    with change(staff_scope(found.user)) as unit:
        if not spend_pass(found.id, timedelta(seconds=PASS_SECONDS)):
            raise PermissionDenied("This way into the console was used already. Open the console again.")
        login(request, found.user)
        begin(request.session, by=found.by, proven_at=found.proven_at)
        request.session.save()
        audit(unit.scope, "staff.entered", found.user.public_id, detail={"role": found.user.staff_role, "by": found.by})
    response = redirect(found.next_path)
    response.delete_cookie(ASKED, path=console_root(), samesite="Lax")
    return response


def _onward(request: HttpRequest, user: User, state: str, next_path: str) -> HttpResponse:
    """Return the way to the console. To another host it goes by a page: no form may lead a browser there."""
    kept = request.session[proof.PROOF]
    words = {"u": str(user.id), "s": state, "b": kept["by"], "a": kept["at"], "n": next_path}
    words |= {"i": str(new_id()), "e": _seconds() + PASS_SECONDS}
    url = f"{settings.CONSOLE_URL}{reverse('console:arrive')}?{urlencode({'pass': signing.dumps(words, salt=SALT)})}"
    if settings.CONSOLE_URL == settings.BASE_URL:
        return redirect(url)
    return render(request, "auth/staff_onward.html", {"url": url})


def read_pass(text: str, secret: str) -> Pass | None:
    """Return what a pass says, None for one that is forged, late, another browser's, or of somebody who left."""
    try:
        words: dict[str, Any] = signing.loads(text, salt=SALT)
    except signing.BadSignature:
        return None
    if words["e"] < _seconds() or not secret or not equal(words["s"].encode(), state_of(secret).encode()):
        return None
    user = User.objects.filter(pk=UUID(words["u"]), is_active=True).first()
    if user is None or not user.is_staff:
        return None
    return Pass(UUID(words["i"]), user, words["b"], words["a"], inside(words["n"]))


def begin(session: SessionBase, *, by: str, proven_at: int) -> None:
    """Let a console session count from now on."""
    session[BEGAN] = session[SEEN] = _seconds()
    session[proof.PROOF] = {"by": by, "at": proven_at}
    session.set_expiry(settings.CONSOLE_IDLE_MINUTES * 60)


def is_live(session: SessionBase) -> bool:
    """Say whether a console session was begun with a factor, was used lately, and is not too old altogether."""
    began, seen, moment = session.get(BEGAN), session.get(SEEN), _seconds()
    if began is None or seen is None:
        return False
    idle, hours = settings.CONSOLE_IDLE_MINUTES * 60, settings.CONSOLE_HOURS * 3600
    return bool(moment - seen <= idle and moment - began <= hours)


def touch(session: SessionBase) -> None:
    """Note that a console session is in use, at most once a minute."""
    if _seconds() - session[SEEN] >= SEEN_EVERY.total_seconds():
        session[SEEN] = _seconds()
        session.set_expiry(settings.CONSOLE_IDLE_MINUTES * 60)


def is_fresh(session: SessionBase) -> bool:
    """Say whether the factor was given within the last ten minutes."""
    proven: dict[str, Any] = session.get(proof.PROOF) or {"at": 0}
    return bool(_seconds() - int(proven["at"]) <= proof.FRESH.total_seconds())


def state_of(secret: str) -> str:
    """Return what a browser's secret is known by in the open."""
    return hashlib.sha256(f"{SALT}:{secret}".encode()).hexdigest()[:32]


def console_root() -> str:
    """Return the console's own path."""
    return f"/{settings.CONSOLE_PATH}/"


def inside(path: str) -> str:
    """Return a path of the console, its first page for anything else."""
    local = path.startswith(console_root()) and url_has_allowed_host_and_scheme(path, allowed_hosts=None)
    return path if local and path.isprintable() else console_root()


def _seconds() -> int:
    return int(wall_clock().timestamp())
