"""The way ahead of Django: the server's environment in, the ordinary way's answer out."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from django.core.signals import request_started
from django.db import close_old_connections

from stackbe.kernel.logs import JsonFormatter
from stackbe.wsgi import application
from tests.usage.stage import make_subscriber

VOLATILE = {"X-Request-Id", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "Content-Length", "Set-Cookie"}


class Server:
    """A web server as the WSGI application sees it."""

    def __init__(self, key: str) -> None:
        self.key = key

    def serve(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, dict[str, str], Any]:
        """Serve one request; return status, headers and document."""
        where, _, query = path.partition("?")
        content = b"" if body is None else json.dumps(body).encode()
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": f"/v1{where}",
            "QUERY_STRING": query,
            "SCRIPT_NAME": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "192.0.2.7",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(content)),
            "HTTP_AUTHORIZATION": f"Bearer {self.key}",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(content),
        }
        told: dict[str, Any] = {}

        def start(status: str, headers: list[tuple[str, str]], _failure: Any = None) -> None:
            told.update(status=int(status[:3]), headers=dict(headers))

        # As Django's client does: the ordinary way would end the test's transaction with its connection.
        request_started.disconnect(close_old_connections)
        content = b"".join(application(environ | more, start))
        request_started.connect(close_old_connections)
        return told["status"], told["headers"], json.loads(content)


@pytest.fixture
def server(acme):
    return Server(acme.key)


@pytest.fixture
def ada(acme):
    return make_subscriber(acme)


@pytest.fixture
def handed_on(monkeypatch):
    """Collect the requests that Django was asked to answer."""
    seen: list[str] = []
    hot = application.application
    ordinary = hot.application

    def watched(environ, start):
        seen.append(environ["PATH_INFO"])
        return ordinary(environ, start)

    monkeypatch.setattr(hot, "application", watched)
    return seen


def test_a_check_is_answered_ahead_of_django_with_every_header_that_django_gives(server, ada, acme_api, handed_on):
    path = f"/entitlements/check/sso?customerId={ada.id}"

    status, headers, told = server.serve("GET", path)

    ordinary = acme_api.get(path, Accept="application/json, text/plain")
    expected = {name: value for name, value in ordinary.headers.items() if name not in VOLATILE | {"Allow"}}
    assert (status, told) == (ordinary.status_code, ordinary.json())
    assert {name: value for name, value in headers.items() if name not in VOLATILE} == expected
    assert set(headers) >= VOLATILE - {"Set-Cookie"}
    assert handed_on == []


def test_usage_is_counted_once_ahead_of_django(server, ada, handed_on):
    first = server.serve("POST", "/usage/track", ada.event(idempotencyKey="k1"))
    again = server.serve("POST", "/usage/track", ada.event(idempotencyKey="k1"))

    assert first[0] == again[0] == 200
    assert first[2]["currentUsage"] == again[2]["currentUsage"] == 1
    assert handed_on == []


@pytest.mark.parametrize(
    "more",
    [
        {"HTTP_ORIGIN": "https://app.example.com"},
        {"HTTP_AUTHORIZATION": "Bearer nonsense"},
        {"HTTP_ACCEPT": "text/html"},
        {"HTTP_CONTENT_ENCODING": "gzip"},
        {"HTTP_X_STACKBE_APP": "app_01jd0000000000000000000000"},
        {"REQUEST_METHOD": "DELETE"},
        {"QUERY_STRING": "customerId=x&more=1"},
        {"PATH_INFO": "/v1/entitlements/check/a/b"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_whatever_needs_a_closer_look_is_left_to_django(server, ada, handed_on, more):
    status, headers, told = server.serve("GET", f"/entitlements/check/sso?customerId={ada.id}", **more)

    assert status >= 400
    assert told["requestId"] == headers["X-Request-Id"]
    assert len(handed_on) == 1


def test_a_body_that_was_looked_at_is_whole_for_django(server, ada, handed_on):
    body = ada.event(timestamp="2020-01-01T00:00:00Z")

    status, _, told = server.serve("POST", "/usage/track", body)

    assert (status, told["code"]) == (400, "VALIDATION_ERROR")
    assert "timestamp" in told["fields"]
    assert handed_on == ["/v1/usage/track"]


def test_plain_http_is_refused_where_https_is_asked_for(server, ada, settings):
    settings.REQUIRE_HTTPS = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.TRUSTED_PROXIES = 1
    path = f"/entitlements/check/sso?customerId={ada.id}"
    proxy = {"REMOTE_ADDR": "10.0.0.2"}

    assert server.serve("GET", path, **proxy)[0] == 403
    assert server.serve("GET", path, **proxy, HTTP_X_FORWARDED_PROTO="http")[0] == 403
    assert server.serve("GET", path, HTTP_X_FORWARDED_PROTO="https")[0] == 403  # from whom no proxy is
    assert server.serve("GET", path, **proxy, HTTP_X_FORWARDED_PROTO="https")[0] == 200


def test_a_refusal_names_its_request_and_a_crash_says_nothing_of_itself(server, ada, monkeypatch, caplog):
    nobody = server.serve("GET", "/entitlements/check/sso?customerId=cust_01jd0000000000000000000000")
    monkeypatch.setattr("usage.views.checks.decide", lambda *_: 1 / 0)
    crashed = server.serve("GET", f"/entitlements/check/sso?customerId={ada.id}")

    assert (nobody[0], nobody[2]["code"]) == (404, "CUSTOMER_NOT_FOUND")
    assert (crashed[0], crashed[2]["code"]) == (500, "INTERNAL_ERROR")
    for _, headers, told in (nobody, crashed):
        assert told["requestId"] == headers["X-Request-Id"]
    assert "division" not in json.dumps(crashed[2])


@pytest.mark.parametrize("chosen", ["", "trace-1", "joe.bloggs@shop.example"])
def test_its_line_in_the_log_has_what_the_ordinary_line_has(server, ada, acme_api, settings, monkeypatch, chosen):
    settings.LOG_REQUESTS = True
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    monkeypatch.setattr(logging.getLogger("stackbe.request"), "level", logging.INFO)
    path = f"/entitlements/check/sso?customerId={ada.id}"

    server.serve("GET", path, HTTP_X_REQUEST_ID=chosen)
    acme_api.get(path, Accept="application/json, text/plain", X_Request_Id=chosen)

    short, ordinary = (json.loads(line) for line in stream.getvalue().splitlines())
    assert list(short) == list(ordinary)
    assert {**short, "time": "", "duration_ms": 0, "requestId": ""} == {
        **ordinary,
        "time": "",
        "duration_ms": 0,
        "requestId": "",
    }
    assert "joe.bloggs" not in stream.getvalue()
