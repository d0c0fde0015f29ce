"""The failures a caller can act on, and the codes they carry.

Each `code` has a heading in docs/errors.md. Apps subclass `ApiError` in their own errors.py.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ApiError(Exception):
    """A refusal with a status, a stable code and a sentence that says what to do."""

    status: ClassVar[int]
    code: ClassVar[str]
    message: ClassVar[str]

    def __init__(
        self,
        message: str | None = None,
        *,
        fields: dict[str, list[str]] | None = None,
        retry_after_seconds: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        """Say it in other words than the class does, name the fields, or add to the body."""
        super().__init__(message or self.message)
        self.fields = fields
        self.retry_after_seconds = retry_after_seconds
        self.extra = extra or {}


class BadRequest(ApiError):
    status, code = 400, "VALIDATION_ERROR"
    message = "The request could not be understood."


class ValidationFailed(BadRequest):
    message = "Some fields are not valid."


class MissingRequiredField(BadRequest):
    code = "MISSING_REQUIRED_FIELD"
    message = "A required field is missing."


class InvalidEmail(BadRequest):
    code = "INVALID_EMAIL"
    message = "Invalid email format"


class Unauthorized(ApiError):
    status, code = 401, "UNAUTHORIZED"
    message = "This credential is not valid. Send a valid API key as `Authorization: Bearer …`."


class Forbidden(ApiError):
    status, code = 403, "FORBIDDEN"
    message = "This credential may not do that."


class InsufficientScope(Forbidden):
    code = "INSUFFICIENT_SCOPE"
    message = "This API key lacks a scope."


class NotFound(ApiError):
    status, code = 404, "NOT_FOUND"
    message = "No such resource."


class MethodNotAllowed(ApiError):
    status, code = 405, "METHOD_NOT_ALLOWED"
    message = "This URL does not take that method."


class NotAcceptable(ApiError):
    status, code = 406, "NOT_ACCEPTABLE"
    message = "The API answers application/json only."


class Conflict(ApiError):
    status, code = 409, "CONFLICT"
    message = "The request conflicts with the current state."


class IdempotencyInProgress(Conflict):
    code = "IDEMPOTENCY_IN_PROGRESS"
    message = "A request with this Idempotency-Key is still running. Try again shortly."


class IdempotencyKeyReused(ApiError):
    status, code = 422, "IDEMPOTENCY_KEY_REUSED"
    message = "This Idempotency-Key was used with another request. Use a fresh key."


class PayloadTooLarge(ApiError):
    status, code = 413, "PAYLOAD_TOO_LARGE"
    message = "The body is larger than 256 KiB."


class UnsupportedMediaType(ApiError):
    status, code = 415, "UNSUPPORTED_MEDIA_TYPE"
    message = "Send the body as application/json."


class RateLimited(ApiError):
    status, code = 429, "RATE_LIMITED"
    message = "Too many requests. Wait for the seconds that Retry-After names."


class InternalError(ApiError):
    status, code = 500, "INTERNAL_ERROR"
    message = "Something broke on our side. It is logged under this request id."


class ServiceUnavailable(ApiError):
    status, code = 503, "SERVICE_UNAVAILABLE"
    message = "The service cannot answer just now. Nothing was changed; try again shortly."
