"""The short way for the routes that an app asks on its every request: one or two database calls, then bytes.

A hot view answers what needs no closer look from the WSGI environment alone, ahead of Django's handler, its
middleware and DRF (`HotRoutes`). Everything else, an error that wants a sentence above all, goes the ordinary
way. Both answer alike (tested): the short way only skips what it does not need.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import orjson
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.module_loading import import_string
from rest_framework.exceptions import ValidationError

from stackbe.kernel import http, logs, tally
from stackbe.kernel.api import ApiView
from stackbe.kernel.connections import look_after
from stackbe.kernel.errors import ApiError, InsufficientScope, RateLimited
from stackbe.kernel.failures import REASONS, as_api_error, error_body
from stackbe.kernel.wire import decode_json, encode_json

if TYPE_CHECKING:
    from stackbe.kernel.bodies import WsgiApp
    from stackbe.kernel.limits import Allowance
    from stackbe.kernel.routes import Route
    from stackbe.kernel.serializers import Input

JSON = "application/json"
READABLE = frozenset({"*/*", JSON, ""})
NO_STORE = ("Cache-Control", "no-store")
# What the short way is no good for: a browser's page must be told what it may read, a chunked body has no length.
BESIDE_THE_WAY = ("HTTP_ORIGIN", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_ENCODING")


class Asked(Protocol):
    """A request as far as the short way looks at it: Django's, or one that was never made into Django's."""

    META: dict[str, Any]

    @property
    def body(self) -> bytes:
        """Return the whole body."""


class Answer(NamedTuple):
    """What goes out: a status, the JSON, and the headers beside those that every answer has."""

    status: int
    body: bytes
    headers: list[tuple[str, str]]

    def as_response(self) -> HttpResponse:
        """Return the same as Django's response."""
        return HttpResponse(self.body, status=self.status, content_type=JSON, headers=dict(self.headers))


class HotView(ApiView):
    """Tries the short way first; what it has no answer for goes the ordinary one."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer in short, or run all stages."""
        meta = request.META
        plain = meta.get("HTTP_ACCEPT", "") in READABLE and "HTTP_CONTENT_ENCODING" not in meta
        if plain and request.method in self.access:
            quick = self.tried(request, **kwargs)
            if quick is not None:
                return quick.as_response()
        return super().dispatch(request, *args, **kwargs)

    def tried(self, request: Asked, **kwargs: str) -> Answer | None:
        """Return the short answer, a failure of it, or None where the ordinary way must answer."""
        try:
            return self.quick(request, **kwargs)
        except Exception as failure:  # noqa: BLE001  # one handler shapes every error
            return failed(as_api_error(failure))

    def quick(self, request: Asked, **kwargs: str) -> Answer | None:
        """Return the short answer, or None. One view serves many threads: it keeps nothing of a request."""
        raise NotImplementedError  # each hot view says its own


class Ask:
    """A request that Django has not seen."""

    __slots__ = ("META", "_body")

    def __init__(self, environ: dict[str, Any]) -> None:
        """Take the environment that the web server made."""
        self.META = environ
        self._body: bytes | None = None

    @property
    def body(self) -> bytes:
        """Return the whole body, and leave it for Django to read once more."""
        if self._body is None:
            length = self.META.get("CONTENT_LENGTH") or "0"
            self._body = self.META["wsgi.input"].read(int(length)) if length.isdigit() else b""
            self.META["wsgi.input"] = io.BytesIO(self._body)
        return self._body


class HotRoutes:
    """Answers hot routes ahead of Django, and hands on whatever it has no answer for."""

    def __init__(self, application: WsgiApp, routes: Iterable[Route]) -> None:
        """Take the ordinary way, and the table of routes."""
        self.application = application
        self.standing = standing_headers()
        self.whole: dict[str, _Entry] = {}
        self.parted: list[tuple[str, str, str, _Entry]] = []
        for route in routes:
            if isinstance(route.view, type) and issubclass(route.view, HotView):
                self._enter(route)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        found = self._find(environ)
        if found is None:
            return self.application(environ, start_response)
        entry, named = found
        started = time.perf_counter()
        identifier = http.request_id_of(environ)
        token = http.request_id.set(identifier)
        try:
            look_after()
            answer = entry.view.tried(Ask(environ), **named)
            if answer is None:
                return self.application(environ, start_response)
            if answer.status >= 500:  # noqa: PLR2004  # our own fault, whatever it was
                tally.count(tally.SERVER_ERROR)
            if settings.LOG_REQUESTS:
                elapsed_ms = round((time.perf_counter() - started) * 1000, 1)
                logs.request_line(environ["REQUEST_METHOD"], entry.route, answer.status, elapsed_ms)
        finally:
            http.request_id.reset(token)
        headers = [("Content-Type", JSON), *answer.headers, ("Content-Length", str(len(answer.body)))]
        start_response(STATUSES[answer.status], [*headers, *self.standing, ("X-Request-Id", identifier)])
        return [answer.body]

    def _enter(self, route: Route) -> None:
        view = route.view(access=route.methods, route_name=route.name)
        entry = _Entry(view, frozenset(route.methods), f"v1/{route.url}")
        before, parted, rest = route.url.partition("<str:")
        name, _, after = rest.partition(">")
        if not parted:
            self.whole[f"/v1/{before}"] = entry
        elif "<" not in after:
            self.parted.append((f"/v1/{before}", after, name, entry))

    def _find(self, environ: dict[str, Any]) -> tuple[_Entry, dict[str, str]] | None:
        path: str = environ["PATH_INFO"]
        if not path.startswith("/v1/"):
            return None
        named: dict[str, str] = {}
        entry = self.whole.get(path)
        if entry is None:
            for before, after, name, candidate in self.parted:
                if path.startswith(before) and path.endswith(after):
                    middle = path[len(before) : len(path) - len(after)]
                    if middle and "/" not in middle:
                        entry, named = candidate, {name: middle}
                        break
        if entry is None or environ["REQUEST_METHOD"] not in entry.methods or not _is_plain(environ):
            return None
        return entry, named


class _Entry(NamedTuple):
    """A hot view, the methods that it takes, and its route as logs name it."""

    view: HotView
    methods: frozenset[str]
    route: str


STATUSES = {status: f"{status} {reason}" for status, reason in {200: "OK", **REASONS}.items()}


def standing_headers() -> list[tuple[str, str]]:
    """Return the headers that the middleware puts on every answer of the API, as it puts them on an empty one.

    The outermost is left out: it gives each request an id of its own.
    """
    chain: Any = lambda _request: HttpResponse(content_type=JSON)  # noqa: E731  # what answers is empty
    for name in reversed(settings.MIDDLEWARE[1:]):
        chain = import_string(name)(chain)
    name, value = settings.SECURE_PROXY_SSL_HEADER or ("wsgi.url_scheme", "https")
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/v1/", "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "https"}
    request = WSGIRequest(environ | {name: value})
    return [(name, value) for name, value in chain(request).items() if name != "Content-Type"]


def _is_plain(environ: dict[str, Any]) -> bool:
    """Say whether a request came as servers send them, over https where that is asked for."""
    if environ.get("SCRIPT_NAME") or environ.get("HTTP_ACCEPT", "") not in READABLE:
        return False
    if any(name in environ for name in BESIDE_THE_WAY):
        return False
    if not settings.REQUIRE_HTTPS:
        return True
    name, value = settings.SECURE_PROXY_SSL_HEADER or ("wsgi.url_scheme", "https")
    return bool(environ.get(name) == value)


def json_body(request: Asked) -> Any:
    """Return a small, well-formed JSON object, or None for what the ordinary way must judge."""
    meta = request.META
    length = meta.get("CONTENT_LENGTH") or ""
    kind = meta.get("CONTENT_TYPE", "")
    if (kind != JSON and not kind.startswith(f"{JSON};")) or not length.isdigit() or len(length) > 4:  # noqa: PLR2004  # under 10 kB
        return None
    try:
        body = decode_json(request.body)
    except ApiError:
        return None
    return body if isinstance(body, dict) else None


def whole_input(shape: Input, request: Asked) -> dict[str, Any] | None:
    """Return a small body as its shape reads it, or None for one that has something wrong: the ordinary way says what.

    The shape is made once and serves all requests: it keeps nothing of a body.
    """
    body = json_body(request)
    if body is None:
        return None
    try:
        return dict(shape.run_validation(body))
    except ValidationError:
        return None


def answer(body: Any, allowance: Allowance) -> Answer:
    """Return 200 with the headers that every answer carries."""
    return Answer(200, orjson.dumps(body), [*allowance.headers().items(), NO_STORE])


def failed(failure: ApiError) -> Answer:
    """Return an error that nothing was counted for."""
    waiting = failure.retry_after_seconds
    headers = [] if waiting is None else [("Retry-After", str(waiting))]
    return Answer(failure.status, encode_json(error_body(failure)), headers)


def refusal(failure: ApiError, allowance: Allowance) -> Answer:
    """Return an error with the headers that every answer carries."""
    status, body, headers = failed(failure)
    return Answer(status, body, [*headers, *allowance.headers().items(), NO_STORE])


def gate(scopes: Iterable[str], wanted: str, allowance: Allowance) -> Answer | None:
    """Return the refusal of a key that lacks the scope or has used up its limit."""
    if wanted not in scopes and "*" not in scopes:
        return refusal(InsufficientScope(f"This API key lacks the scope {wanted}."), allowance)
    if not allowance.ok:
        return refusal(RateLimited(retry_after_seconds=allowance.retry_after_seconds), allowance)
    return None
