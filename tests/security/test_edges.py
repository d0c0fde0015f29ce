"""What holds at every URL there is: a limit that says when to come again, and the headers that browsers go by.

All is made from the URL configuration, so that a new route cannot be forgotten.
"""

from __future__ import annotations

import re

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import URLPattern, URLResolver

from accounts.models import App
from stackbe.kernel import visitors
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.overload import Prompt, waited
from stackbe.kernel.scope import Credential
from stackbe.kernel.transactions import change
from stackbe.urls import ROUTES, urlpatterns
from tests.cast import Api
from tests.usage.test_short_way import Server

HOST = "localhost:8000"
ALL_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PLACEHOLDER = re.compile(r"<(?:(\w+):)?(\w+)>")
EVERYWHERE = {
    "Content-Security-Policy", "Permissions-Policy", "Referrer-Policy", "X-Content-Type-Options", "X-Frame-Options",
    "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Strict-Transport-Security", "X-Request-Id",
}  # fmt: skip
YEAR = "max-age=31536000; includeSubDomains; preload"


def pages(patterns=urlpatterns, before=""):
    """Return the address of every page, with ids of nothing; the API's routes have a table of their own."""
    for place in patterns:
        path = f"{before}{place.pattern}"
        if isinstance(place, URLResolver):
            if path != "v1/":
                yield from pages(place.url_patterns, path)
        elif isinstance(place, URLPattern) and not path.startswith("^v1"):
            yield "/" + PLACEHOLDER.sub(nothing, "staff/nowhere" if "(?P<url>" in path else path)


def nothing(found):
    return str(new_id()) if found[1] == "uuid" else encode("app", new_id())


@pytest.fixture
def https(settings):
    """Serve as a deployment does."""
    settings.REQUIRE_HTTPS = True
    settings.SECURE_SSL_REDIRECT = settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True
    settings.SECURE_HSTS_SECONDS = 31_536_000


@pytest.fixture
def narrow(settings, monkeypatch):
    """Let each address ask once, and count nothing that was asked before."""
    settings.ADDRESS_LIMITS = {name: (1, seconds) for name, (_, seconds) in settings.ADDRESS_LIMITS.items()}
    settings.FAILED_CREDENTIALS_PER_MINUTE = 1
    monkeypatch.setattr(visitors, "own_limits", visitors.OwnLimits())


def browser():
    return Client(raise_request_exception=False, headers={"host": HOST})


def told(response, where):
    """Hold the headers of an answer against those that every answer has."""
    missing = EVERYWHERE - {name for name in EVERYWHERE if name in response.headers}
    assert not missing, (where, response.status_code, missing)
    assert response["Strict-Transport-Security"] == YEAR, where
    assert response["X-Content-Type-Options"] == "nosniff", where
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy, where
    assert "frame-ancestors 'none'" in policy, where
    if response["Content-Type"].startswith("text/html"):
        assert response.headers.get("Cross-Origin-Embedder-Policy") == "require-corp", where


def refused(response, where):
    assert response.status_code == 429, (where, response.status_code)
    assert 1 <= int(response["Retry-After"]) <= 3600 + 180, where
    if response["Content-Type"] == "application/json":
        assert response.json()["code"] == "RATE_LIMITED", where
        assert response.json()["message"], where
    else:
        assert "seconds" in response.content.decode() or "Wait" in response.content.decode(), where


def walk_pages(methods):
    """Ask each page once, then by each method once more; the second must be refused."""
    client = browser()
    for number, path in enumerate(pages()):
        client.defaults["REMOTE_ADDR"] = f"198.51.100.{number % 250}"
        visitors.own_limits = visitors.OwnLimits()
        first = client.get(path, secure=True)
        assert first.status_code not in {429, *range(500, 503)}, (path, first.status_code)
        told(first, path)
        for method in methods:
            again = client.generic(method, path, secure=True)
            if method == "HEAD":
                assert again.status_code == 429, path
                continue
            refused(again, (method, path))
            told(again, (method, path))


def test_every_page_has_its_headers_and_a_limit(db, https, narrow):
    walk_pages(["POST"])


@pytest.mark.slow
def test_every_page_has_its_limit_by_every_method(db, https, narrow):
    walk_pages(ALL_METHODS)


def test_every_call_of_the_api_has_its_headers_and_a_limit(acme, https, narrow):
    with change(acme.scope):
        App.objects.within(acme.scope).update(api_limit_per_minute=1, hot_limit_per_minute=1)
    client = browser()
    key = {"Authorization": f"Bearer {acme.key}"}

    def ask(method, address, headers):
        return client.generic(method, f"/v1/{address}", b"{}", "application/json", headers=headers, secure=True)

    # The one call that is left to the key, on either kind of route, and to an address without a credential.
    for address, headers in (("me", key), ("entitlements/check/x", key), ("me", {})):
        told(ask("GET", address, headers), address)
    for row in ROUTES:
        address = PLACEHOLDER.sub(nothing, row.url)
        if any(access.public for access in row.methods.values()):
            told(ask(next(iter(row.methods)), address, {}), address)
        for method, access in row.methods.items():
            by_key = {Credential.KEY, Credential.TENANT_KEY} & access.credentials
            answer = ask(method, address, key if by_key else {})
            refused(answer, (method, row.url))
            told(answer, (method, row.url))


def test_what_is_answered_beside_the_pages_has_its_headers_too(acme, https, settings):
    client = browser()
    for path, more, status in (
        ("/static/css/base.css", {}, 200),
        ("/static/nothing.css", {}, 404),
        ("/nowhere", {}, 404),
        ("/v1", {}, 404),
        ("/v1/nowhere", {}, 404),
        ("/login", {"headers": {"host": "elsewhere.example"}}, 400),
        ("/login", {"headers": {"host": "127.0.0.1:8000"}}, 301),
    ):
        answer = client.get(path, secure=True, **more)
        for close in answer._resource_closers:  # without the signal of a request that ends: it closes the connection
            close()
        assert answer.status_code == status, path
        told(answer, path)


def test_the_short_way_and_a_refusal_for_want_of_time_say_the_same(acme, settings):
    ordinary = Api(acme.key).get("/me").headers
    beside = {"Allow", "Content-Type", "Content-Length", "X-Request-Id", "Cache-Control", "Retry-After"}
    wanted = {name: value for name, value in ordinary.items() if "RateLimit" not in name and name not in beside}

    short = Server(acme.key).serve("GET", "/entitlements/check/sso?customerId=nobody")[1]
    late = {}
    waited(9)
    list(Prompt(None, 1)({"PATH_INFO": "/v1/me", "REQUEST_METHOD": "GET"}, lambda _, told: late.update(told)))
    waited(0)

    assert wanted.items() <= short.items()
    assert wanted.items() <= late.items()
    assert EVERYWHERE - {"Strict-Transport-Security", "X-Request-Id"} <= set(wanted)


def test_over_plain_http_pages_lead_to_https_and_nothing_else_does(acme, https, caplog):
    client = browser()
    page = client.get("/login?next=/dashboard/")
    assert (page.status_code, page["Location"]) == (301, f"https://{HOST}/login?next=/dashboard/")
    assert client.get("/healthz").status_code == 200

    key = {"Authorization": f"Bearer {acme.key}"}
    with caplog.at_level("WARNING", "stackbe.request"):
        for method, path, headers in (
            ("GET", "/v1/me", key), ("GET", "/v1/me", {}), ("POST", "/v1/customers", key), ("GET", "/v1", key),
            ("GET", "/login", key), ("GET", "/metrics", key), ("GET", "/nowhere", key), ("OPTIONS", "/v1/me", {}),
            ("POST", f"/webhooks/stripe/{new_id()}", {}), ("POST", "/webhooks/mail/postmark", key),
        ):  # fmt: skip
            answer = client.generic(method, path, headers=headers)
            assert answer.status_code == 403, (method, path)
            assert "Location" not in answer.headers
            assert answer.json()["code"] == "FORBIDDEN"
            assert ("revoke it" in answer.json()["message"]) == bool(headers)
            assert "Strict-Transport-Security" not in answer.headers

    assert [record.getMessage() for record in caplog.records] == ["credential sent over plain http; revoke it"] * 7
    assert acme.key not in caplog.text


def test_a_forged_event_and_a_wrong_address_of_an_inbox_are_counted_and_a_proven_one_is_not(db, narrow):
    stranger = browser()
    nowhere = f"/webhooks/stripe/{new_id()}"

    answers = [stranger.post(nowhere, b"{}", "application/json").status_code for _ in range(3)]

    assert answers == [404, 429, 429]
    assert 1 <= int(stranger.get(nowhere)["Retry-After"]) <= 63


def test_without_the_database_a_process_counts_for_itself(db, narrow, monkeypatch):
    def away(*_):
        raise OperationalError("away")

    monkeypatch.setattr(visitors.limits, "take", away)
    stranger = browser()

    assert [stranger.get("/docs/webhooks").status_code for _ in range(3)] == [200, 429, 429]
