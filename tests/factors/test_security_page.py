"""The page on which customers look after their factors: opened once, in their app's name, after a proof."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone

from accounts.models import CustomerPasskey, CustomerRecoveryCode, CustomerTotp, SecurityVisit
from tests.cast import LOCAL_CALLBACK, Api
from tests.factors.conftest import rows
from tests.factors.test_factor_page import asked, codes_on, secret_on
from tests.factors.test_sign_in import due, give
from tests.members.authenticators import SoftKey, app_code
from tests.members.conftest import words
from tests.signin.conftest import ADA
from tests.signin.people import Browser

pytestmark = pytest.mark.django_db
PAGE = "/auth/security"
BOB = "bob@example.com"


def opened(front, customer_id, api=None, **body):
    path = f"/customers/{customer_id}/security/session"
    return (api or front.backend).post(path, {"returnUrl": LOCAL_CALLBACK, **body})


def enter(answer):
    """Open the URL that an app was given, in a new browser."""
    browser = Browser()
    entered = browser.post(PAGE, {"token": answer.json()["url"]})
    assert (entered.status_code, entered["Location"]) == (303, PAGE), words(entered)
    return browser


@pytest.fixture
def bob(front, clock):
    """A customer without factors."""
    front.set(second_factors="optional")
    return front.backend.post("/customers", {"email": BOB}).json()["id"]


def test_a_url_opens_the_page_once_and_within_five_minutes(front, bob, clock):
    answer = opened(front, bob)
    browser = enter(answer)

    again = Browser().post(PAGE, {"token": answer.json()["url"]})
    late = opened(front, bob)
    clock.move(minutes=5, seconds=1)

    assert answer.status_code == 201
    assert answer.json()["url"].startswith(f"http://localhost:8000{PAGE}?app={front.company.app}#token=sby_")
    assert "How b•••@example.com signs in to Acme" in words(browser.get(PAGE))
    assert "works once" in words(again)
    assert Browser().post(PAGE, {"token": late.json()["url"]}).status_code == 410


def test_the_visit_lives_in_one_browser_for_half_an_hour(front, bob, clock):
    browser = enter(opened(front, bob))
    page = browser.get(PAGE)
    cookie = browser.client.cookies["stackbe_sby"]
    clock.move(minutes=30, seconds=1)

    assert cookie["httponly"]
    assert cookie.value not in page.content.decode()
    assert (page["Cache-Control"], page["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert browser.get(PAGE).status_code == 410
    assert Browser().get(PAGE).status_code == 200


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (LOCAL_CALLBACK, 201),
        ("http://localhost:3000", 201),
        ("http://localhost:3000/", 201),
        ("http://localhost:3000/elsewhere", 400),
        ("http://localhost:3000.evil.example", 400),
        ("https://evil.example", 400),
    ],
)
def test_it_leads_back_to_what_the_app_has_registered_alone(front, bob, target, status):
    answer = opened(front, bob, returnUrl=target)

    assert answer.status_code == status
    assert status == 201 or answer.json()["code"] == "REDIRECT_NOT_ALLOWED"


def test_a_session_opens_its_own_customers_page_and_no_others(front, bob, ada):
    session = Api(front.sign_in(BOB)["sessionToken"])

    assert opened(front, bob, session).status_code == 201
    assert opened(front, ada.public_id, session).json()["code"] == "CUSTOMER_NOT_FOUND"
    assert opened(front, bob, Api(None)).status_code == 401
    assert opened(front, bob, front.company.api("customers:write")).json()["code"] == "INSUFFICIENT_SCOPE"


def test_an_app_without_second_factors_opens_none(front, bob):
    front.set(second_factors="off")

    assert opened(front, bob).json()["code"] == "FORBIDDEN"


def test_an_app_and_a_passkey_are_added_and_the_way_leads_back(front, bob, clock):
    browser, key = enter(opened(front, bob)), SoftKey()

    begun = browser.post(PAGE, {"act": "begin"})
    wrong = browser.post(PAGE, {"act": "confirm", "code": "000000"})
    code = app_code(secret_on(begun), timezone.now().timestamp())
    added = browser.post(PAGE, {"act": "confirm", "code": code})
    second = browser.post(PAGE, {"act": "passkey", "name": "laptop", "answer": key.create(asked(browser.get(PAGE)))})
    page = words(browser.get(PAGE))
    left = browser.post(PAGE, {"act": "leave"})

    assert secret_on(wrong) == secret_on(begun)
    assert len(codes_on(added)) == 10
    assert "Your passkey is added." in words(second)
    assert "laptop" in page
    assert "10 left" in page
    assert (left.status_code, left["Location"]) == (303, LOCAL_CALLBACK)
    assert rows(front.company, SecurityVisit) == 0
    subjects = [mail["subject"] for mail in front.mailbox(BOB)]
    assert {"An authenticator app was added · Acme", "A passkey was added · Acme"} <= set(subjects)


CHANGES = [
    {"act": "begin"},
    {"act": "confirm", "code": "000000"},
    {"act": "remove-app"},
    {"act": "codes"},
    {"act": "passkey", "name": "k", "answer": "{}"},
    {"act": "remove-passkey", "passkey": "pk_00000000000000000000000000"},
]


@pytest.mark.parametrize("form", CHANGES, ids=[form["act"] for form in CHANGES])
def test_who_has_a_factor_gives_it_before_anything_is_shown_or_changed(front, ada, form):
    browser = enter(opened(front, ada.public_id))

    page, answer = browser.get(PAGE), browser.post(PAGE, form)

    assert "Is it you?" in words(page)
    assert "Recovery codes" not in words(page)
    assert "Is it you?" in words(answer)
    assert (rows(front.company, CustomerTotp), rows(front.company, CustomerRecoveryCode)) == (1, 10)


def test_a_proof_opens_it_for_ten_minutes(front, ada, clock):
    browser = enter(opened(front, ada.public_id))
    wrong = browser.post(PAGE, {"code": "000000"})
    browser.post(PAGE, {"code": ada.code()})
    renewed = browser.post(PAGE, {"act": "codes"})
    clock.move(minutes=10, seconds=1)

    assert wrong.status_code == 400
    assert "Your new recovery codes" in words(renewed)
    assert "Is it you?" in words(browser.get(PAGE))


def test_a_passkey_is_a_proof_and_both_factors_are_removed(front, ada):
    key = ada.add_key()
    browser = enter(opened(front, ada.public_id))
    browser.post(PAGE, {"answer": key.get(asked(browser.get(PAGE)))})

    (kept,) = re.findall(r'name="passkey" value="(pk_\w+)"', browser.get(PAGE).content.decode())
    gone = browser.post(PAGE, {"act": "remove-passkey", "passkey": kept})
    app = browser.post(PAGE, {"act": "remove-app"})

    assert "no longer signs you in" in words(gone)
    assert "No second factor yet" in words(app)
    assert [rows(front.company, model) for model in (CustomerTotp, CustomerPasskey, CustomerRecoveryCode)] == [0, 0, 0]
    assert front.verify(front.link()).status_code == 200


def test_tries_are_counted_here_too(front, ada):
    browser = enter(opened(front, ada.public_id))
    for _ in range(5):
        browser.post(PAGE, {"code": "000000"})

    locked = browser.post(PAGE, {"code": ada.code()})

    assert locked.status_code == 429
    assert "Too many codes were tried" in words(locked)


def test_a_visit_ends_with_the_session_that_asked_for_it(front, ada):
    body = give(front, due(front, front.link()), ada.code()).json()
    browser = enter(opened(front, ada.public_id, Api(body["sessionToken"])))
    before = browser.get(PAGE).status_code

    Api(body["sessionToken"]).post(f"{front.auth}/logout")

    assert before == 200
    assert browser.get(PAGE).status_code == 410


def test_a_visit_ends_with_the_customer(front, ada):
    browser = enter(opened(front, ada.public_id))

    front.backend.delete(f"/customers/{ada.public_id}")

    assert browser.get(PAGE).status_code == 410
    assert ADA.encode() not in browser.get(PAGE).content
