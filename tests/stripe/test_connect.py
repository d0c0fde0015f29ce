"""Connecting an app to its tenant's Stripe account by OAuth, and letting go of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import Request, build_opener

import pytest
from django.conf import settings as django_settings
from django.test import Client

from accounts.models import Membership, User
from accounts.services.apps import create_app
from accounts.services.tenants import open_tenant
from billing.models import StripeConnection
from billing.services.plans import create_plan
from billing.stripe.connect import (
    AccountTaken,
    WrongMode,
    complete_connection,
    connect_sandbox_account,
    disconnect,
    health_in_words,
)
from billing.stripe.errors import StripeUnavailable
from billing.stripe.sync import sync_object
from stackbe.kernel.scope import Scope, system_scope
from stackbe.kernel.transactions import change, reading
from tests.dashboard.conftest import prove
from tests.queue import run_jobs
from tests.stripe.sandbox import _Stay


def browser() -> Client:
    """Return a browser that asks for us under our canonical name."""
    return Client(headers={"Host": urlsplit(django_settings.BASE_URL).netloc})


class Developer:
    """Somebody at a browser, signed in, with an app of theirs."""

    def __init__(self, email: str = "dev@example.com") -> None:
        tenant, user, self.membership = open_tenant("Acme", email)
        self.tenant_id = tenant.pk
        with change(system_scope(tenant.pk, actor_name="test")) as unit:
            app = create_app(unit.scope, name="Acme")
        self.app = app.public_id
        self.scope = Scope(tenant_id=tenant.pk, app_id=app.pk, environment="test", actor_name="test")
        self.browser = browser()
        self.browser.force_login(user)
        prove(self.browser)

    def start(self) -> str:
        """Click on "Connect"; return where that leads."""
        answer = self.browser.get(f"/connect/stripe/{self.app}")
        assert answer.status_code == 302
        return str(answer["Location"])

    def connections(self) -> list[StripeConnection]:
        with reading(self.scope):
            return list(StripeConnection.objects.within(self.scope).order_by("pk"))


@pytest.fixture
def developer(stripe: Any, settings: Any, db: None) -> Developer:
    settings.BASE_URL = stripe.door.url  # the one origin that this sandbox sends people back to
    return Developer()


def allow(authorize_url: str, action: str = "connect") -> str:
    """Press a button on the sandbox's OAuth page; return the path and query that it sends the browser back to."""
    form = urlencode({**{k: v[0] for k, v in parse_qs(urlsplit(authorize_url).query).items()}, "action": action})
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(authorize_url))
    request = Request(authorize_url, data=form.encode(), headers={"Origin": origin})
    with build_opener(_Stay()).open(request, timeout=10) as answer:
        back = urlsplit(answer.headers["Location"])
    return f"{back.path}?{back.query}"


def test_a_developer_connects_an_account(developer: Developer):
    back = developer.browser.get(allow(developer.start()))

    assert back.status_code == 302
    (connection,) = developer.connections()
    assert connection.status == "connected"
    assert connection.account_id.startswith("acct_")
    assert connection.charges_enabled
    assert health_in_words(connection) == []


def test_a_developer_who_declines_at_stripe_is_not_connected(developer: Developer):
    back = developer.browser.get(allow(developer.start(), action="deny"))

    assert back.status_code == 302
    assert developer.connections() == []


def test_a_code_that_is_brought_by_another_browser_connects_nothing(developer: Developer):
    way_back = allow(developer.start())
    victim = Developer("victim@example.com")

    assert victim.browser.get(way_back).status_code == 404
    assert victim.connections() == []
    other = browser()
    assert other.get(way_back)["Location"].startswith("/login")
    assert developer.connections() == []


def test_a_state_from_another_session_of_the_same_developer_connects_nothing(developer: Developer):
    way_back = allow(developer.start())
    developer.browser.session.flush()
    again = browser()
    again.force_login(_user(developer))

    again.get(way_back)

    assert developer.connections() == []


@pytest.mark.parametrize("state", ["", "nonsense", "eyJhIjoxfQ:1:sig"])
def test_a_forged_state_connects_nothing(developer: Developer, state: str):
    answer = developer.browser.get(f"/connect/stripe/callback?code=ac_1&state={state}")

    assert answer.status_code == 302
    assert developer.connections() == []


def test_a_way_back_works_once(developer: Developer):
    way_back = allow(developer.start())
    developer.browser.get(way_back)
    with change(developer.scope):
        StripeConnection.objects.within(developer.scope).update(status="disconnected")

    developer.browser.get(way_back)

    assert [each.status for each in developer.connections()] == ["disconnected"]


def test_a_way_back_works_once_even_with_another_code(developer: Developer):
    first, second = (urlsplit(allow(developer.start())) for _ in range(2))
    developer.browser.get(first.geturl())
    with change(developer.scope):
        StripeConnection.objects.within(developer.scope).update(status="disconnected")
    state, code = (parse_qs(way.query) for way in (first, second))

    developer.browser.get(f"{first.path}?{urlencode({'state': state['state'][0], 'code': code['code'][0]})}")

    assert [each.status for each in developer.connections()] == ["disconnected"]


def test_only_owners_and_admins_connect(developer: Developer):
    with change(developer.scope):
        Membership.objects.within(developer.scope).update(role="developer")

    assert developer.browser.get(f"/connect/stripe/{developer.app}").status_code == 403
    assert developer.browser.post(f"/connect/stripe/{developer.app}/disconnect").status_code == 403


def test_a_stranger_finds_no_app(developer: Developer):
    stranger = Developer("eve@example.com")

    assert stranger.browser.get(f"/connect/stripe/{developer.app}").status_code == 404
    assert stranger.browser.get("/connect/stripe/app_none").status_code == 404
    assert browser().get(f"/connect/stripe/{developer.app}")["Location"].startswith("/login")


def test_a_person_cannot_press_the_button_without_end(developer: Developer):
    statuses = [developer.browser.get(f"/connect/stripe/{developer.app}").status_code for _ in range(61)]

    assert statuses[:30] == [302] * 30
    assert 403 in statuses[30:] or 429 in statuses[30:]


def test_disconnecting_gives_the_access_back(developer: Developer, stripe: Any):
    account = connect_sandbox_account(developer.scope).account_id

    answer = developer.browser.post(f"/connect/stripe/{developer.app}/disconnect")

    assert answer.status_code == 302
    assert [each.status for each in developer.connections()] == ["disconnected"]
    assert account not in [each["id"] for each in stripe.call("GET", "/_sandbox/accounts")["data"]]


def test_disconnecting_holds_though_stripe_is_down(developer: Developer, settings: Any):
    connect_sandbox_account(developer.scope)
    settings.STRIPE_CONNECT_BASE = "http://127.0.0.1:9"

    assert disconnect(developer.scope) is True
    assert disconnect(developer.scope) is False
    assert [each.status for each in developer.connections()] == ["disconnected"]


def test_two_apps_of_a_tenant_share_an_account_and_part_one_by_one(developer: Developer, stripe: Any):
    account = connect_sandbox_account(developer.scope).account_id
    with change(system_scope(developer.tenant_id, actor_name="test")) as unit:
        app = create_app(unit.scope, name="Second")
    second = Scope(tenant_id=developer.tenant_id, app_id=app.pk, environment="test", actor_name="test")

    complete_connection(second, account, livemode=False)
    disconnect(second)

    assert [each.status for each in developer.connections()] == ["connected"]
    assert account in [each["id"] for each in stripe.call("GET", "/_sandbox/accounts")["data"]]


def test_another_tenant_cannot_take_the_account(developer: Developer):
    account = connect_sandbox_account(developer.scope).account_id
    rival = Developer("eve@example.com")

    with pytest.raises(AccountTaken):
        complete_connection(rival.scope, account, livemode=False)


def test_another_account_takes_the_place_of_the_first(developer: Developer):
    connect_sandbox_account(developer.scope)
    connect_sandbox_account(developer.scope)

    assert [each.status for each in developer.connections()] == ["disconnected", "connected"]


def test_connecting_the_same_account_again_refreshes_it(developer: Developer):
    account = connect_sandbox_account(developer.scope).account_id

    complete_connection(developer.scope, account, livemode=False)

    assert len(developer.connections()) == 1


def test_test_and_live_are_kept_apart(developer: Developer):
    with pytest.raises(WrongMode):
        complete_connection(developer.scope, "acct_1", livemode=True)


def test_stripe_down_connects_nothing(developer: Developer, settings: Any):
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"

    with pytest.raises(StripeUnavailable):
        connect_sandbox_account(developer.scope)

    assert developer.connections() == []


def _user(developer: Developer) -> Any:

    return User.objects.get(pk=developer.membership.user_id)


def test_differences_are_shown_on_the_page_and_removed_by_its_button(developer: Developer, stripe: Any):
    account = connect_sandbox_account(developer.scope)
    with change(developer.scope):
        create_plan(developer.scope, name="Pro", price_cents=500, currency="usd", interval="month")
    run_jobs()
    price = stripe.get("/v1/prices", account.account_id)["data"][0]["id"]
    sync_object(developer.scope, account.account_id, "price", price, cause="test")
    stripe.call("POST", f"/v1/prices/{price}", {"active": "false"}, account=account.account_id)
    sync_object(developer.scope, account.account_id, "price", price, cause="test")

    page = developer.browser.get(f"/dashboard/{developer.app}/stripe")
    answer = developer.browser.post(f"/connect/stripe/{developer.app}/repair", follow=False)
    run_jobs()

    assert "active is True here and False at Stripe" in page.content.decode()
    assert answer.status_code == 302
    assert stripe.get(f"/v1/prices/{price}", account.account_id)["active"] is True
