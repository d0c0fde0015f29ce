"""A link's token and a one-time code become a session in two calls, and the answer is the ordinary way's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts import opaque
from accounts.models import App, Customer, CustomerSession, MagicLink, OneTimeCode, RefreshToken, SpentToken
from accounts.services.tokens import rotate_signing_key
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import token_digest
from stackbe.kernel.ids import decode, new_id
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading
from tests.cast import Api

pytestmark = pytest.mark.django_db
ORDINARY = {"Accept": "application/json, text/plain"}
OWN = ("sessionToken", "refreshToken", "expiresAt", "requestId", "factor")


@pytest.fixture
def ada(front, acme_api):
    """Return a customer who has signed in before."""
    customer = front.sign_in()["customer"]
    acme_api.patch(f"/customers/{customer['id']}", {"name": "Ada", "metadata": {"beta": True}, "externalId": "u1"})
    return customer


@pytest.fixture
def code(front, acme, ada):
    """Return a fresh one-time code of hers."""

    def code(**columns):
        text = opaque.mint(opaque.ONE_TIME_CODE, code_id := new_id())
        with change(acme.scope):
            OneTimeCode(
                **owned_by(acme.scope),
                id=code_id,
                customer_id=decode("cust", ada["id"]),
                digest=token_digest(text),
                redirect_url="http://localhost:3000/callback",
                expires_at=wall_clock() + timedelta(seconds=60),
                **columns,
            ).save(force_insert=True)
        return text

    return code


@pytest.fixture
def give(front):
    """Redeem what `make` makes, both ways; return the answer that both give."""

    def give(make):
        both = [Api(None).post(f"{front.auth}/verify", {"token": make()}, **headers) for headers in ({}, ORDINARY)]
        told = [{name: value for name, value in each.json().items() if name not in OWN} for each in both]
        assert told[0] == told[1]
        assert both[0].status_code == both[1].status_code
        return both[0]

    return give


def test_a_link_takes_two_queries(front, ada, django_assert_num_queries):
    token = front.link()

    with django_assert_num_queries(2):
        response = front.verify(token)

    assert response.json()["customer"]["name"] == "Ada"
    assert front.session(response.json()["sessionToken"]).status_code == 200
    assert front.refresh(response.json()["refreshToken"]).status_code == 200


def test_a_one_time_code_takes_two(front, code, django_assert_num_queries):
    token = code()

    with django_assert_num_queries(2):
        response = front.verify(token)

    assert front.session(response.json()["sessionToken"]).status_code == 200


def test_what_a_link_opens_is_shown_and_kept_alike(front, acme, ada, give):
    with change(acme.scope):
        CustomerSession.objects.within(acme.scope).delete()

    shown = give(front.link).json()

    assert shown["customer"]["metadata"] == {"beta": True}
    assert shown["redirectUrl"] == "http://localhost:3000/callback"
    with reading(acme.scope):
        kept = list(CustomerSession.objects.within(acme.scope).values())
        same = [{k: v for k, v in row.items() if not k.endswith("_at") and k != "id"} for row in kept]
        ends = [row["expires_at"] - row["created_at"] for row in kept]
        tokens = RefreshToken.objects.within(acme.scope)
        assert {row.session_id: row.expires_at for row in tokens} == {row["id"]: row["expires_at"] for row in kept}
    assert same[0] == same[1]
    assert ends[0] == ends[1]
    assert SpentToken.unscoped.count() == 3


@pytest.mark.parametrize("amr", ["", "email mfa"])
def test_what_a_code_opens_is_shown_alike(code, give, amr):
    assert give(lambda: code(amr=amr)).status_code == 200


def test_a_link_and_a_code_work_once_each(front, code, give):
    for token in (front.link(), code()):
        assert front.verify(token).status_code == 200
        assert give(lambda token=token: token).json()["code"] == "TOKEN_ALREADY_USED"


def test_a_second_factor_that_may_be_due_is_asked_for(front, ada, give):
    front.set(second_factors="required")

    assert give(front.link).json()["code"] == "SECOND_FACTOR_REQUIRED"


def test_a_new_address_becomes_a_customer(front, acme):
    assert front.verify(front.link("bob@example.com")).json()["email"] == "bob@example.com"
    with reading(acme.scope):
        assert Customer.objects.within(acme.scope).count() == 1


def test_a_callback_taken_away_spends_nothing(front, acme, ada):
    token = front.link()
    front.set(callback_urls=[])

    assert front.verify(token).json()["code"] == "REDIRECT_NOT_ALLOWED"
    with reading(acme.scope):
        assert MagicLink.objects.within(acme.scope).filter(token_digest=token_digest(token)).exists()


def test_what_is_closed_deleted_or_another_apps_opens_nothing(front, rival, acme, ada):
    tokens = [front.link() for _ in range(3)]

    assert rival.verify(tokens[0]).json()["code"] == "TOKEN_INVALID"
    front.set(auto_create_customer=False)
    with change(acme.scope):
        Customer.objects.within(acme.scope).update(deleted_at=wall_clock())
    assert front.verify(tokens[1]).json()["code"] == "TOKEN_INVALID"
    with change(acme.scope):
        App.objects.within(acme.scope).update(archived_at=wall_clock())
    assert front.verify(tokens[2]).json()["code"] == "APP_NOT_FOUND"


def test_a_rotated_key_signs(front, acme, ada):
    with change(acme.scope):
        key = rotate_signing_key(acme.scope, at_once=True)

    token = front.verify(front.link()).json()["sessionToken"]

    assert front.session(token).status_code == 200
    assert key.public_id in opaque.base64.b64decode(token.split(".")[0] + "==").decode()


def test_an_address_past_its_limit_is_told_to_wait_and_spends_nothing(front, ada, settings):
    settings.ADDRESS_LIMITS = settings.ADDRESS_LIMITS | {"auth": (2, 60)}
    token = front.link()
    front.verify("sbc_wrong")

    refused = front.verify(token)

    assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
    settings.ADDRESS_LIMITS = settings.ADDRESS_LIMITS | {"auth": (20, 60)}
    assert front.verify(token).status_code == 200
