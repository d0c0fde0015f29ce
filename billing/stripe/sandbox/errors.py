"""Errors in the bodies that Stripe answers with."""

from http import HTTPStatus
from typing import Any

DOCS = "https://docs.stripe.com/error-codes/"
MASKED_TAIL = 4


class StripeError(Exception):
    """An error that a caller meets as Stripe's JSON error body."""

    def __init__(
        self,
        message: str,
        *,
        status: int = HTTPStatus.BAD_REQUEST,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        keeps_changes: bool = False,
        **extra: object,
    ) -> None:
        """Describe the refusal; `keeps_changes` commits what was written before it (a declined payment)."""
        super().__init__(message)
        self.status = int(status)
        self.keeps_changes = keeps_changes
        self.error: dict[str, Any] = {"message": message, "type": kind}
        if code is not None:
            self.error |= {"code": code, "doc_url": DOCS + code.replace("_", "-")}
        if param is not None:
            self.error["param"] = param
        self.error |= {name: value for name, value in extra.items() if value is not None}

    @property
    def body(self) -> dict[str, Any]:
        """The JSON document that goes on the wire."""
        return {"error": self.error}


class OAuthError(Exception):
    """An error in the shape of RFC 6749, section 5.2, which Stripe's OAuth routes answer with."""

    def __init__(self, error: str, description: str, *, status: int = HTTPStatus.BAD_REQUEST) -> None:
        """Name the error code and say in words what was wrong."""
        super().__init__(description)
        self.status = int(status)
        self.body = {"error": error, "error_description": description}


def masked(key: str) -> str:
    """The key as Stripe shows it in a message: its kind and its last characters."""
    return f"{key[:8]}{'*' * 12}{key[-MASKED_TAIL:]}" if len(key) > 2 * MASKED_TAIL + 8 else "*" * len(key)


def no_key() -> StripeError:
    """The request carried no API key."""
    return StripeError(
        "You did not provide an API key. You need to provide your API key in the Authorization header,"
        " using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        status=HTTPStatus.UNAUTHORIZED,
    )


def bad_key(key: str) -> StripeError:
    """The request carried a key that nobody issued."""
    return StripeError(f"Invalid API Key provided: {masked(key)}", status=HTTPStatus.UNAUTHORIZED)


def foreign_account(key: str, account: str) -> StripeError:
    """The account is not connected to this platform, or never was; Stripe does not tell which."""
    return StripeError(
        f"The provided key '{masked(key)}' does not have access to account '{account}' (or that account"
        " does not exist). Application access may have been revoked.",
        status=HTTPStatus.FORBIDDEN,
        code="account_invalid",
    )


def missing_object(noun: str, object_id: str, param: str) -> StripeError:
    """There is no such object under this account."""
    return StripeError(
        f"No such {noun.replace('_', ' ').replace('.', ' ')}: '{object_id}'",
        status=HTTPStatus.NOT_FOUND,
        code="resource_missing",
        param=param,
    )


def unknown_route(method: str, path: str) -> StripeError:
    """Stripe's answer to a URL it does not know; the sandbox says that it may be the one at fault."""
    return StripeError(
        f"Unrecognized request URL ({method}: {path}). The sandbox does not implement this route.",
        status=HTTPStatus.NOT_FOUND,
    )


def card_declined(*, keeps_changes: bool = True) -> StripeError:
    """The payment was refused; the attempt stays on record, unless the whole request is undone."""
    return StripeError(
        "Your card was declined.",
        status=HTTPStatus.PAYMENT_REQUIRED,
        kind="card_error",
        code="card_declined",
        decline_code="generic_decline",
        keeps_changes=keeps_changes,
    )
