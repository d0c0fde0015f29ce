"""DELETE /v1/apps/:appId/api-keys/:id."""

from __future__ import annotations

import pytest

from apikeys.models import ApiKey
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import reading
from tests.cast import Api
from tests.refusals import assert_hidden, assert_needs_credential, assert_needs_scope, never


@pytest.fixture
def made(acme, acme_api):
    """A key that is about to be revoked."""
    return acme_api.post(f"/apps/{acme.app}/api-keys", {"name": "x"}).json()


def url(acme, key_id):
    return f"/apps/{acme.app}/api-keys/{key_id}"


def test_the_very_next_request_is_refused(acme, acme_api, made):
    client = Api(made["key"])
    assert client.get("/me").status_code == 200

    assert acme_api.delete(url(acme, made["id"])).status_code == 204

    response = client.get("/me")
    assert (response.status_code, response.json()["code"]) == (401, "UNAUTHORIZED")


def test_revoking_twice_is_harmless_and_audited_once(acme, acme_api, made):
    assert acme_api.delete(url(acme, made["id"])).status_code == 204
    assert acme_api.delete(url(acme, made["id"])).status_code == 204

    with reading(acme.scope):
        rows = AuditEvent.objects.within(acme.scope).filter(action="api_key.revoked")
        assert rows.count() == 1


def test_a_key_may_revoke_itself(acme, made):
    client = Api(made["key"])

    assert client.delete(url(acme, made["id"])).status_code == 204
    assert client.get("/me").status_code == 401


def test_it_needs_a_credential_and_keys_write(acme, made):
    assert_needs_credential("DELETE", url(acme, made["id"]))
    assert_needs_scope(acme.api("apps:write"), "keys:write", "DELETE", url(acme, made["id"]))


def test_a_rivals_key_is_hidden_and_lives_on(acme, globex, globex_api, made):
    assert_hidden(globex_api, "DELETE", url(globex, made["id"]), url(globex, never("key")))
    assert_hidden(globex_api, "DELETE", url(acme, made["id"]), f"/apps/{never('app')}/api-keys/{made['id']}")

    assert Api(made["key"]).get("/me").status_code == 200


def test_an_attempt_on_a_key_that_is_not_theirs_is_on_record(acme, globex, globex_api, made):
    def recorded(company):
        with reading(company.scope):
            rows = AuditEvent.objects.within(company.scope).filter(action="api_key.refused").order_by("id")
            return [(row.actor, row.detail["path"], row.detail["status"]) for row in rows]

    theirs = url(globex, made["id"])
    globex_api.delete(theirs)
    globex_api.post(f"{theirs}/rotate")
    globex.api("customers:read").delete(theirs)

    told = recorded(globex)
    assert [(path, status) for _, path, status in told] == [
        (f"/v1{theirs}", 404),
        (f"/v1{theirs}/rotate", 404),
        (f"/v1{theirs}", 403),
    ]
    assert all(actor.startswith("key_") for actor, _, _ in told)
    assert recorded(acme) == []


def test_a_tenants_key_is_not_found_among_the_apps(acme, acme_api):
    with reading(acme.scope):
        row = ApiKey.objects.within(acme.scope).get(name="tenant")

    assert_hidden(acme_api, "DELETE", url(acme, row.public_id), url(acme, never("key")))


@pytest.mark.parametrize("wrong", ["key_", "cust_01jd0000000000000000000000", "%00", "KEY_01JD", "é"])
def test_a_malformed_id_is_no_key(acme, acme_api, wrong):
    assert acme_api.delete(url(acme, wrong)).status_code == 404
