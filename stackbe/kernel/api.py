"""What every public endpoint shares, in the order in which it happens.

Credential → scope and kind → rate limit → idempotency → input → service → output → headers. A view
declares its shapes with `@operation` and calls a service; the rest is here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from stackbe.kernel import errors, http, limits
from stackbe.kernel.audit import audit
from stackbe.kernel.failures import render_error
from stackbe.kernel.idempotency import Claim, Replay
from stackbe.kernel.paging import keyset_page
from stackbe.kernel.routes import Access, Limit
from stackbe.kernel.scope import Credential, Scope
from stackbe.kernel.serializers import Input, NoInput, Query
from stackbe.kernel.transactions import change, reading
from stackbe.kernel.wire import BODY_BYTES, JsonParser, JsonRenderer, encode_json

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})  # elsewhere a body has no meaning (RFC 9110, section 9.3)
REFUSED = frozenset({403, 404})
LONGEST_PATH = 300
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method of a view takes in and gives out."""

    input: type[Input] | None = None
    query: type[Query] | None = None
    output: type[BaseSerializer[Any]] | None = None
    status: int = 200
    many: bool = False
    network: bool = False
    idempotent: bool = True
    extra_statuses: tuple[int, ...] = ()
    refusals: str = ""
    media_type: str = ""


def operation(
    *,
    input: type[Input] | None = None,  # noqa: A002  # reads as what it is
    query: type[Query] | None = None,
    output: type[BaseSerializer[Any]] | None = None,
    status: int = 200,
    many: bool = False,
    network: bool = False,
    idempotent: bool = True,
    extra_statuses: tuple[int, ...] = (),
    refusals: str = "",
    media_type: str = "",
) -> Callable[[F], F]:
    """Declare a method's shapes.

    `many` wraps the output in the list envelope. `network` says that the method itself opens its
    changes, since it calls Stripe between them. `idempotent=False` is for the few POSTs that take no
    Idempotency-Key (those under /auth/ and usage/track). `refusals` is the action under which an attempt that is
    refused (403, 404) goes on record with the caller: for what names somebody's credential. `media_type` is for
    the few that answer a file.
    """
    declared = Operation(input, query, output, status, many, network, idempotent, extra_statuses, refusals, media_type)

    def mark(method: F) -> F:
        method.operation = declared  # type: ignore[attr-defined]  # how a view tells what it takes
        return method

    return mark


class ApiView(APIView):
    """An endpoint under /v1. The route table tells it what each method takes."""

    renderer_classes = (JsonRenderer,)
    parser_classes = (JsonParser,)
    access: ClassVar[dict[str, Access]] = {}
    route_name: ClassVar[str] = ""
    claim: Claim | None = None
    # The person a stored reply is about: it goes when they are erased.
    subject_id: UUID | None = None
    _allowance: limits.Allowance | None = None

    @property
    def scope(self) -> Scope:
        """Return whose request this is."""
        scope = self.request.auth
        if not isinstance(scope, Scope):
            raise errors.Unauthorized
        return scope

    @property
    def operation(self) -> Operation:
        """Return what the method under way declares."""
        method = (self.request.method or "GET").lower()
        declared: Operation = getattr(getattr(self, method), "operation", Operation())
        return declared

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Run one request through all its stages."""
        self.args, self.kwargs = args, kwargs
        self.headers = self.default_response_headers
        wrapped = self.initialize_request(request, *args, **kwargs)
        self.request = wrapped
        try:
            self.initial(wrapped, *args, **kwargs)
            response: HttpResponseBase = self._run(wrapped)
        except Exception as failure:  # noqa: BLE001  # one handler shapes every error
            response = self.handle_exception(failure)
            self._record_refusal(response.status_code)
        self.response = self.finalize_response(wrapped, response, *args, **kwargs)
        return self.response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Settle who calls, whether they may, and how often."""
        access = self.access_by(request.method)
        if access is None:
            self._count_address(Access(limit=Limit.PAGE))
            raise exceptions.MethodNotAllowed(request.method or "")
        if access.public:
            request.authenticators = ()
            self._count_address(access)
        else:
            self._identify(request)
            self._count(access)
            self._authorise(access)
        self.format_kwarg = None
        negotiated = self.perform_content_negotiation(request)
        request.accepted_renderer, request.accepted_media_type = negotiated
        self._refuse_body_unread(request)

    def parse(self) -> dict[str, Any]:
        """Return the validated body under snake_case names."""
        sent = self.request.data
        if sent is None:
            raise errors.ValidationFailed(fields={"nonFieldErrors": ["The body must be an object."]})
        form = (self.operation.input or NoInput)(data=sent)
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)

    def query(self) -> dict[str, Any]:
        """Return the validated query parameters."""
        declared = self.operation.query or Query
        given: dict[str, Any] = {}
        fields = declared().fields
        for name, values in self.request.query_params.lists():
            repeated = name in fields and hasattr(fields[name], "child")
            if len(values) > 1 and not repeated:
                raise errors.ValidationFailed(fields={name: ["Give it once."]})
            given[name] = values if repeated else values[0]
        form = declared(data=given)
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)

    def reply(self, thing: Any = None, **context: Any) -> Response:
        """Return the declared output of a row (or rows) with the declared status."""
        declared = self.operation
        self.subject_id = getattr(thing, "subject_id", None) or getattr(thing, "customer_id", None)
        if declared.output is None:
            return Response(thing, status=declared.status)
        shown = declared.output(thing, context={"scope": self._scope_or_none(), **context})
        return Response(shown.data, status=declared.status)

    def keep(self, response: Response) -> None:
        """Store a reply in the open change, beside what it tells of, where the method goes on to call the network.

        A request that is cut off from here on is answered by it when it is repeated; the reply that the method ends
        with takes its place.
        """
        if self.claim:
            self.claim.store(response.status_code, encode_reply(response), self.subject_id)

    def page(self, rows: QuerySet[Any], asked: dict[str, Any], **context: Any) -> Response:
        """Return one page of rows, newest first, by keyset."""
        declared = self.operation
        if declared.output is None:
            raise RuntimeError("a page needs an output")
        found, cursor = keyset_page(rows, asked["limit"], asked.get("cursor"))
        context = {"scope": self._scope_or_none(), **context}
        prepare = getattr(declared.output, "prepare", None)
        if prepare is not None:
            prepare(found, context)
        shown = [declared.output(row, context=context).data for row in found]
        return Response({"data": shown, "hasMore": cursor is not None, "nextCursor": cursor})

    def handle_exception(self, exc: Exception) -> Response:
        """Shape every failure alike."""
        response = render_error(exc)
        response.exception = True
        return response

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the headers that every answer carries."""
        if not getattr(request, "accepted_renderer", None):
            request.accepted_renderer = JsonRenderer()
            request.accepted_media_type = JsonRenderer.media_type
        final = super().finalize_response(request, response, *args, **kwargs)
        if self._allowance is not None:
            for name, value in self._allowance.headers().items():
                final[name] = value
        if "Cache-Control" not in final:
            final["Cache-Control"] = "no-store"
        return final

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """Refuse with the methods that the route takes."""
        raise exceptions.MethodNotAllowed(request.method or "")

    @property
    def allowed_methods(self) -> list[str]:
        """Return the route's methods, for the Allow header."""
        return sorted({*self.access, "HEAD"} if "GET" in self.access else self.access)

    def bucket_of(self, access: Access, address: str) -> limits.Bucket:
        """Return what a call that proves nothing is counted against."""
        limit, window = settings.ADDRESS_LIMITS[access.limit]
        return limits.Bucket(f"{access.limit}:{self.route_name}:{http.network_of(address)}", limit, window)

    def access_by(self, method: str | None) -> Access | None:
        """Return what a method takes; HEAD is a GET whose body stays unsent (RFC 9110, section 9.3.2)."""
        return self.access.get("GET" if method == "HEAD" else method or "")

    def _record_refusal(self, status: int) -> None:
        """Put a refused attempt on record in the caller's own log, where the operation wants it there."""
        declared = getattr(getattr(self, (self.request.method or "").lower(), None), "operation", None)
        scope = getattr(self.request, "_auth", None)  # asking for `auth` would prove a refused credential once more
        if declared is not None and declared.refusals and isinstance(scope, Scope) and status in REFUSED:
            with change(scope):
                detail = {"path": self.request.path[:LONGEST_PATH], "status": status}
                audit(scope, declared.refusals, detail=detail)

    def _scope_or_none(self) -> Scope | None:
        auth = self.request.auth
        return auth if isinstance(auth, Scope) else None

    def _refuse_body_unread(self, request: Request) -> None:
        if request.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
            raise errors.UnsupportedMediaType("Send the body as it is, without a Content-Encoding.")
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdigit() and int(length) > BODY_BYTES:
            raise errors.PayloadTooLarge

    def _identify(self, request: Request) -> None:
        try:
            self.perform_authentication(request)
            if not isinstance(request.auth, Scope):
                raise errors.Unauthorized
        except errors.ApiError:
            caller = http.network_of(http.client_address(request._request))
            self._allowance = limits.failed_credentials(caller, cost=0)
            raise

    def _authorise(self, access: Access) -> None:
        scope = self.scope
        if scope.credential not in access.credentials:
            raise errors.Forbidden(_wrong_credential(access, scope))
        by_key = scope.credential in {Credential.KEY, Credential.TENANT_KEY}
        if access.scope and by_key and not scope.allows(access.scope):
            raise errors.InsufficientScope(f"This API key lacks the scope {access.scope}.")

    def _count(self, access: Access) -> None:
        scope = self.scope
        hot = access.limit == Limit.HOT
        limit = scope.hot_limit_per_minute if hot else scope.api_limit_per_minute
        self._take(f"{access.limit}:{scope.credential}:{scope.session_id or scope.credential_id}", limit)

    def _count_address(self, access: Access) -> None:
        self._take(*self.bucket_of(access, http.client_address(self.request._request)))

    def _take(self, bucket: str, limit: int, window: int = limits.MINUTE) -> None:
        self._allowance = limits.take(bucket, limit, window)
        if not self._allowance.ok:
            raise errors.RateLimited(retry_after_seconds=self._allowance.retry_after_seconds)

    def _run(self, request: Request) -> Response:
        handler = getattr(self, (request.method or "GET").lower())
        self._refuse_undeclared(request)
        self.claim = self._claim(request)
        if self._scope_or_none() is None:
            return self._call(handler, request)
        if self.operation.network:
            return self._run_with_network(handler, request)
        if request.method in SAFE:
            with reading(self.scope):
                return self._call(handler, request)
        with change(self.scope):
            if self.claim and (replay := self.claim.take()):
                return _replayed(replay)
            response = self._call(handler, request)
            if self.claim:
                self.claim.store(response.status_code, encode_reply(response), self.subject_id)
            return response

    def _run_with_network(self, handler: Callable[..., Response], request: Request) -> Response:
        if self.claim is None:
            return self._call(handler, request)
        with change(self.scope):
            replay = self.claim.take(lease=True)
        if replay:
            return _replayed(replay)
        try:
            response = self._call(handler, request)
        except Exception:
            with change(self.scope):
                self.claim.release()
            raise
        with change(self.scope):
            self.claim.store(response.status_code, encode_reply(response), self.subject_id)
        return response

    def _refuse_undeclared(self, request: Request) -> None:
        """Refuse what an operation takes nothing of; where it does, `parse` and `query` name what is unknown."""
        if self.operation.query is None:
            self.query()
        if self.operation.input is None and request.method in WITH_BODY:
            self.parse()

    def _call(self, handler: Callable[..., Response], request: Request) -> Response:
        response: Response = handler(request, *self.args, **self.kwargs)
        return response

    def _claim(self, request: Request) -> Claim | None:
        key = request.headers.get("Idempotency-Key")
        if key is None or request.method != "POST" or not self.operation.idempotent:
            return None
        scope = self._scope_or_none()
        if scope is None:
            return None
        shape = {"path": request.get_full_path(), "body": request.data}
        canonical = json.dumps(shape, sort_keys=True, ensure_ascii=False).encode()
        return Claim(scope, self.claimant(request), key, canonical)

    def claimant(self, request: Request) -> str:
        """Return the caller's credential, which stored replies are sealed under with the key."""
        return request.headers.get("Authorization", "")


def encode_reply(response: Response) -> bytes:
    """Return the bytes that a stored reply repeats."""
    return b"" if response.data is None else encode_json(response.data)


def _replayed(replay: Replay) -> Response:
    response = Response(replay.body or None, status=replay.status)
    response["Idempotency-Replayed"] = "true"
    return response


def _wrong_credential(access: Access, scope: Scope) -> str:
    wanted = " or ".join(sorted(str(c).replace("_", " ") for c in access.credentials))
    given = str(scope.credential).replace("_", " ")
    return f"This route takes another credential ({wanted}) than the {given} that was sent."
