from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import stripe

from tests.sandbox.conftest import CLIENT_ID


def asked(receiver, **changes):
    return {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "scope": "read_write",
        "redirect_uri": f"{receiver.url}/stripe/callback",
        "state": "st&te",
    } | changes


def authorize(sandbox, receiver, action="connect", **changes):
    given = asked(receiver) | changes
    page = sandbox.browse(f"{sandbox.url}/oauth/authorize", action=action, **given)
    assert page.status == 303
    assert page.location.startswith(f"{receiver.url}/stripe/callback?")
    return {name: values[0] for name, values in parse_qs(urlsplit(page.location).query).items()}


def test_the_page_asks_and_carries_the_state(sandbox, receiver):
    page = sandbox.browse(f"{sandbox.url}/oauth/authorize?{urlencode(asked(receiver))}")

    assert page.status == 200
    assert "Connect test account" in page.text
    assert 'value="st&amp;te"' in page.text


def test_connecting_yields_an_account_that_answers(sandbox, receiver):
    code = authorize(sandbox, receiver)

    token = sandbox.client().oauth.token(params={"grant_type": "authorization_code", "code": code["code"]})

    assert code["state"] == "st&te"
    assert token["stripe_user_id"].startswith("acct_")
    assert token["livemode"] is False
    assert sandbox.client().v1.customers.list(None, {"stripe_account": token["stripe_user_id"]}).data == []
    assert sandbox.client(token["access_token"]).v1.accounts.retrieve_current().id == token["stripe_user_id"]


def test_cancelling_says_access_denied(sandbox, receiver):
    answer = authorize(sandbox, receiver, action="cancel")

    assert answer["error"] == "access_denied"
    assert answer["state"] == "st&te"
    assert "code" not in answer


def test_a_code_works_once(sandbox, receiver):
    given = {"grant_type": "authorization_code", "code": authorize(sandbox, receiver)["code"]}
    sandbox.client().oauth.token(params=given)

    with pytest.raises(stripe.oauth_error.InvalidGrantError):
        sandbox.client().oauth.token(params=given)


def test_an_account_that_is_connected_can_be_chosen_again(sandbox, receiver, account):
    code = authorize(sandbox, receiver, account=account)

    token = sandbox.client().oauth.token(params={"grant_type": "authorization_code", "code": code["code"]})

    assert token["stripe_user_id"] == account


@pytest.mark.parametrize(
    "changes", [{"client_id": "ca_other"}, {"redirect_uri": "https://evil.example/"}, {"redirect_uri": ""}]
)
def test_a_wrong_client_or_redirect_is_told_and_never_followed(sandbox, receiver, changes):
    page = sandbox.browse(f"{sandbox.url}/oauth/authorize?{urlencode(asked(receiver, **changes))}")

    assert page.status == 400
    assert page.location is None


def test_an_account_that_disconnected_connects_again(sandbox, receiver, account):
    sandbox.control("POST", "account", account=account, disconnect=True)
    page = sandbox.browse(f"{sandbox.url}/oauth/authorize?{urlencode(asked(receiver))}")
    assert account in page.text

    code = authorize(sandbox, receiver, account=account)["code"]
    token = sandbox.client().oauth.token(params={"grant_type": "authorization_code", "code": code})

    assert token["stripe_user_id"] == account
    assert sandbox.client().v1.customers.list(None, {"stripe_account": account}).data == []


def test_a_code_is_exchanged_for_the_platforms_key_only(sandbox, receiver):
    code = authorize(sandbox, receiver)["code"]

    with pytest.raises(stripe.StripeError) as caught:
        sandbox.client("sk_test_ofSomebodyElseEntirely").oauth.token(
            params={"grant_type": "authorization_code", "code": code}
        )

    assert caught.value.http_status == 401


def test_a_disconnected_account_is_refused_and_its_event_says_so(sandbox, receiver, account):
    sandbox.client().oauth.deauthorize(params={"stripe_user_id": account, "client_id": CLIENT_ID})

    with pytest.raises(stripe.PermissionError):
        sandbox.client().v1.customers.list(None, {"stripe_account": account})
    event = receiver.of(account, "account.application.deauthorized")[0].event
    assert event["account"] == account
    assert event["data"]["object"]["id"] == CLIENT_ID
    with pytest.raises(stripe.oauth_error.InvalidClientError):
        sandbox.client().oauth.deauthorize(params={"stripe_user_id": account, "client_id": CLIENT_ID})


def test_an_account_disconnects_from_its_own_side(sandbox, receiver, account):
    sandbox.control("POST", "account", account=account, disconnect=True)

    assert receiver.of(account, "account.application.deauthorized")
    with pytest.raises(stripe.PermissionError):
        sandbox.client().v1.accounts.retrieve(account)


def test_of_what_happens_at_an_account_that_left_the_platform_hears_nothing(shop):
    session = shop.session()
    shop.sandbox.control("POST", "account", account=shop.account, disconnect=True)

    assert shop.press(session, "pay", email="ada@example.com").status == 303

    told = shop.sandbox.control("GET", "deliveries", account=shop.account)["data"]
    assert told[0]["type"] == "account.application.deauthorized"


def test_accounts_are_made_read_and_listed(sandbox):
    made = sandbox.client().v1.accounts.create({"type": "standard", "country": "US", "email": "o@example.com"})

    assert sandbox.client().v1.accounts.retrieve(made.id).charges_enabled is True
    assert sandbox.client().v1.accounts.list({"limit": 1}).data[0].id == made.id


def test_an_account_link_leads_back(sandbox, receiver, account):
    link = sandbox.client().v1.account_links.create(
        {
            "account": account,
            "type": "account_onboarding",
            "return_url": f"{receiver.url}/back",
            "refresh_url": receiver.url,
        }
    )

    assert sandbox.browse(link.url).location == f"{receiver.url}/back"


def test_an_account_that_owes_something_cannot_charge(sandbox, receiver, account):
    sandbox.control("POST", "account", account=account, chargesEnabled=False)

    assert sandbox.client().v1.accounts.retrieve(account).charges_enabled is False
    event = receiver.of(account, "account.updated")[0].event
    assert event["data"]["previous_attributes"]["charges_enabled"] is True
