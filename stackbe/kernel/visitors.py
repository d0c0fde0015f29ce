"""How often one network address may ask for what wants no credential: pages, files, the inboxes of other services.

The API counts its own calls (stackbe/kernel/api.py). Here is the rest, so that no URL is without a limit:

- a page is counted by its route, where all processes see it;
- what arrives at /webhooks/ is counted where it is refused: whoever proves to be Stripe or the mail service may
  have much to tell, and whoever does not is cut off;
- files and the addresses that machines watch cost no query and must not start to, nor fail with the database:
  each process counts them in its own memory, as it counts everything while the database is away.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import DatabaseError
from django.urls import Resolver404, resolve
from django_ratelimit.exceptions import Ratelimited

from stackbe.kernel import http, limits
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import RateLimited
from stackbe.kernel.failures import plain_error
from stackbe.kernel.routes import Limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

log = logging.getLogger("stackbe.request")
WATCHED = frozenset({"/healthz", "/readyz"})
REFUSED, TOO_MANY, FAILED = 400, 429, 500
MOST_ADDRESSES = 20_000


class TooOften(Ratelimited):  # type: ignore[misc]  # untyped there
    """Somebody asks for a page too often; says when they may again."""

    def __init__(self, allowance: limits.Allowance) -> None:
        """Take what their bucket answered."""
        super().__init__()
        self.allowance = allowance
        self.retry_after_seconds = allowance.retry_after_seconds


class OwnLimits:
    """The limiter of `limits.take` in the memory of one process, for so many buckets; the longest idle goes first."""

    def __init__(self, most: int = MOST_ADDRESSES) -> None:
        """Start with nothing counted."""
        self.most = most
        self._buckets: OrderedDict[str, dict[int, int]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, bucket: str, limit: int, window_seconds: int = limits.MINUTE) -> limits.Allowance:
        """Count one call against a bucket, unless that would exceed its limit: no window ever passes more."""
        length = window_seconds / limits.SUBWINDOWS
        here = math.floor(wall_clock().timestamp() / length)
        with self._lock:
            known = self._buckets.get(bucket, {})
            counts = {slot: n for slot, n in known.items() if slot >= here - limits.SUBWINDOWS}
            used = sum(counts.values())
            ok = used < limit
            if ok:
                counts[here] = counts.get(here, 0) + 1
            self._buckets[bucket] = counts
            self._buckets.move_to_end(bucket)
            if len(self._buckets) > self.most:
                self._buckets.popitem(last=False)
        reset_at = (min(counts, default=here) + limits.SUBWINDOWS + 1) * length
        return limits.Allowance(ok, limit, max(0, limit - used - ok), reset_at, window_seconds)


own_limits = OwnLimits()


class AddressLimit:
    """Counts each request that the API does not count itself, and refuses whoever sends too many."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Take the next in line."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass a request on within its limit. A page that is refused is answered by the handler of errors."""
        path = request.path_info
        caller = http.network_of(http.address.get() or http.client_address(request))
        if is_api(path) and (request.is_secure() or not settings.REQUIRE_HTTPS):
            return self.get_response(request)
        if path.startswith("/webhooks/"):
            return self._counted_when_refused(request, caller)
        if is_api(path) or path in WATCHED or path.startswith(settings.STATIC_URL):
            allowance = own_limits.take(f"file:{caller}", *settings.ADDRESS_LIMITS["file"])
        else:
            allowance = take(_bucket(path, caller))
        if not allowance.ok:
            if is_api(path) or path in WATCHED:
                return _told(plain_error(RateLimited(retry_after_seconds=allowance.retry_after_seconds)), allowance)
            raise TooOften(allowance)
        return _told(self.get_response(request), allowance)

    def _counted_when_refused(self, request: HttpRequest, caller: str) -> HttpResponse:
        response = self.get_response(request)
        if not REFUSED <= response.status_code < FAILED:
            return response
        allowance = take(_bucket(request.path_info, caller))
        if allowance.ok or response.status_code == TOO_MANY:
            return _told(response, allowance)
        return _told(plain_error(RateLimited(retry_after_seconds=allowance.retry_after_seconds)), allowance)


def is_api(path: str) -> bool:
    """Say whether a path is the public API's."""
    return path.startswith("/v1/") or path == "/v1"


def take(bucket: limits.Bucket) -> limits.Allowance:
    """Count a call where all processes see it; while the database is away, in this process alone."""
    try:
        return limits.take(*bucket)
    except DatabaseError as failure:
        log.warning("counted in this process alone", extra={"failure": type(failure).__name__})
        return own_limits.take(*bucket)


def _bucket(path: str, caller: str) -> limits.Bucket:
    try:
        match = resolve(path)
        name = match.view_name or match.route
    except Resolver404:
        name = "nowhere"
    return limits.Bucket(f"page:{name}:{caller}", *settings.ADDRESS_LIMITS[Limit.PAGE])


def _told(response: HttpResponse, allowance: limits.Allowance) -> HttpResponse:
    """Return an answer with what is left, unless a narrower limit has said so; one that refuses says until when."""
    if "X-RateLimit-Limit" not in response:
        for name, value in allowance.headers().items():
            response[name] = value
    if response.status_code == TOO_MANY:
        response.headers.setdefault("Retry-After", str(limits.MINUTE))
    return response
