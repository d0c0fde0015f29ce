"""GET, PATCH, DELETE /v1/apps/:appId."""

from __future__ import annotations

import pytest

from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import reading
from tests.cast import LOCAL_CALLBACK, Api
from tests.refusals import (
    assert_hidden,
    assert_needs_credential,
    assert_needs_scope,
    assert_refuses_each,
    never,
)

METHODS = ["GET", "PATCH", "DELETE"]


def url(company):
    return f"/apps/{company.app}"


def test_an_app_is_shown_with_every_setting(acme, acme_api):
    told = acme_api.get(url(acme)).json()

    assert told["id"] == acme.app
    assert told["settings"]["callbackUrls"] == [LOCAL_CALLBACK]
    assert told["settings"]["magicLinkExpiryMinutes"] == 15


def test_a_tenant_key_reaches_any_app_of_the_tenant(acme):
    tenant = Api(acme.tenant_key)
    other = tenant.post("/apps", {"name": "Other"}).json()

    assert tenant.get(f"/apps/{other['id']}").status_code == 200
    assert tenant.get(url(acme)).status_code == 200


def test_an_apps_key_reaches_its_own_alone(acme, acme_api):
    other = Api(acme.tenant_key).post("/apps", {"name": "Other"}).json()

    for method in METHODS:
        assert_hidden(acme_api, method, f"/apps/{other['id']}", f"/apps/{never('app')}", {})


@pytest.mark.parametrize("method", METHODS)
def test_a_rivals_app_is_hidden_and_unchanged(acme, globex, method):
    before = Api(acme.key).get(url(acme)).json()
    body = {"name": "Mine", "settings": {"callbackUrls": []}}

    for key in (globex.key, globex.tenant_key):
        assert_hidden(Api(key), method, url(acme), f"/apps/{never('app')}", body)

    assert Api(acme.key).get(url(acme)).json() == before


def test_some_settings_change_and_the_rest_stays(acme, acme_api):
    told = acme_api.patch(url(acme), {"settings": {"brandColor": "#000000", "gracePeriodDays": 3}}).json()

    assert (told["settings"]["brandColor"], told["settings"]["gracePeriodDays"]) == ("#000000", 3)
    assert told["settings"]["callbackUrls"] == [LOCAL_CALLBACK]
    assert acme_api.patch(url(acme), {"settings": {"brandColor": None}}).json()["settings"]["brandColor"] is None
    assert acme_api.patch(url(acme), {"name": "New"}).json()["name"] == "New"


def test_lists_are_replaced_whole(acme, acme_api):
    told = acme_api.patch(url(acme), {"settings": {"callbackUrls": ["https://shop.example/cb"]}}).json()

    assert told["settings"]["callbackUrls"] == ["https://shop.example/cb"]
    assert acme_api.patch(url(acme), {"settings": {"callbackUrls": []}}).json()["settings"]["callbackUrls"] == []


def test_the_audit_tells_what_changed(acme, acme_api):
    acme_api.patch(url(acme), {"settings": {"gracePeriodDays": 3}})
    acme_api.patch(url(acme), {"settings": {"gracePeriodDays": 3}})

    with reading(acme.scope):
        (row,) = AuditEvent.objects.within(acme.scope).filter(action="app.updated")
        assert row.detail == {"grace_period_days": {"from": None, "to": 3}}


def test_the_environment_is_fixed_for_life(acme, acme_api):
    assert_refuses_each(acme_api, "PATCH", url(acme), [({"environment": "live"}, "environment")])


def test_bad_settings_are_named(acme, acme_api):
    cases = [
        ({"settings": {"callbackUrls": ["http://shop.example/"]}}, "settings.callbackUrls"),
        ({"settings": {"magicLinkExpiryMinutes": 60}}, "settings.magicLinkExpiryMinutes"),
        ({"settings": {"x": 1}}, "settings.x"),
        ({"settings": None}, "settings"),
        ({"name": ""}, "name"),
        ({"id": "x"}, "id"),
    ]

    assert_refuses_each(acme_api, "PATCH", url(acme), cases)


def test_an_archived_app_is_gone_and_audited(acme, audited):
    tenant = Api(acme.tenant_key)

    assert tenant.delete(url(acme)).status_code == 204

    assert tenant.get(url(acme)).status_code == 404
    assert tenant.delete(url(acme)).status_code == 404
    assert Api(acme.key).get("/me").status_code == 401
    assert audited()[-1] == "app.archived"


def test_any_key_may_look_and_apps_write_may_change(acme):
    weak = acme.api("plans:read")

    assert weak.get(url(acme)).status_code == 200
    assert_needs_scope(weak, "apps:write", "PATCH", url(acme), {"name": "x"})
    assert_needs_scope(weak, "apps:write", "DELETE", url(acme))
    for method in METHODS:
        assert_needs_credential(method, url(acme), {})


@pytest.mark.parametrize("wrong", ["app_", "acme", "%00", "cust_01jd0000000000000000000000"])
def test_what_is_no_id_is_no_app(acme, wrong):
    for key in (acme.key, acme.tenant_key):
        response = Api(key).get(f"/apps/{wrong}")
        assert (response.status_code, response.json()["code"]) == (404, "APP_NOT_FOUND")
