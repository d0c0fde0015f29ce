"""Around every request: its id, its address, its canonical host, one log line."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from csp.middleware import CSPMiddleware
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpResponseNotFound, HttpResponsePermanentRedirect
from django.middleware.csrf import CsrfViewMiddleware
from django_htmx.middleware import HtmxMiddleware

from stackbe.kernel import http, logs, tally
from stackbe.kernel.errors import Forbidden
from stackbe.kernel.failures import plain_error
from stackbe.kernel.visitors import is_api

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

log = logging.getLogger("stackbe.request")
NO_COMPARISON = frozenset({"/healthz", "/readyz"})
HTTPS_ONLY = "This is served over https only. Use the address that begins with https://."
IN_CLEAR = f"{HTTPS_ONLY} Your credential went over the network in the clear: revoke it."


class RequestContext:
    """Gives each request an id that is in its reply, its log lines and its audit rows."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Take the next in line."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Run the request under its id and say how it went."""
        started = time.perf_counter()
        identifier = http.chosen_request_id(request)
        tokens = (
            http.request_id.set(identifier),
            http.address.set(http.client_address(request)),
        )
        try:
            response = self.get_response(request)
        finally:
            elapsed_ms = round((time.perf_counter() - started) * 1000, 1)
        response["X-Request-Id"] = identifier
        if response.status_code >= 500:  # noqa: PLR2004  # our own fault, whatever it was
            tally.count(tally.SERVER_ERROR)
        if settings.LOG_REQUESTS:
            match = request.resolver_match
            logs.request_line(request.method or "", match.route if match else "", response.status_code, elapsed_ms)
        http.request_id.reset(tokens[0])
        http.address.reset(tokens[1])
        return response


class NothingInClear:
    """Refuses over plain http what must not be led to https: calls of the API, other services, any credential.

    A redirect would have the credential sent once more, and its sender never learn that it was overheard.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Take the next in line."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Refuse a request, or pass it on: pages are redirected by Django's own middleware."""
        if not settings.REQUIRE_HTTPS or request.is_secure() or request.path in NO_COMPARISON:
            return self.get_response(request)
        credential = "Authorization" in request.headers
        if credential:
            log.warning("credential sent over plain http; revoke it")
        if credential or is_api(request.path) or request.path.startswith("/webhooks/"):
            return plain_error(Forbidden(IN_CLEAR if credential else HTTPS_ONLY))
        return self.get_response(request)


class CanonicalHost:
    """Sends pages asked for under another spelling of the host (127.0.0.1) to the one of BASE_URL.

    Cookies, registered callbacks and origins hang on the host's spelling. API calls are served under
    any allowed host, but never redirected: a redirect would repeat the credential.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Take the next in line."""
        self.get_response = get_response
        self.canonical = urlsplit(settings.BASE_URL).netloc
        self.console = urlsplit(settings.CONSOLE_URL).netloc

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Redirect a page, or pass on."""
        if is_api(request.path):
            return self.get_response(request)
        wanted, base = self.canonical, settings.BASE_URL
        if in_console(request):
            wanted, base = self.console, settings.CONSOLE_URL
        host = request.get_host()
        elsewhere = host != wanted and request.path not in NO_COMPARISON
        if elsewhere and request.method in {"GET", "HEAD"}:
            return HttpResponsePermanentRedirect(f"{base}{request.get_full_path()}")
        if elsewhere and self.console != self.canonical and self.console in {host, wanted}:
            return HttpResponseNotFound("Not here.")  # neither the console's forms elsewhere nor others' at the console
        return self.get_response(request)


def in_console(request: HttpRequest) -> bool:
    """Say whether a page is the staff console's, which has a session of its own."""
    return request.path.startswith(f"/{settings.CONSOLE_PATH}/")


def is_page(request: HttpRequest) -> bool:
    """Say whether a browser asks; under /v1 nothing reads a cookie, so there is no CSRF to guard."""
    return not (is_api(request.path) or request.path.startswith("/webhooks/stripe/"))


class _PagesOnly:
    """Spares the API what only pages need."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_page(request):
            answer: HttpResponse = self.get_response(request)
            return answer
        response: HttpResponse = super().__call__(request)  # type: ignore[misc]  # the next in the class order has it
        return response

    def process_view(self, request: HttpRequest, *args: Any) -> Any:
        """Pass the hook on for pages."""
        inner: Any = getattr(super(), "process_view", None)
        return inner(request, *args) if inner is not None and is_page(request) else None


class Sessions(_PagesOnly, SessionMiddleware):
    """Django's, for pages. The staff console's session goes by a cookie of its own, which no other page is sent."""

    def process_request(self, request: HttpRequest) -> None:
        """Open the session that belongs to the page."""
        if in_console(request):
            cookies = {name: value for name, value in request.COOKIES.items() if name != settings.SESSION_COOKIE_NAME}
            if settings.CONSOLE_COOKIE_NAME in cookies:
                cookies[settings.SESSION_COOKIE_NAME] = cookies[settings.CONSOLE_COOKIE_NAME]
            request.COOKIES = cookies
        super().process_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Save it, and send the cookie under the name and the path that are the page's."""
        response = super().process_response(request, response)
        if in_console(request) and (sent := response.cookies.pop(settings.SESSION_COOKIE_NAME, None)) is not None:
            response.cookies[settings.CONSOLE_COOKIE_NAME] = sent.value
            response.cookies[settings.CONSOLE_COOKIE_NAME].update({**sent, "path": f"/{settings.CONSOLE_PATH}/"})
        return response


class Csrf(_PagesOnly, CsrfViewMiddleware):
    """Django's, for pages."""


class Authentication(_PagesOnly, AuthenticationMiddleware):
    """Django's, for pages."""


class Messages(_PagesOnly, MessageMiddleware):
    """Django's, for pages."""


class Htmx(_PagesOnly, HtmxMiddleware):
    """django-htmx's, for pages."""


class ContentPolicy(_PagesOnly, CSPMiddleware):
    """django-csp's, for pages; an API answer is no document."""
