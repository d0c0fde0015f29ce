"""The one error shape of the API, made of any failure."""

from __future__ import annotations

import logging
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response

from stackbe.kernel import errors, http
from stackbe.kernel.errors import ApiError
from stackbe.kernel.wire import encode_json

log = logging.getLogger("stackbe.api")
REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    409: "Conflict",
    413: "Payload Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}

WHOLE = frozenset({"non_field_errors", "nonFieldErrors"})


def error_body(failure: ApiError) -> dict[str, Any]:
    """Return the one error shape of the API."""
    message: str | list[str] = str(failure)
    if failure.fields:
        said = [f"{name}: {text}" for name, texts in failure.fields.items() for text in texts]
        message = said if len(said) > 1 else said[0]
    body = {
        "statusCode": failure.status,
        "message": message,
        "error": REASONS.get(failure.status, "Error"),
        "code": failure.code,
        "requestId": http.request_id.get(),
        **failure.extra,
    }
    if failure.fields:
        body["fields"] = failure.fields
    return body


def render_error(exc: Exception) -> Response:
    """Turn any failure into a response; a crash is logged and says nothing of itself."""
    failure = as_api_error(exc)
    response = Response(error_body(failure), status=failure.status)
    if failure.retry_after_seconds is not None:
        response["Retry-After"] = str(failure.retry_after_seconds)
    if failure.status == 401:  # noqa: PLR2004  # RFC 9110, section 15.5.2
        response["WWW-Authenticate"] = 'Bearer realm="stackbe"'
    return response


def plain_error(failure: ApiError) -> HttpResponse:
    """Return the same for answers given outside DRF."""
    response = HttpResponse(encode_json(error_body(failure)), status=failure.status, content_type="application/json")
    if failure.retry_after_seconds is not None:
        response["Retry-After"] = str(failure.retry_after_seconds)
    return response


def as_api_error(exc: Exception) -> ApiError:
    """Return the documented failure that an exception stands for."""
    if isinstance(exc, ApiError):
        return exc
    if isinstance(exc, exceptions.ValidationError):
        return _validation_error(exc)
    if isinstance(exc, exceptions.MethodNotAllowed):
        return errors.MethodNotAllowed()
    if isinstance(exc, exceptions.NotAcceptable):
        return errors.NotAcceptable()
    if isinstance(exc, exceptions.UnsupportedMediaType):
        return errors.UnsupportedMediaType()
    if isinstance(exc, exceptions.ParseError):
        return errors.BadRequest()
    if isinstance(exc, exceptions.AuthenticationFailed | exceptions.NotAuthenticated):
        return errors.Unauthorized()
    if isinstance(exc, OperationalError | InterfaceError):
        # The SQLSTATE tells a server that is gone from two calls that waited for each other.
        state = getattr(exc.__cause__, "sqlstate", None)
        log.warning("database unavailable", extra={"failure": type(exc).__name__, "sqlstate": state})
        return errors.ServiceUnavailable(retry_after_seconds=1)
    log.error("request crashed", exc_info=exc)
    return errors.InternalError()


def _validation_error(exc: exceptions.ValidationError) -> ApiError:
    fields = _flatten(exc.get_full_details())
    codes = {code for entries in fields.values() for _, code in entries}
    messages = {name: [text for text, _ in entries] for name, entries in fields.items()}
    if codes == {"required"}:
        return errors.MissingRequiredField(fields=messages)
    if codes == {"invalid_email"}:
        text = "Invalid email format"
        failure = errors.InvalidEmail(text)
        failure.extra["fields"] = {name: [text] for name in messages}
        return failure
    return errors.ValidationFailed(fields=messages)


def _flatten(details: Any, prefix: str = "") -> dict[str, list[tuple[str, str]]]:
    """Return `{field: [(message, code)]}` from DRF's nested details, paths joined by dots."""
    flat: dict[str, list[tuple[str, str]]] = {}
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        flat.setdefault(prefix or "nonFieldErrors", []).append((str(details["message"]), str(details["code"])))
    elif isinstance(details, dict):
        for name, inner in details.items():
            whole = name in WHOLE  # about the object or list itself, not about a field of it
            here = prefix if whole else f"{prefix}.{name}" if prefix else str(name)
            for path, entries in _flatten(inner, here).items():
                flat.setdefault(path, []).extend(entries)
    elif isinstance(details, list):
        for index, inner in enumerate(details):
            nested = isinstance(inner, dict) and set(inner) != {"message", "code"}
            for path, entries in _flatten(inner, f"{prefix}.{index}" if nested else prefix).items():
                flat.setdefault(path, []).extend(entries)
    return flat
