"""What every endpoint must refuse, and how a refusal is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackbe.kernel.ids import encode, new_id
from tests.cast import Api

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUEST_ID = "the-same-in-both"
CARD = "4242 4242 4242 4242"


def never(prefix: str) -> str:
    """Return a well-formed id that names nothing."""
    return encode(prefix, new_id())


def answer(api: Api, method: str, path: str, body: Any = None) -> tuple[int, bytes, dict[str, str]]:
    """Return all of a response that could tell one case from another."""
    response = api.request(method, path, body, **{"X-Request-Id": REQUEST_ID})
    headers = {k: v for k, v in response.headers.items() if "ratelimit" not in k.lower()}
    return response.status_code, response.content, headers


def assert_hidden(api: Api, method: str, foreign: str, absent: str, body: Any = None) -> None:
    """Assert that a foreign row answers with the bytes of one that never was: 404."""
    hidden, missing = answer(api, method, foreign, body), answer(api, method, absent, body)
    assert hidden[0] == 404, hidden
    assert hidden == missing


def assert_needs_credential(method: str, path: str, body: Any = None) -> None:
    """Assert that without a credential, and with a mistyped one, the answer is 401."""
    for token in (None, "sbk_test_mistyped", ""):
        response = Api(token).request(method, path, body)
        assert response.status_code == 401, response.content
        assert response.json()["code"] == "UNAUTHORIZED"
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


def assert_needs_scope(api: Api, scope: str, method: str, path: str, body: Any = None) -> None:
    """Assert that a key without the scope is told which one it lacks."""
    response = api.request(method, path, body)
    assert response.status_code == 403, response.content
    assert response.json()["code"] == "INSUFFICIENT_SCOPE"
    assert scope in response.json()["message"]


def assert_refuses_each(
    api: Api, method: str, path: str, cases: Iterable[tuple[Any, str]], code: str = "VALIDATION_ERROR"
) -> None:
    """Assert that each body is refused with 400 and the field named."""
    for body, field in cases:
        response = api.request(method, path, body)
        assert response.status_code == 400, (body, response.content)
        told = response.json()
        assert told["code"] == code, (body, told)
        assert any(name == field or name.startswith(f"{field}.") for name in told["fields"]), (body, told)
