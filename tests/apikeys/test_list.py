"""GET /v1/apps/:appId/api-keys."""

from __future__ import annotations

from tests.cast import Api
from tests.refusals import assert_hidden, assert_needs_credential, assert_needs_scope, never

FIELDS = {
    "id", "name", "kind", "prefix", "scopes", "allowedIps", "publishableKey",
    "lastUsedAt", "expiresAt", "revokedAt", "suspendedAt", "createdAt",
}  # fmt: skip


def url(company):
    return f"/apps/{company.app}/api-keys"


def test_keys_are_listed_newest_first_without_the_secret(acme, acme_api):
    made = acme_api.post(url(acme), {"name": "second"}).json()

    response = acme_api.get(url(acme))

    rows = response.json()["data"]
    assert rows[0]["name"] == "second"
    assert all(set(row) == FIELDS for row in rows)
    assert acme.key not in response.content.decode()
    assert made["key"] not in response.content.decode()


def test_a_publishable_key_is_public_and_shown(acme, acme_api):
    rows = acme_api.get(url(acme)).json()["data"]

    assert [row["publishableKey"] for row in rows if row["kind"] == "publishable"] == [acme.publishable]


def test_last_use_and_revocation_are_shown(acme, acme_api):
    made = acme_api.post(url(acme), {"name": "x"}).json()
    Api(made["key"]).get("/me")
    acme_api.delete(f"{url(acme)}/{made['id']}")

    row = acme_api.get(url(acme)).json()["data"][0]

    assert row["lastUsedAt"]
    assert row["revokedAt"]


def test_pages_follow_their_cursor(acme, acme_api):
    for name in ("a", "b", "c"):
        acme_api.post(url(acme), {"name": name})

    first = acme_api.get(f"{url(acme)}?limit=2").json()
    second = acme_api.get(f"{url(acme)}?limit=2&cursor={first['nextCursor']}").json()

    assert [row["name"] for row in first["data"] + second["data"]][:3] == ["c", "b", "a"]
    assert first["hasMore"] is True


def test_the_tenants_own_keys_are_not_the_apps(acme, acme_api):
    assert "tenant" not in [row["name"] for row in acme_api.get(url(acme)).json()["data"]]


def test_it_needs_a_credential_and_keys_write(acme):
    assert_needs_credential("GET", url(acme))
    assert_needs_scope(acme.api("customers:read"), "keys:write", "GET", url(acme))


def test_a_rivals_app_is_hidden(acme_api, globex):
    assert_hidden(acme_api, "GET", url(globex), f"/apps/{never('app')}/api-keys")
    assert_hidden(acme_api, "GET", url(globex), "/apps/not-an-id/api-keys")


def test_listing_takes_the_same_queries_for_one_key_as_for_many(acme, acme_api, django_assert_num_queries):
    acme_api.get(url(acme))
    for number in range(5):
        acme_api.post(url(acme), {"name": str(number)})

    # key, limit, savepoint, tenant, app, keys, tenant, release
    with django_assert_num_queries(8):
        acme_api.get(url(acme))
