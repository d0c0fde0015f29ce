"""GET /v1/apps."""

from __future__ import annotations

from tests.cast import Api
from tests.refusals import assert_needs_credential, assert_refuses_each


def names(api, query=""):
    return [row["name"] for row in api.get(f"/apps{query}").json()["data"]]


def test_a_tenant_key_sees_all_apps_newest_first(acme):
    tenant = Api(acme.tenant_key)
    tenant.post("/apps", {"name": "Second"})

    assert names(tenant) == ["Second", "Acme"]
    assert names(tenant, "?limit=1") == ["Second"]


def test_an_apps_key_sees_its_own(acme, acme_api):
    Api(acme.tenant_key).post("/apps", {"name": "Second"})

    assert names(acme_api) == ["Acme"]


def test_an_archived_app_is_not_listed(acme):
    tenant = Api(acme.tenant_key)
    second = tenant.post("/apps", {"name": "Second"}).json()
    tenant.delete(f"/apps/{second['id']}")

    assert names(tenant) == ["Acme"]


def test_a_rivals_apps_are_not_listed(acme, globex):
    assert names(Api(globex.tenant_key)) == ["Globex"]


def test_it_needs_a_credential(db):
    assert_needs_credential("GET", "/apps")


def test_bad_queries_are_named(acme_api):
    for query, field in (("limit=0", "limit"), ("cursor=x", "cursor"), ("q=x", "q")):
        assert_refuses_each(acme_api, "GET", f"/apps?{query}", [(None, field)])


def test_listing_takes_the_same_queries_for_many(acme, django_assert_num_queries):
    tenant = Api(acme.tenant_key)
    for number in range(3):
        tenant.post("/apps", {"name": str(number)})

    # key, limit, savepoint, tenant, apps, tenant, release
    with django_assert_num_queries(7):
        tenant.get("/apps")
