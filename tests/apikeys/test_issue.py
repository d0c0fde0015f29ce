"""POST /v1/apps/:appId/api-keys."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection

from apikeys.models import ApiKey
from apikeys.text import read
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import reading
from tests.cast import Api
from tests.refusals import (
    CARD,
    assert_hidden,
    assert_needs_credential,
    assert_needs_scope,
    assert_refuses_each,
    never,
)


def url(company):
    return f"/apps/{company.app}/api-keys"


def test_a_new_key_is_shown_once_and_works(acme, acme_api):
    response = acme_api.post(url(acme), {"name": "Backend", "scopes": ["customers:read"]})

    assert response.status_code == 201
    told = response.json()
    assert re.fullmatch(r"sbk_test_[0-9A-Za-z]{44}", told["key"])
    assert told["key"].startswith(told["prefix"])
    assert (told["name"], told["scopes"]) == ("Backend", ["customers:read"])
    assert Api(told["key"]).get("/customers").status_code == 200
    assert told["key"] not in acme_api.get(url(acme)).content.decode()


def test_only_a_keyed_hash_of_it_is_stored(acme, acme_api):
    key = acme_api.post(url(acme), {"name": "x"}, **{"Idempotency-Key": "once"}).json()["key"]

    with reading(acme.scope):
        row = ApiKey.objects.within(acme.scope).get(lookup=read(key).lookup)
        assert row.text == ""
        with connection.cursor() as cursor:
            for table in ("apikeys_apikey", "kernel_idempotencyrecord", "kernel_auditevent", "webhooks_event"):
                cursor.execute(f"select t::text from {table} t")
                dump = "".join(text for (text,) in cursor.fetchall())
                secret = key[17:]
                assert secret not in dump
                assert secret.encode().hex() not in dump


def test_a_key_without_scopes_gets_those_of_its_maker(acme):
    maker = acme.api("keys:write", "customers:read")

    told = maker.post(url(acme), {"name": "x"}).json()

    assert told["scopes"] == ["customers:read", "keys:write"]


def test_a_key_cannot_give_a_scope_that_it_lacks(acme):
    maker = acme.api("keys:write")

    for scope in ("customers:write", "*"):
        response = maker.post(url(acme), {"name": "x", "scopes": [scope]})
        assert response.status_code == 403
        assert response.json()["code"] == "INSUFFICIENT_SCOPE"
        assert scope in response.json()["message"]


def test_an_expiry_and_networks_are_kept(acme, acme_api):
    at = (wall_clock() + timedelta(days=1)).isoformat()

    told = acme_api.post(
        url(acme), {"name": "x", "expiresAt": at, "allowedIps": ["192.0.2.7/24", "2001:db8::1"]}
    ).json()

    assert told["allowedIps"] == ["192.0.2.0/24", "2001:db8::1/128"]
    assert told["expiresAt"].endswith("Z")


def test_issuing_is_audited_without_the_key(acme, acme_api):
    told = acme_api.post(url(acme), {"name": "x"}).json()

    with reading(acme.scope):
        row = AuditEvent.objects.within(acme.scope).get(action="api_key.issued", target=told["id"])
        assert row.actor.startswith("key_")
        assert row.detail == {"name": "x", "scopes": ["*"]}


def test_it_needs_a_credential_and_keys_write(acme):
    assert_needs_credential("POST", url(acme), {"name": "x"})
    assert_needs_scope(acme.api("customers:write"), "keys:write", "POST", url(acme), {"name": "x"})


def test_a_publishable_key_may_not_do_it(acme):
    response = Api(acme.publishable).post(url(acme), {"name": "x"})

    assert response.status_code == 403
    assert response.json()["code"] == "FORBIDDEN"


def test_a_rivals_app_is_hidden(acme, globex, acme_api):
    body = {"name": "x"}

    assert_hidden(acme_api, "POST", url(globex), f"/apps/{never('app')}/api-keys", body)
    assert_hidden(Api(acme.tenant_key), "POST", url(globex), f"/apps/{never('app')}/api-keys", body)
    with reading(globex.scope):
        assert ApiKey.objects.within(globex.scope).count() == 3


def test_bad_input_is_named(acme, acme_api):
    assert_refuses_each(
        acme_api,
        "POST",
        url(acme),
        [
            ({"name": 7}, "name"),
            ({"name": ""}, "name"),
            ({"name": "a\0b"}, "name"),
            ({"name": "two\nlines"}, "name"),
            ({"name": "x" * 121}, "name"),
            ({"name": f"card {CARD}"}, "name"),
            ({"name": "x", "surprise": 1}, "surprise"),
            ({"name": "x", "scopes": "customers:read"}, "scopes"),
            ({"name": "x", "scopes": []}, "scopes"),
            ({"name": "x", "scopes": ["customers:fly"]}, "scopes"),
            ({"name": "x", "scopes": [None]}, "scopes"),
            ({"name": "x", "expiresAt": "tomorrow"}, "expiresAt"),
            ({"name": "x", "expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
            ({"name": "x", "expiresAt": "2030-01-01T00:00:00"}, "expiresAt"),
            ({"name": "x", "allowedIps": ["300.1.1.1"]}, "allowedIps"),
            ({"name": "x", "allowedIps": ["localhost"]}, "allowedIps"),
        ],
    )
    assert_refuses_each(acme_api, "POST", url(acme), [({}, "name")], "MISSING_REQUIRED_FIELD")


def test_a_repeat_with_its_idempotency_key_makes_one_key(acme, acme_api):
    first = acme_api.post(url(acme), {"name": "x"}, **{"Idempotency-Key": "once"})
    again = acme_api.post(url(acme), {"name": "x"}, **{"Idempotency-Key": "once"})
    other = acme_api.post(url(acme), {"name": "y"}, **{"Idempotency-Key": "once"})

    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len(acme_api.get(url(acme)).json()["data"]) == 3


def test_a_tenant_key_may_name_the_app_in_the_path(acme):
    told = Api(acme.tenant_key).post(url(acme), {"name": "x"}).json()

    assert Api(told["key"]).get("/me").json()["app"]["id"] == acme.app


@pytest.mark.parametrize("environment", ["test", "live"])
def test_the_spelling_tells_the_apps_environment(acme, environment):
    tenant = Api(acme.tenant_key)
    app = tenant.post("/apps", {"name": "x", "environment": environment}).json()["id"]

    key = tenant.post(f"/apps/{app}/api-keys", {"name": "x"}).json()["key"]

    assert key.startswith(f"sbk_{environment}_")
