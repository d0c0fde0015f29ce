"""Error pages: the API's shape under /v1, HTML elsewhere."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from django.http import HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import is_valid_path
from django_ratelimit.exceptions import Ratelimited

from stackbe.kernel import http
from stackbe.kernel.errors import ApiError, BadRequest, Forbidden, InternalError, NotFound, RateLimited
from stackbe.kernel.failures import plain_error

if TYPE_CHECKING:
    from django.http import HttpRequest

log = logging.getLogger("stackbe.pages")
# The forms that django-ratelimit guards with its decorator are counted by the minute.
MINUTE = 60


def _answer(request: HttpRequest, failure: ApiError) -> HttpResponse:
    """Return the failure in the language of whoever asked."""
    if request.path.startswith(("/v1", "/webhooks/")):
        return plain_error(failure)
    context = {"status": failure.status, "message": str(failure), "request_id": http.request_id.get()}
    html = render_to_string(f"errors/{failure.status}.html", context)
    response = HttpResponse(html, status=failure.status)
    if failure.retry_after_seconds is not None:
        response["Retry-After"] = str(failure.retry_after_seconds)
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400."""
    return _answer(request, BadRequest())


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403, or 429 where somebody asks too often: django-ratelimit says of forms, AddressLimit of pages."""
    if isinstance(exception, Ratelimited):
        wait = getattr(exception, "retry_after_seconds", MINUTE)
        return _answer(
            request, RateLimited(f"Too many tries from here. Go on in {wait} seconds.", retry_after_seconds=wait)
        )
    return _answer(request, Forbidden(str(exception) or "You may not see this page."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that came without its token: most often a page left open too long."""
    return _answer(request, Forbidden("This page was open for too long. Go back, reload, try again."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404, or lead to the page where somebody typed its address with a slash too many or too few."""
    meant = _with_other_end(request)
    return _answer(request, NotFound()) if meant is None else HttpResponseRedirect(meant)


def _with_other_end(request: HttpRequest) -> str | None:
    """Return the address of the page whose path ends otherwise; None where there is none, or no page was wanted.

    A path that begins with two slashes would name another host.
    """
    path = request.path_info
    if request.method not in {"GET", "HEAD"} or path.startswith(("/v1", "/webhooks/", "//")) or is_valid_path(path):
        return None
    other = path[:-1] if path.endswith("/") else f"{path}/"
    query = request.META.get("QUERY_STRING", "")
    return (f"{other}?{query}" if query else other) if is_valid_path(other) else None


def crashed(request: HttpRequest) -> HttpResponse:
    """Answer 500, logged with its traceback and without a word of it in the reply."""
    log.error("page crashed", exc_info=sys.exc_info())
    return _answer(request, InternalError())
