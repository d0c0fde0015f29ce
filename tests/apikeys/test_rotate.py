"""POST /v1/apps/:appId/api-keys/:id/rotate."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stackbe.kernel import clock
from tests.cast import Api
from tests.refusals import (
    assert_hidden,
    assert_needs_credential,
    assert_needs_scope,
    assert_refuses_each,
    never,
)


@pytest.fixture
def made(acme, acme_api):
    """A key that is about to be replaced."""
    body = {"name": "old", "scopes": ["customers:read", "keys:write"], "allowedIps": ["127.0.0.1"]}
    return acme_api.post(f"/apps/{acme.app}/api-keys", body).json()


@pytest.fixture
def later(monkeypatch):
    """Let the kernel's clock run ahead by some seconds."""
    started = clock.wall_clock()

    def move(seconds):
        monkeypatch.setattr(clock.timezone, "now", lambda: started + timedelta(seconds=seconds))

    return move


def url(acme, key_id):
    return f"/apps/{acme.app}/api-keys/{key_id}/rotate"


def test_without_grace_the_old_key_dies_at_once(acme, acme_api, made):
    response = acme_api.post(url(acme, made["id"]))

    assert response.status_code == 201
    told = response.json()
    assert told["id"] != made["id"]
    assert (told["name"], told["scopes"], told["allowedIps"]) == (
        "old", ["customers:read", "keys:write"], ["127.0.0.1/32"],
    )  # fmt: skip
    assert Api(told["key"]).get("/customers").status_code == 200
    assert Api(made["key"]).get("/customers").status_code == 401


def test_with_grace_both_work_until_it_ends(acme, acme_api, made, later):
    told = acme_api.post(url(acme, made["id"]), {"graceSeconds": 60}).json()

    assert Api(made["key"]).get("/customers").status_code == 200
    later(61)
    assert Api(made["key"]).get("/customers").status_code == 401
    assert Api(told["key"]).get("/customers").status_code == 200


def test_a_key_in_its_grace_can_still_be_revoked(acme, acme_api, made):
    acme_api.post(url(acme, made["id"]), {"graceSeconds": 60})

    acme_api.delete(f"/apps/{acme.app}/api-keys/{made['id']}")

    assert Api(made["key"]).get("/customers").status_code == 401


def test_a_key_is_replaced_once(acme, acme_api, made):
    acme_api.post(url(acme, made["id"]), {"graceSeconds": 60})

    again = acme_api.post(url(acme, made["id"]))

    assert (again.status_code, again.json()["code"]) == (409, "CONFLICT")


def test_a_key_cannot_win_rights_by_rotating_a_stronger_one(acme, made):
    weak = acme.api("keys:write")

    response = weak.post(url(acme, made["id"]))

    assert (response.status_code, response.json()["code"]) == (403, "INSUFFICIENT_SCOPE")
    assert Api(made["key"]).get("/customers").status_code == 200


def test_a_publishable_key_is_replaced_by_a_publishable_one(acme, acme_api):
    rows = acme_api.get(f"/apps/{acme.app}/api-keys").json()["data"]
    (public,) = [row for row in rows if row["kind"] == "publishable"]

    told = acme_api.post(url(acme, public["id"])).json()

    assert told["key"].startswith("sbk_pub_")
    assert told["key"] == told["publishableKey"]


def test_the_same_idempotency_key_gives_the_same_successor(acme, acme_api, made):
    first = acme_api.post(url(acme, made["id"]), {}, **{"Idempotency-Key": "r"})
    again = acme_api.post(url(acme, made["id"]), {}, **{"Idempotency-Key": "r"})

    assert (again.status_code, again.content) == (201, first.content)


def test_it_needs_a_credential_and_keys_write(acme, made):
    assert_needs_credential("POST", url(acme, made["id"]))
    assert_needs_scope(acme.api("apps:write"), "keys:write", "POST", url(acme, made["id"]))


def test_a_rivals_key_is_hidden(acme, globex, globex_api, made):
    assert_hidden(globex_api, "POST", url(globex, made["id"]), url(globex, never("key")))
    assert_hidden(
        globex_api, "POST", url(acme, made["id"]), url(globex, never("key")).replace(globex.app, never("app"))
    )
    assert Api(made["key"]).get("/customers").status_code == 200


def test_bad_input_is_named(acme, acme_api, made):
    cases = [({"graceSeconds": v}, "graceSeconds") for v in (-1, "60", 1.5, True, None, 10**9)]
    assert_refuses_each(acme_api, "POST", url(acme, made["id"]), [*cases, ({"x": 1}, "x")])
