"""Which browser pages may read the API's answers: those whose origin the app registers.

A preflight carries no credential. Under /v1/apps/:appId it is judged by that app's origins;
elsewhere it passes if any app registers the origin, and the answer itself may be read only if the
credential's own app does. Nothing here rests on cookies, so credentials are never allowed and `*`
is never said.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING
from uuid import UUID

from corsheaders.middleware import CorsMiddleware
from django.db import DatabaseError
from django.http import HttpResponse
from django.utils.cache import patch_vary_headers

from accounts.app_settings import origin_of
from accounts.lookups import known_app, origin_registered
from stackbe.kernel import http, ids, limits
from stackbe.kernel.errors import RateLimited
from stackbe.kernel.failures import plain_error
from stackbe.kernel.scope import Scope

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

log = logging.getLogger("stackbe.cors")
APP_PATH = re.compile(r"/v1/apps/([^/]+)")
PREFLIGHTS_PER_MINUTE = 300


class AppCors(CorsMiddleware):
    """django-cors-headers, its origins taken from the apps' settings."""

    def is_enabled(self, request: HttpRequest) -> bool:
        """Say whether the path is the API's; pages are never read from elsewhere."""
        return request.path_info.startswith("/v1/")

    def add_response_headers(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Say whether a page may read the answer; a server sends no Origin and is told alone that pages would be.

        The package would take all of a request's headers apart to find none.
        """
        if "HTTP_ORIGIN" in request.META or not self.is_enabled(request):
            return super().add_response_headers(request, response)
        patch_vary_headers(response, ("origin",))
        return response

    def check_preflight(self, request: HttpRequest) -> HttpResponseBase | None:
        """Answer a preflight, or None for any other request."""
        if super().check_preflight(request) is None:
            return None
        caller = http.network_of(http.client_address(request))
        allowance = limits.take(f"preflight:{caller}", PREFLIGHTS_PER_MINUTE)
        if allowance.ok:
            answer = HttpResponse(status=204)
        else:
            answer = plain_error(RateLimited(retry_after_seconds=allowance.retry_after_seconds))
        for name, value in allowance.headers().items():
            answer[name] = value
        return answer

    def check_signal(self, request: HttpRequest) -> bool:
        """Say whether the request's origin may read the answer.

        This is where the package asks for what its lists of settings do not hold.
        """
        origin = request.headers.get("Origin", "")
        if origin_of(origin) is None:
            return False
        try:
            return _may_read(request, origin)
        except DatabaseError as failure:
            log.warning("origin not judged", extra={"failure": type(failure).__name__})
            return False


def _may_read(request: HttpRequest, origin: str) -> bool:
    preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    scope = getattr(request, "auth", None)
    if isinstance(scope, Scope):
        return scope.app_id is not None and _registers(scope.app_id, origin)
    named = APP_PATH.match(request.path_info)
    if named is None:
        return preflight and origin_registered(origin)
    try:
        return _registers(ids.decode("app", named[1]), origin)
    except ids.MalformedId:
        return False


def _registers(app_id: UUID, origin: str) -> bool:
    app = known_app(app_id)
    return app is not None and not app.closed and origin in app.settings.allowed_origins
