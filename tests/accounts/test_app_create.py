"""POST /v1/apps."""

from __future__ import annotations

import pytest

from tests.cast import Api
from tests.refusals import (
    CARD,
    assert_needs_credential,
    assert_needs_scope,
    assert_refuses_each,
)

DEFAULTS = {
    "autoCreateCustomer": True,
    "magicLinkExpiryMinutes": 15,
    "callbackUrls": [],
    "devCallbackUrl": None,
    "verificationUrl": None,
    "organizationsEnabled": False,
    "gracePeriodDays": 7,
    "dunningDays": [0, 3, 6],
    "trialEndingDays": 3,
    "trialEndingMail": True,
    "trialOncePerDomain": False,
    "revokeOnRefund": False,
    "revokeOnDispute": False,
    "automaticTax": False,
    "taxIdCollection": False,
    "usageRetentionMonths": 25,
    "secondFactors": "off",
    "allowedOrigins": [],
    "sessionTtlMinutes": 43_200,
    "sessionIdleMinutes": 20_160,
    "accessTokenTtlMinutes": 15,
    "emailFromName": None,
    "brandColor": None,
    "logoUrl": None,
}
LOCAL = {
    "organizationsEnabled": True,
    "callbackUrls": ["http://localhost:3000/callback", "http://127.0.0.1:3000/callback"],
    "allowedOrigins": ["http://localhost:3000", "http://127.0.0.1:3000"],
}


@pytest.fixture
def tenant(acme):
    """A client with the tenant's key."""
    return Api(acme.tenant_key)


def test_a_test_app_trusts_the_developers_own_machine(tenant):
    response = tenant.post("/apps", {"name": "Shop"})

    assert response.status_code == 201
    told = response.json()
    assert told["id"].startswith("app_")
    assert (told["name"], told["environment"]) == ("Shop", "test")
    assert told["settings"] == DEFAULTS | LOCAL


def test_a_live_app_trusts_nothing_yet(tenant):
    told = tenant.post("/apps", {"name": "Shop", "environment": "live"}).json()

    assert (told["environment"], told["settings"]) == ("live", DEFAULTS)


def test_all_settings_may_be_given(tenant):
    settings = {
        "autoCreateCustomer": False,
        "magicLinkExpiryMinutes": 5,
        "callbackUrls": ["https://shop.example/cb?x=1", "http://localhost:5173/cb", "https://shop.example:8443/"],
        "devCallbackUrl": "http://127.0.0.1:8080/cb",
        "verificationUrl": "https://shop.example/verify",
        "organizationsEnabled": True,
        "gracePeriodDays": 0,
        "dunningDays": [1, 5],
        "trialEndingDays": 7,
        "trialEndingMail": False,
        "trialOncePerDomain": True,
        "revokeOnRefund": True,
        "revokeOnDispute": True,
        "automaticTax": True,
        "taxIdCollection": True,
        "usageRetentionMonths": 3,
        "secondFactors": "optional",
        "allowedOrigins": ["https://shop.example", "http://localhost:5173"],
        "sessionTtlMinutes": 60,
        "sessionIdleMinutes": 30,
        "accessTokenTtlMinutes": 5,
        "emailFromName": "Shop & Söhne",
        "brandColor": "#1A2B3C",
        "logoUrl": "https://shop.example/logo.png",
    }

    told = tenant.post("/apps", {"name": "Shop", "settings": settings}).json()

    assert told["settings"] == settings | {"brandColor": "#1a2b3c"}
    assert tenant.get(f"/apps/{told['id']}").json()["settings"] == told["settings"]


def test_its_publishable_key_names_it(tenant):
    told = tenant.post("/apps", {"name": "Shop"}).json()

    rows = tenant.get(f"/apps/{told['id']}/api-keys").json()["data"]
    assert [row["publishableKey"] for row in rows] == [told["publishableKey"]]
    assert told["publishableKey"].startswith("sbk_pub_")


def test_making_one_is_audited(tenant, audited):
    tenant.post("/apps", {"name": "Shop"})

    assert audited()[-2:] == ["app.created", "api_key.issued"]


def test_an_apps_own_key_cannot_make_another(acme_api):
    response = acme_api.post("/apps", {"name": "Shop"})

    assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN")


def test_it_needs_a_credential_and_apps_write(tenant):
    weak = Api(tenant.post("/api-keys", {"name": "x", "scopes": ["keys:write"]}).json()["key"])

    assert_needs_credential("POST", "/apps", {"name": "x"})
    assert_needs_scope(weak, "apps:write", "POST", "/apps", {"name": "x"})


def test_a_repeat_with_its_idempotency_key_makes_one_app(tenant):
    first = tenant.post("/apps", {"name": "Shop"}, **{"Idempotency-Key": "once"})
    again = tenant.post("/apps", {"name": "Shop"}, **{"Idempotency-Key": "once"})
    other = tenant.post("/apps", {"name": "B"}, **{"Idempotency-Key": "once"})

    assert again.content == first.content
    assert other.json()["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert len(tenant.get("/apps").json()["data"]) == 2


BAD_SETTINGS = [
    ("callbackUrls", ["http://shop.example/cb"]),
    ("callbackUrls", ["http://localhost.evil.example/cb"]),
    ("callbackUrls", ["http://127.0.0.1.evil.example/cb"]),
    ("callbackUrls", ["http://localhost@evil.example/"]),
    ("callbackUrls", ["https://user:pass@shop.example/"]),
    ("callbackUrls", ["https://shop.example/cb#x"]),
    ("callbackUrls", ["https://shop.example/cb#"]),
    ("callbackUrls", ["https://*.shop.example/cb"]),
    ("callbackUrls", ["https://SHOP.example/cb"]),
    ("callbackUrls", ["https://shop.example/a/../b"]),
    ("callbackUrls", ["https://shop.example\\@evil.example/"]),
    ("callbackUrls", ["https://shop.example:99999/"]),
    ("callbackUrls", ["https://shop.example:0/"]),
    ("callbackUrls", ["https:///cb"]),
    ("callbackUrls", ["https://[::1]/cb"]),
    ("callbackUrls", ["https://shöp.example/cb"]),
    ("callbackUrls", ["javascript:alert(1)"]),
    ("callbackUrls", ["data:text/html,x"]),
    ("callbackUrls", ["//shop.example/cb"]),
    ("callbackUrls", ["/cb"]),
    ("callbackUrls", [" https://shop.example/c b"]),
    ("callbackUrls", ["https://shop.example/\0"]),
    ("callbackUrls", ["https://shop.example/" + "x" * 2100]),
    ("callbackUrls", "https://shop.example/cb"),
    ("callbackUrls", [1]),
    ("callbackUrls", None),
    ("callbackUrls", ["https://shop.example/"] * 21),
    ("devCallbackUrl", "http://10.0.0.1/cb"),
    ("verificationUrl", "ftp://shop.example/"),
    ("logoUrl", "http://shop.example/logo.png"),
    ("logoUrl", "data:image/svg+xml,x"),
    ("allowedOrigins", ["https://shop.example/"]),
    ("allowedOrigins", ["https://shop.example/path"]),
    ("allowedOrigins", ["https://*.shop.example"]),
    ("allowedOrigins", ["*"]),
    ("allowedOrigins", ["null"]),
    ("allowedOrigins", ["shop.example"]),
    ("allowedOrigins", ["https://shop.example:443"]),
    ("allowedOrigins", ["http://shop.example"]),
    ("allowedOrigins", ["HTTPS://shop.example"]),
    ("magicLinkExpiryMinutes", 4),
    ("magicLinkExpiryMinutes", 16),
    ("magicLinkExpiryMinutes", "15"),
    ("magicLinkExpiryMinutes", True),
    ("accessTokenTtlMinutes", 0),
    ("accessTokenTtlMinutes", 16),
    ("sessionTtlMinutes", 4),
    ("sessionIdleMinutes", 29),
    ("sessionTtlMinutes", 10**9),
    ("dunningDays", [3, 1]),
    ("dunningDays", [-1]),
    ("trialEndingDays", 0),
    ("gracePeriodDays", -1),
    ("gracePeriodDays", 91),
    ("usageRetentionMonths", 2),
    ("usageRetentionMonths", 121),
    ("gracePeriodDays", 1.5),
    ("autoCreateCustomer", "yes"),
    ("autoCreateCustomer", None),
    ("organizationsEnabled", 1),
    ("emailFromName", "Shop <x@evil.example>"),
    ("emailFromName", "Shop\r\nBcc: x"),
    ("emailFromName", "x" * 61),
    ("brandColor", "red"),
    ("brandColor", "#fff;background:url(x)"),
    ("brandColor", "#12345"),
    ("surprise", 1),
    ("callback_urls", []),
]


@pytest.mark.parametrize(("name", "value"), BAD_SETTINGS, ids=str)
def test_bad_settings_are_named(tenant, name, value):
    cases = [({"name": "x", "settings": {name: value}}, f"settings.{name}")]

    assert_refuses_each(tenant, "POST", "/apps", cases)


def test_a_live_app_takes_no_plain_http_at_all(tenant):
    for name, value in (
        ("callbackUrls", ["http://localhost:3000/cb"]),
        ("devCallbackUrl", "http://127.0.0.1/cb"),
        ("allowedOrigins", ["http://localhost:3000"]),
    ):
        body = {"name": "x", "environment": "live", "settings": {name: value}}
        assert_refuses_each(tenant, "POST", "/apps", [(body, f"settings.{name}")])


def test_bad_input_is_named(tenant):
    cases = [
        ({"name": 1}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": CARD}, "name"),
        ({"name": "a\0"}, "name"),
        ({"name": "x", "environment": "staging"}, "environment"),
        ({"name": "x", "environment": None}, "environment"),
        ({"name": "x", "settings": []}, "settings"),
        ({"name": "x", "tenantId": "ten_1"}, "tenantId"),
    ]

    assert_refuses_each(tenant, "POST", "/apps", cases)
    assert_refuses_each(tenant, "POST", "/apps", [({}, "name")], "MISSING_REQUIRED_FIELD")


def test_a_new_app_has_its_signing_key_before_anybody_signs_in(tenant):
    made = tenant.post("/apps", {"name": "Fresh"}).json()["id"]

    (key,) = Api(None).get(f"/apps/{made}/.well-known/jwks.json").json()["keys"]

    assert (key["kty"], key["crv"], key["alg"]) == ("OKP", "Ed25519", "EdDSA")
