"""What ties a sign-in to one browser, and the headers of the pages that handle tokens."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.conf import settings

from stackbe.kernel.senders import sends_too_often

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest, HttpResponse

VISIT_SECONDS = 30 * 60
ASKED, NAMED, DEVICE = "stackbe_asked", "stackbe_named", "stackbe_device"
SALT = "stackbe.sign-in"
DAY_SECONDS = 24 * 3600
DEVICE_DAYS = 400  # the longest that browsers keep a cookie
DEVICE_LENGTH = 43  # 32 random bytes in base64url
LINK_SECONDS = 15 * 60
PER_ADDRESS = "5/15m"

Page = Callable[..., "HttpResponse"]


def discreet(page: Page) -> Page:
    """Keep a page that may hold a token out of caches and out of Referer headers."""

    @wraps(page)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = page(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        response["Referrer-Policy"] = "no-referrer"
        return response

    return inner


def browser_secret(request: HttpRequest) -> str | None:
    """Return the secret that this browser was given when it asked for a link."""
    return request.COOKIES.get(_spelt(ASKED)) or None


def remember_browser(response: HttpResponse, secret: str) -> None:
    """Give the browser that asked a secret of its own, kept apart from any session."""
    response.set_cookie(_spelt(ASKED), secret, max_age=DAY_SECONDS, **_flags())


def new_browser_secret(request: HttpRequest) -> str:
    """Return the browser's secret, a fresh one for a browser without."""
    return browser_secret(request) or secrets.token_urlsafe(32)


def device_secret(request: HttpRequest) -> str:
    """Return by what this browser is known to who signs in with it, a fresh secret for a new one."""
    known = request.COOKIES.get(_spelt(DEVICE), "")
    return known if len(known) == DEVICE_LENGTH else secrets.token_urlsafe(32)


def remember_device(response: HttpResponse, secret: str) -> None:
    """Let the browser be known again when somebody next signs in with it."""
    response.set_cookie(_spelt(DEVICE), secret, max_age=DEVICE_DAYS * DAY_SECONDS, **_flags())


def remember_named(response: HttpResponse, link_id: UUID) -> None:
    """Note that this browser was shown whose account a link opens."""
    response.set_signed_cookie(_spelt(NAMED), str(link_id), salt=SALT, max_age=LINK_SECONDS, **_flags())


def was_named(request: HttpRequest, link_id: UUID) -> bool:
    """Say whether this browser was shown whose account the link opens: no silent sign-in as another."""
    named = request.get_signed_cookie(_spelt(NAMED), default="", salt=SALT, max_age=LINK_SECONDS)
    return bool(named == str(link_id))


def visit_token(request: HttpRequest, kind: str) -> str:
    """Return the token of the visit that this browser is on, empty where it is on none of that kind."""
    return request.COOKIES.get(_spelt(f"stackbe_{kind}"), "")


def remember_visit(response: HttpResponse, kind: str, token: str) -> None:
    """Keep the token of a visit out of the address, where no script reads it."""
    response.set_cookie(_spelt(f"stackbe_{kind}"), token, max_age=VISIT_SECONDS, **_flags())


def forget_visit(response: HttpResponse, kind: str) -> None:
    """Forget a visit that is over."""
    response.set_cookie(_spelt(f"stackbe_{kind}"), "", max_age=0, **_flags())


def asks_too_often(request: HttpRequest, email: str) -> bool:
    """Count a request for mail; whoever asks too often is not told so."""
    allowed = settings.SIGN_IN_MAIL_PER_CALLER
    return sends_too_often(request, "sign-in", email, per_caller=allowed, per_address=PER_ADDRESS)


def _spelt(name: str) -> str:
    return f"__Host-{name}" if settings.REQUIRE_HTTPS else name


def _flags() -> dict[str, Any]:
    return {"httponly": True, "secure": settings.REQUIRE_HTTPS, "samesite": "Lax", "path": "/"}
