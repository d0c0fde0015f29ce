"""What each form does, and what it says when it refuses."""

from __future__ import annotations

import re

import pytest

from accounts.models import App, Membership
from apikeys.models import ApiKey
from stackbe.kernel.transactions import change, reading
from tests.cast import Api
from tests.dashboard.conftest import newcomer
from tests.signin.conftest import words
from usage.services.metrics import live_metrics
from webhooks.services.endpoints import endpoints_of


def test_a_key_is_shown_once_and_works(desk):
    response = desk.post("keys", name="server", reach="all")

    assert response.status_code == 201
    assert response["Cache-Control"] == "no-store"
    key = re.search(r"sbk_test_[A-Za-z0-9]{44}", response.content.decode())[0]
    assert Api(key).get("/me").status_code == 200
    assert key not in desk.get("keys").content.decode()


def test_a_key_of_some_scopes_carries_those_alone(desk):
    response = desk.post("keys", name="reader", reach="some", scopes=["customers:read"])

    key = re.search(r"sbk_test_[A-Za-z0-9]{44}", response.content.decode())[0]
    assert Api(key).get("/customers").status_code == 200
    assert Api(key).post("/customers", {"email": "kim@example.com"}).json()["code"] == "INSUFFICIENT_SCOPE"


def test_a_key_of_no_scope_is_not_made(desk):
    response = desk.post("keys", name="nothing", reach="some")

    assert response.status_code == 400
    assert "Tick at least one" in words(response)


def test_rotating_shows_the_new_key_and_ends_the_old_one(desk):
    with reading(desk.company.scope):
        old = ApiKey.objects.within(desk.company.scope).get(name="app")

    response = desk.post(f"keys/{old.public_id}/rotate", grace_seconds="0")

    new = re.search(r"sbk_test_[A-Za-z0-9]{44}", response.content.decode())[0]
    assert Api(new).get("/me").status_code == 200
    assert Api(desk.company.key).get("/me").status_code == 401


def test_revoking_ends_a_key_on_its_next_call(desk):
    with reading(desk.company.scope):
        row = ApiKey.objects.within(desk.company.scope).get(name="app")

    response = desk.post(f"keys/{row.public_id}/revoke")

    assert "The next request with that key is refused" in words(response)
    assert Api(desk.company.key).get("/me").status_code == 401


def test_a_rivals_key_is_not_revoked(desk, globex):
    with reading(globex.scope):
        theirs = ApiKey.objects.within(globex.scope).get(name="app")

    response = desk.post(f"keys/{theirs.public_id}/revoke")

    assert response.status_code == 404
    assert Api(globex.key).get("/me").status_code == 200


def test_a_customer_is_added_and_found_by_address_domain_and_own_id(desk):
    desk.post("customers", email="kim@example.com", name="Kim <script>alert(1)</script>", external_id="user_42")

    for wanted in ("kim@example.com", "example.com", "user_4"):
        found = desk.get(f"customers?q={wanted}").content.decode()
        assert "kim@example.com" in found
        assert "<script>alert" not in found
    assert "Nobody found" in words(desk.get("customers?q=nobody@example.net"))


def test_a_second_customer_with_the_address_is_refused_beside_the_field(desk):
    desk.post("customers", email="kim@example.com")

    response = desk.post("customers", email="KIM@example.com")

    assert response.status_code == 400
    assert "A customer with this email exists" in words(response)


def test_htmx_gets_the_rows_alone(desk):
    desk.post("customers", email="kim@example.com")

    rows = desk.get("customers?q=kim@example.com", **{"HX-Request": "true"}).content.decode()

    assert "kim@example.com" in rows
    assert "<html" not in rows


@pytest.mark.parametrize("cursor", ["nonsense", "%00", "a" * 500])
def test_a_wrong_cursor_is_a_page_that_says_so(desk, cursor):
    response = desk.get(f"customers?cursor={cursor}")

    assert response.status_code == 400
    assert "<h1>" in response.content.decode()


def test_erasing_a_customer_wants_the_word(desk):
    desk.post("customers", email="kim@example.com")
    customer = re.search(r"cust_[a-z0-9]{26}", desk.get("customers").content.decode())[0]

    refused = desk.post(f"customers/{customer}/delete", word="yes")
    done = desk.post(f"customers/{customer}/delete", word="DELETE")

    assert "Nothing was changed" in words(refused)
    assert "will be erased" in words(done)
    assert desk.get(f"customers/{customer}").status_code == 404


def test_an_endpoint_shows_its_secret_once(desk):
    response = desk.post("webhooks", url="http://127.0.0.1:9009/hook", reach="some", events=["customer.created"])

    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", response.content.decode())[0]
    with reading(desk.company.scope):
        endpoint = endpoints_of(desk.company.scope).get()
        kept = (endpoint.secret, endpoint.events)
    assert kept == (secret, ["customer.created"])
    assert secret not in desk.get(f"webhooks/{endpoint.public_id}").content.decode()


def test_a_refused_url_is_told_beside_its_field(desk):
    response = desk.post("webhooks", url="ftp://example.com/", reach="all")

    assert response.status_code == 400
    assert 'class="errorlist' in response.content.decode()


def test_a_test_event_is_queued_and_sent_again(desk):
    desk.post("webhooks", url="http://127.0.0.1:9009/hook", reach="all")
    endpoint = re.search(r"we_[a-z0-9]{26}", desk.get("webhooks").content.decode())[0]

    sent = desk.post(f"webhooks/{endpoint}/test")
    event = re.search(r"evt_[a-z0-9]{26}", sent.content.decode())[0]
    again = desk.post(f"events/{event}/redeliver", endpoint_id=endpoint)

    assert "A test event is on its way" in words(sent)
    assert "On its way again" in words(again)
    assert "It works." in words(desk.get(f"events/{event}"))


def test_an_endpoint_is_switched_off_rotated_and_deleted(desk):
    desk.post("webhooks", url="http://127.0.0.1:9009/hook", reach="all")
    endpoint = re.search(r"we_[a-z0-9]{26}", desk.get("webhooks").content.decode())[0]

    off = desk.post(f"webhooks/{endpoint}/disable")
    refused = desk.post(f"webhooks/{endpoint}/test")
    rotated = desk.post(f"webhooks/{endpoint}/rotate")
    deleted = desk.post(f"webhooks/{endpoint}/delete")

    assert "Switched off" in words(off)
    assert "is on its way" not in words(refused)
    assert "whsec_" in words(rotated)
    assert "Nothing more is sent there" in words(deleted)
    assert desk.get(f"webhooks/{endpoint}").status_code == 404


def test_an_unknown_action_is_no_page(desk):
    desk.post("webhooks", url="http://127.0.0.1:9009/hook", reach="all")
    endpoint = re.search(r"we_[a-z0-9]{26}", desk.get("webhooks").content.decode())[0]

    assert desk.post(f"webhooks/{endpoint}/explode").status_code == 404


SETTINGS = {
    "name": "Acme", "callback_urls": "http://localhost:3000/callback\nhttps://acme.example/back",
    "magic_link_expiry_minutes": "10", "access_token_ttl_minutes": "15", "grace_period_days": "3",
    "brand_color": "#B4430F", "auto_create_customer": "on",
}  # fmt: skip


def test_settings_are_saved_as_the_api_shows_them(desk):
    response = desk.post("settings", **SETTINGS)

    assert "Saved" in words(response)
    saved = Api(desk.company.key).get(f"/apps/{desk.company.app}").json()["settings"]
    assert saved["callbackUrls"] == ["http://localhost:3000/callback", "https://acme.example/back"]
    assert saved["brandColor"] == "#b4430f"
    assert saved["magicLinkExpiryMinutes"] == 10


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("brand_color", "red;}body{display:none"),
        ("callback_urls", "javascript:alert(1)"),
        ("callback_urls", "http://evil.example/callback"),
        ("allowed_origins", "https://example.com/path"),
        ("magic_link_expiry_minutes", "60"),
        ("email_from_name", "Bank <x@bank.example>"),
    ],
)
def test_a_setting_that_the_api_refuses_is_refused_beside_its_field(desk, field, value):
    response = desk.post("settings", **(SETTINGS | {field: value}))

    assert response.status_code == 400
    assert 'class="errorlist' in response.content.decode()


def test_archiving_wants_the_apps_name_and_ends_its_keys(desk):
    refused = desk.post("settings/archive", name="something else")
    done = desk.post("settings/archive", name="Acme")

    assert "nothing was archived" in words(refused)
    assert done.status_code == 200
    assert Api(desk.company.key).get("/me").status_code == 401


def test_a_first_app_founds_its_account_and_brings_a_publishable_key(db):
    ada = newcomer("new@example.com")

    started = ada.get("/dashboard/", follow=True)
    made = ada.post("/dashboard/new", {"name": "Northwind", "environment": "test"}, follow=True)

    assert "What do you sell?" in words(started)
    assert "From here to a first subscription" in words(made)
    app = re.search(r"app_[a-z0-9]{26}", made.content.decode())[0]
    assert "sbk_pub_" in words(ada.get(f"/dashboard/{app}/keys"))


def test_forms_are_limited(desk):
    # Twice as many and one more: a minute of the limiter's may end between two of them.
    statuses = [desk.client.post(desk.url("keys"), {"name": ""}).status_code for _ in range(121)]

    assert statuses[0] == 400
    assert 429 in statuses


def test_a_metered_feature_without_a_metric_is_refused_beside_the_field(desk):
    response = desk.post("features", key="calls", type="metered")

    assert response.status_code == 400
    assert "Choose the metric that it is counted by" in words(response)


def test_a_name_that_has_a_space_is_told_what_a_name_may_hold(desk):
    metric = desk.post("usage", name="API calls", aggregation="sum", resets="month")
    feature = desk.post("features", key="api calls", type="boolean")

    assert (metric.status_code, feature.status_code) == (400, 400)
    assert all("Begin with a letter" in words(response) for response in (metric, feature))
    assert "Plans may grant team:sso.v2" in words(desk.post("features", key="team:sso.v2", type="boolean"))


def test_metrics_are_listed_once_defined(desk):
    desk.post("usage", name="api_calls", aggregation="sum", resets="month")

    twice = desk.post("usage", name="api_calls", aggregation="sum", resets="month")

    assert "exists already" in words(twice)
    with reading(desk.company.scope):
        assert live_metrics(desk.company.scope).count() == 1


def test_signing_a_customer_out_ends_their_sessions(desk):
    api = Api(desk.company.key)
    customer = api.post("/customers", {"email": "kim@example.com"}).json()["id"]
    token = api.post(f"/customers/{customer}/sessions").json()["sessionToken"]
    session = f"/apps/{desk.company.app}/auth/session"
    assert Api(token).get(session).status_code == 200

    response = desk.post(f"customers/{customer}/sign-out")

    assert "Signed out everywhere" in words(response)
    assert "No session is open" in words(response)
    assert Api(token).get(session).status_code == 401


def test_who_has_two_accounts_changes_between_them(desk, globex):
    with change(globex.scope):
        Membership(tenant_id=globex.tenant_id, user_id=desk.user.pk, role="viewer").save(force_insert=True)

    menu = words(desk.get())
    there = desk.client.get(f"/dashboard/?account={globex.tenant_id}", follow=True)

    assert "Your other accounts" in menu
    assert globex.app in there.request["PATH_INFO"]


def test_the_limits_of_sessions_are_set_and_what_is_left_empty_stays(desk):
    def config():
        with reading(desk.company.scope):
            return App.objects.within(desk.company.scope).get(pk=desk.company.app_id).config

    fields = {"name": "Acme", "magic_link_expiry_minutes": 15, "access_token_ttl_minutes": 15, "grace_period_days": 7}

    desk.post("settings", **fields, session_ttl_minutes=600, session_idle_minutes=60)
    assert (config().session_ttl_minutes, config().session_idle_minutes) == (600, 60)
    desk.post("settings", **fields)
    assert (config().session_ttl_minutes, config().session_idle_minutes) == (600, 60)
    refused = desk.post("settings", **fields, session_idle_minutes=29)

    assert refused.status_code == 400
    assert config().session_idle_minutes == 60
