"""What each form does, and what it says when it refuses."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from accounts.models import App, Membership
from apikeys.models import ApiKey
from billing.models import Plan
from stackbe.kernel.transactions import change, reading
from tests.cast import Api
from tests.dashboard.conftest import newcomer
from usage.services.metrics import live_metrics
from webhooks.services.endpoints import endpoints_of


def words(response):
    return re.sub(r"<[^>]+>|\s+", " ", response.content.decode())


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


def test_a_plan_is_made_of_a_metric_and_a_feature(desk):
    desk.post("usage", name="api_calls", aggregation="sum", resets="billing_period", unit="calls")
    desk.post("features", key="priority_support", type="boolean")
    desk.post("features", key="calls", type="metered", metric="api_calls")

    response = desk.post(
        "plans/new",
        name="Pro", price="49.90", currency="eur", interval="month", trial_days="14",
        feature_priority_support="on", metric_api_calls="1000", mode_api_calls="hard",
    )  # fmt: skip

    assert "Pro is made" in words(response)
    assert "€49.90" in words(response)
    plan = Api(desk.company.key).get("/plans").json()["data"][0]
    assert plan["priceCents"] == 4990
    assert plan["entitlements"] == {"priority_support": True, "calls": 1000}
    assert plan["usage"] == [{"metric": "api_calls", "included": 1000, "mode": "hard"}]
    assert plan["trialDays"] == 14


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


def test_a_default_plan_that_costs_is_refused_beside_the_box(desk):
    response = desk.post(
        "plans/new", name="Pro", price="5", currency="usd", interval="month", trial_days="0", is_default="on"
    )

    assert response.status_code == 400
    assert "its price must be 0" in words(response)


def test_what_the_form_has_no_field_for_stays_as_it_is_when_a_plan_is_edited(desk):
    api = Api(desk.company.key)
    for name in ("calls", "seconds"):
        api.post("/metrics", {"name": name})
    api.post("/features", {"key": "projects", "type": "number"})
    overage = {"scheme": "per_unit", "unitAmountCents": 2}
    contents = {
        "usage": [
            {
                "metric": "calls",
                "included": 100,
                "mode": "soft",
                "overage": overage,
                "windows": [{"per": "day", "limit": 9}],
            },
            {"metric": "seconds", "included": None, "mode": "hard"},
        ],
        "entitlements": {"projects": None},
        "prices": [{"currency": "usd", "scheme": "volume", "tiers": [{"upTo": None, "unitAmountCents": 300}]}],
    }
    made = api.post("/plans", {"name": "Pro", **contents}).json()
    shown = words(desk.get(f"plans/{made['id']}"))
    entered = {"metric_calls": "200", "mode_calls": "soft", "mode_seconds": "hard", "trial_days": "7"}

    saved = desk.post(f"plans/{made['id']}", name="Pro+", **entered)

    assert ("Saved" in words(saved), "Its price has tiers" in shown, "without limit" in shown) == (True, True, True)
    assert "In tiers" in words(saved)
    plan = api.get(f"/plans/{made['id']}").json()
    assert plan["usage"] == [{**made["usage"][0], "included": 200}, made["usage"][1]]
    assert (plan["name"], plan["trialDays"], plan["prices"], plan["entitlements"]["projects"]) == (
        "Pro+", 7, made["prices"], None,
    )  # fmt: skip
    desk.post(f"plans/{made['id']}", name="Pro+", **{**entered, "mode_calls": "hard"})
    assert "overage" not in api.get(f"/plans/{made['id']}").json()["usage"][0]


class Shown(HTMLParser):
    """What a browser would send of a page's forms if nobody touched them."""

    def __init__(self, page):
        super().__init__()
        self.fields, self.select = {}, ""
        self.feed(page.content.decode())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "select":
            self.select = found["name"]
        elif tag == "option":
            if "selected" in found or self.select not in self.fields:
                self.fields[self.select] = found.get("value", "")
        elif tag == "input" and found.get("name") and (found.get("type") != "checkbox" or "checked" in found):
            self.fields[found["name"]] = found.get("value", "on")


@pytest.mark.parametrize(
    ("currency", "cents", "shown"), [("mxn", 10000, "100.00"), ("krw", 5000, "5000"), ("kwd", 12500, "12.500")]
)
def test_a_plan_that_is_saved_untouched_stays_as_it_was(desk, currency, cents, shown):
    api = Api(desk.company.key)
    api.post("/metrics", {"name": "calls"})
    for feature in ({"key": "calls", "type": "metered", "metric": "calls"}, {"key": "tags", "type": "list"},
                    {"key": "sso", "type": "boolean"}, {"key": "later", "type": "metered"}):  # fmt: skip
        api.post("/features", feature)
    prices = [
        {"currency": currency, "interval": "month", "intervalCount": 3, "unitAmountCents": cents},
        {"currency": "eur", "interval": "year", "unitAmountCents": 900},
    ]
    entitlements = {"calls": 500, "later": 7, "tags": ["a, b", "c"], "sso": False}
    made = api.post("/plans", {"name": "Pro", "prices": prices, "entitlements": entitlements}).json()

    page = desk.get(f"plans/{made['id']}")
    saved = desk.post(f"plans/{made['id']}", **Shown(page).fields)

    assert (Shown(page).fields["price"], Shown(page).fields["metric_calls"]) == (shown, "500")
    assert ("every 3 months" in words(page), "1 more price" in words(page), "Saved" in words(saved)) == (True,) * 3
    assert "every 3 months, and 1 more price" in words(saved)
    plan = api.get(f"/plans/{made['id']}").json()
    assert plan.pop("usage") == [{"metric": "calls", "included": 500, "mode": "hard"}]
    assert plan == {name: value for name, value in made.items() if name != "usage"}


def test_another_rhythm_is_the_one_that_the_form_says(desk):
    api = Api(desk.company.key)
    price = {"currency": "usd", "interval": "month", "intervalCount": 3, "unitAmountCents": 900}
    made = api.post("/plans", {"name": "Pro", "prices": [price]}).json()
    fields = Shown(desk.get(f"plans/{made['id']}")).fields

    desk.post(f"plans/{made['id']}", **fields | {"interval": "year"})

    plan = api.get(f"/plans/{made['id']}").json()
    assert (plan["interval"], plan["intervalCount"]) == ("year", 1)


def test_an_amount_without_a_coin_is_refused_beside_its_field(desk):
    response = desk.post("plans/new", name="Pro", price="29.99", currency="jpy", interval="month", trial_days="0")

    assert response.status_code == 400
    assert "JPY is whole" in words(response)


def test_a_plan_is_edited_and_archived(desk):
    desk.post("plans/new", name="Pro", price="49", currency="usd", interval="month", trial_days="0")
    with reading(desk.company.scope):
        plan = Plan.objects.within(desk.company.scope).get().public_id

    shown = desk.get(f"plans/{plan}").content.decode()
    desk.post(f"plans/{plan}", name="Team", price="59", currency="usd", interval="year", trial_days="0")
    archived = desk.post(f"plans/{plan}/archive")

    assert 'value="49' in shown
    changed = Api(desk.company.key).get(f"/plans/{plan}").json()
    assert (changed["name"], changed["priceCents"], changed["interval"]) == ("Team", 5900, "year")
    assert "Archived" in words(archived)
    assert changed["active"] is False


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
