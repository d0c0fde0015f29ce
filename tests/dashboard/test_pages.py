"""Every page shows, to whom it should, and to nobody else."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from accounts.templatetags import pages
from tests.dashboard.conftest import seated

PAGES = [
    "",
    "customers",
    "organizations",
    "subscriptions",
    "usage",
    "plans",
    "plans/new",
    "features",
    "coupons",
    "revenue",
    "stripe",
    "webhooks",
    "events",
    "keys",
    "settings",
]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_an_empty_app_says_what_to_do_next(desk, page):
    response = desk.get(page)

    assert response.status_code == 200
    html = response.content.decode()
    assert html.count("<h1") == 1
    assert 'id="main"' in html
    assert "style=" not in html
    assert not re.search(r"\son[a-z]+=", html)
    assert re.findall(r'(?:src|href|action)="https?://', html) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_stranger_is_sent_to_sign_in(acme, page):
    response = Client().get(f"/dashboard/{acme.app}/{page}", headers={"Host": "localhost:8000"})

    assert response.status_code == 302
    assert response["Location"].startswith("/login?next=")


@pytest.mark.parametrize("page", PAGES)
def test_a_rival_sees_what_was_never_there(acme, globex, page):
    rival = seated(globex)

    theirs = rival.client.get(f"/dashboard/{acme.app}/{page}")
    never = rival.client.get(f"/dashboard/app_01jq3zzzzzzzzzzzzzzzzzzzzz/{page}")

    assert theirs.status_code == never.status_code == 404
    strip = re.compile(rb"req_[a-z0-9]+")
    assert strip.sub(b"", theirs.content) == strip.sub(b"", never.content)


@pytest.mark.parametrize("page", PAGES)
def test_a_viewer_may_look(desk_of, page):
    response = desk_of("viewer").get(page)

    assert response.status_code == 200


FORMS = [
    ("customers", {"email": "kim@example.com"}),
    ("organizations", {"name": "Engines"}),
    ("keys", {"name": "mine", "reach": "all"}),
    ("webhooks", {"url": "http://127.0.0.1:9009/hook", "reach": "all"}),
    ("usage", {"name": "api_calls", "aggregation": "sum", "resets": "month"}),
    ("features", {"key": "sso", "type": "boolean"}),
    ("coupons", {"code": "HALF", "percent_off": "50", "duration": "once"}),
    ("plans/new", {"name": "Pro", "price": "49", "currency": "usd", "interval": "month", "trial_days": "0"}),
    ("settings", {"name": "Other"}),
    ("settings/archive", {"name": "Acme"}),
]


@pytest.mark.parametrize(("page", "fields"), FORMS)
def test_a_viewer_changes_nothing(desk_of, page, fields):
    response = desk_of("viewer").post(page, **fields)

    assert response.status_code == 403


@pytest.mark.parametrize("page", ["keys", "settings", "settings/archive"])
def test_a_developer_makes_no_keys_and_changes_no_settings(desk_of, page):
    response = desk_of("developer").post(page, name="x", reach="all")

    assert response.status_code == 403


def test_a_form_without_its_token_is_refused(desk):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = desk.client.cookies

    response = strict.post(desk.url("keys"), {"name": "x", "reach": "all"}, headers={"Host": "localhost:8000"})

    assert response.status_code == 403


def test_a_checkout_without_a_stripe_account_leads_to_connecting_one(desk):
    desk.post("customers", email="kim@example.com")
    customer = re.search(r"cust_[a-z0-9]{26}", desk.get("customers").content.decode())[0]

    html = desk.get(f"customers/{customer}/checkout").content.decode()

    assert "Connect Stripe first" in html
    assert "Open a checkout" not in html


def test_an_event_that_nobody_takes_offers_an_endpoint_instead_of_a_sending(desk):
    desk.post("customers", email="kim@example.com")
    event = re.search(r"evt_[a-z0-9]{26}", desk.get("events").content.decode())[0]

    before = desk.get(f"events/{event}").content.decode()
    desk.post("webhooks", url="http://127.0.0.1:9009/hook", reach="all")
    after = desk.get(f"events/{event}").content.decode()

    assert "Send again to all" not in before
    assert "None takes this type now" in before
    assert "Send again to all" in after


def test_a_history_names_stripe_in_words():
    assert pages.caused_by("stripe:evt_1") == "Stripe, evt_1"
    assert pages.caused_by("mem_1") == "mem_1"


@pytest.mark.parametrize(
    ("typed", "leads_to"),
    [
        ("/dashboard", "/dashboard/"),
        ("/docs/quickstart/?from=mail", "/docs/quickstart?from=mail"),
        ("/nowhere/", None),
        ("/v1/customers/", None),
    ],
)
def test_a_slash_too_many_or_too_few_leads_to_the_page_and_nowhere_else(client, db, typed, leads_to):
    response = client.get(typed, headers={"Host": "localhost:8000"})

    assert (response.status_code, response.get("Location")) == ((302, leads_to) if leads_to else (404, None))
    assert client.post(typed, headers={"Host": "localhost:8000"}).status_code in {401, 403, 404, 405}
