"""Which pages may read answers: check 29 of the security list."""

from __future__ import annotations

import pytest

from accounts import cors
from accounts.models import App
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change
from tests.cast import Api
from tests.refusals import never

HOME = "http://localhost:3000"
OTHER = "https://shop.globex.example"
ALLOW = "Access-Control-Allow-Origin"
HOSTILE = [
    "null", "*", "http://localhost:3000.evil.example", "http://localhost:30001", "https://localhost:3000",
    "http://LOCALHOST:3000", "http://localhost:3000/", "http://evil.example", "http://localhost",
    "http://localhost:3000@evil.example", "file://", "http://localhost:3000, http://evil.example",
    "http://[::1]:3000", "x" * 9000, "",
]  # fmt: skip


@pytest.fixture
def rival(globex):
    """Globex, with an origin of its own."""
    Api(globex.tenant_key).patch(f"/apps/{globex.app}", {"settings": {"allowedOrigins": [OTHER]}})
    return globex


def preflight(path, origin):
    return Api(None).request("OPTIONS", path, Origin=origin, **{"Access-Control-Request-Method": "POST"})


def varies(response):
    return "origin" in response.headers.get("Vary", "").lower()


def test_a_preflight_below_an_app_is_judged_by_its_origins(acme, rival):
    path = f"/apps/{acme.app}/auth/magic-link"

    good, foreign = preflight(path, HOME), preflight(path, OTHER)

    assert (good.status_code, good.headers[ALLOW]) == (204, HOME)
    assert "authorization" in good.headers["Access-Control-Allow-Headers"]
    assert ALLOW not in foreign.headers
    assert varies(good)
    assert varies(foreign)


def test_a_preflight_elsewhere_passes_if_some_app_registers_the_origin(acme, rival):
    assert preflight("/entitlements/check", OTHER).headers[ALLOW] == OTHER
    assert ALLOW not in preflight("/entitlements/check", "https://nobody.example").headers


@pytest.mark.parametrize("origin", HOSTILE)
def test_hostile_origins_are_told_nothing(acme, acme_api, origin):
    responses = [
        preflight(f"/apps/{acme.app}/auth/magic-link", origin),
        preflight("/customers", origin),
        Api(acme.publishable, Origin=origin).get("/me"),
        Api(None, Origin=origin).get(f"/apps/{acme.app}/nothing"),
    ]

    for response in responses:
        assert ALLOW not in response.headers
        assert varies(response)


def test_an_answer_may_be_read_only_where_the_credentials_app_registers_the_origin(acme, rival):
    def answer(key, origin):
        return Api(key, Origin=origin).get("/customers")

    assert answer(acme.publishable, HOME).headers[ALLOW] == HOME
    assert ALLOW not in answer(acme.publishable, OTHER).headers
    assert ALLOW not in answer(rival.publishable, HOME).headers
    assert answer(rival.publishable, OTHER).headers[ALLOW] == OTHER


def test_without_a_credential_the_path_tells_the_app(acme, rival):
    path = f"/apps/{acme.app}/auth/verify"

    assert Api(None, Origin=HOME).post(path, {}).headers[ALLOW] == HOME
    assert ALLOW not in Api(None, Origin=OTHER).post(path, {}).headers
    assert ALLOW not in Api(None, Origin=HOME).post("/customers", {}).headers
    assert ALLOW not in Api(None, Origin=HOME).post("/tenants", {}).headers


@pytest.mark.parametrize("app", ["nonsense", "%00", "app_"])
def test_an_app_that_is_none_registers_nothing(db, app):
    assert ALLOW not in preflight(f"/apps/{app}/auth/verify", HOME).headers
    assert ALLOW not in preflight(f"/apps/{never('app')}/auth/verify", HOME).headers


def test_a_closed_app_registers_nothing(acme):
    with change(acme.scope):
        App.objects.within(acme.scope).update(archived_at=wall_clock())

    assert ALLOW not in preflight(f"/apps/{acme.app}/auth/verify", HOME).headers
    assert ALLOW not in preflight("/customers", HOME).headers


def test_credentials_are_never_allowed_and_star_is_never_said(acme):
    for response in (
        preflight(f"/apps/{acme.app}/auth/verify", HOME),
        preflight("/customers", HOME),
        Api(acme.publishable, Origin=HOME).get("/customers"),
    ):
        assert "Access-Control-Allow-Credentials" not in response.headers
        assert response.headers[ALLOW] == HOME


def test_every_answer_varies_by_origin(acme_api):
    assert varies(acme_api.get("/me"))
    assert varies(acme_api.get("/nothing-here"))


def test_a_secret_key_from_a_registered_origin_is_refused_unread(acme):
    response = Api(acme.key, Origin=HOME).get("/customers")

    assert response.status_code == 403
    assert ALLOW not in response.headers


def test_a_page_may_read_the_headers_that_tell_it_what_to_do(acme):
    exposed = Api(acme.publishable, Origin=HOME).get("/customers").headers["Access-Control-Expose-Headers"]

    assert {"x-request-id", "retry-after"} <= set(exposed.split(", "))


def test_preflights_are_limited_by_address(acme, monkeypatch):
    monkeypatch.setattr(cors, "PREFLIGHTS_PER_MINUTE", 2)

    answers = [preflight("/customers", HOME).status_code for _ in range(3)]

    assert answers == [204, 204, 429]


def test_pages_are_not_shared(db):
    response = Api(None).client.get("/login", headers={"Origin": HOME})

    assert ALLOW not in response.headers


def test_a_preflight_says_how_many_more_there_may_be(acme, monkeypatch):
    monkeypatch.setattr(cors, "PREFLIGHTS_PER_MINUTE", 2)
    path = f"/apps/{acme.app}/auth/magic-link"

    answers = [preflight(path, HOME) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [204, 204, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert all({"X-RateLimit-Reset", "RateLimit", "RateLimit-Policy"} <= set(answer.headers) for answer in answers)
