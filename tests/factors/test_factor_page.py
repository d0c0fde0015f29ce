"""The page between the first proof and the app: it names the account, takes a factor, and leads on with a code."""

from __future__ import annotations

import html
import json
import re

import pytest
from django.utils import timezone

from accounts.models import CustomerSession, CustomerTotp, PendingSignIn
from accounts.services.tokens import claims_of
from stackbe.kernel.transactions import reading
from tests.cast import LOCAL_CALLBACK
from tests.factors.conftest import rows
from tests.factors.test_sign_in import due, give, invited
from tests.members.authenticators import SoftKey, app_code
from tests.members.conftest import words
from tests.signin.conftest import ADA
from tests.signin.people import Browser

pytestmark = pytest.mark.django_db
PAGE = "/auth/factor"
BOB = "bob@example.com"


def asked(response):
    """Return what a page asks an authenticator."""
    told = re.search(r'<script id="passkey-options" type="application/json">(.*?)</script>', response.content.decode())
    return json.loads(html.unescape(told[1]))


def come(front, email=ADA):
    """Press the button of a link; return the browser, which is on the page of the factor."""
    browser = Browser()
    answer = browser.post("/auth/confirm", {"token": front.link(email)})
    assert answer.status_code == 303
    assert answer["Location"] == f"http://localhost:8000{PAGE}?app={front.company.app}"
    return browser


def session_of(front, response):
    """Redeem the code that a redirect carries to the app's callback."""
    assert response.status_code == 303, words(response)
    callback, _, code = response["Location"].partition("?token=")
    assert callback == LOCAL_CALLBACK
    answer = front.verify(code)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_the_page_names_the_account_in_the_apps_name_and_keeps_its_secret(front, ada):
    browser = come(front)

    page = browser.get(PAGE)

    policy = page["Content-Security-Policy"]
    assert "You are signing in to Acme as a•••@example.com" in words(page)
    assert "form-action 'self' http://localhost:3000" in policy
    assert "default-src 'none'" in policy
    assert (page["Cache-Control"], page["Referrer-Policy"]) == ("no-store", "no-referrer")
    cookie = browser.client.cookies["stackbe_sbf"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie.value not in page.content.decode()


def test_a_code_leads_to_the_app_with_a_code_that_opens_the_session(front, ada):
    browser = come(front)

    wrong = browser.post(PAGE, {"code": "000000"})
    right = browser.post(PAGE, {"code": ada.code()})

    assert wrong.status_code == 400
    assert "This code is not right" in words(wrong)
    answer = session_of(front, right)
    assert claims_of(answer["sessionToken"])["amr"] == ["email", "otp", "mfa"]
    assert browser.client.cookies["stackbe_sbf"].value == ""
    assert rows(front.company, PendingSignIn) == 0


def test_a_recovery_code_and_the_digits_of_the_mail_do_as_well(front, ada):
    front.ask()
    browser = Browser()
    digits = front.mailbox.latest(ADA)["code"]
    browser.post(f"/auth/code?app={front.company.app}", {"email": ADA, "code": digits})

    right = browser.post(PAGE, {"code": ada.codes[3].upper()})

    assert claims_of(session_of(front, right)["sessionToken"])["amr"] == ["email", "recovery", "mfa"]


def test_a_passkey_leads_on_and_its_answer_is_good_once(front, ada):
    key = ada.add_key()
    browser = come(front)
    answer = key.get(asked(browser.get(PAGE)))

    right = browser.post(PAGE, {"answer": answer})
    replayed = come(front).post(PAGE, {"answer": answer})

    assert claims_of(session_of(front, right)["sessionToken"])["amr"] == ["email", "hwk", "mfa"]
    assert replayed.status_code == 400


def test_forged_answers_of_passkeys_open_nothing(front, ada):
    key = ada.add_key()
    twin = SoftKey()
    twin.id = key.id
    elsewhere = SoftKey("evil.example")
    elsewhere.id, elsewhere.private = key.id, key.private
    browser = come(front)

    tries = [
        twin.get,
        elsewhere.get,
        lambda options: key.get(options, origin="https://evil.example"),
        lambda options: key.get({**options, "challenge": "AAAA"}),
        lambda options: SoftKey().get(options),
        lambda _: "{}",
        lambda _: "x" * 20_000,
    ]
    answers = [browser.post(PAGE, {"answer": forged(asked(browser.get(PAGE)))}).status_code for forged in tries]

    assert answers == [400] * len(tries)
    assert rows(front.company, CustomerSession) == 0


def test_a_passkeys_challenge_is_taken_by_a_wrong_answer_and_lives_five_minutes(front, ada, clock):
    key = ada.add_key()
    browser = come(front)
    options = asked(browser.get(PAGE))
    browser.client.post(PAGE, {"answer": "{}", "csrfmiddlewaretoken": browser.client.cookies["csrftoken"].value})
    late = asked(browser.get(PAGE))
    clock.move(minutes=5, seconds=1)

    assert browser.post(PAGE, {"answer": key.get(options)}).status_code == 400
    assert browser.post(PAGE, {"answer": key.get(late)}).status_code == 400


def test_the_address_that_an_app_leads_to_opens_the_page_and_spends_nothing(front, ada):
    factor = due(front, front.link())
    browser = Browser()
    plain = browser.get(f"{PAGE}?app={front.company.app}")

    entered = browser.post(PAGE, {"token": f"http://localhost:8000{PAGE}?app=x#token={factor['token']}"})
    browser.get(PAGE)

    assert "Acme" in words(plain)
    assert (entered.status_code, entered["Location"]) == (303, PAGE)
    assert give(front, factor, ada.code()).status_code == 200
    over = browser.post(PAGE, {"code": ada.codes[0]})
    assert over.status_code == 410
    assert "complete already" in words(over)


@pytest.mark.parametrize("token", ["", "x", "sbf_" + "0" * 95])
def test_an_address_of_nothing_opens_nothing(front, ada, token):
    assert Browser().post(PAGE, {"token": token}).status_code in {400, 410}


def test_an_app_without_a_callback_gets_the_code_on_the_page_that_it_hosts(front, ada):
    front.set(callback_urls=[], verification_url="https://acme.example/signed-in")
    factor = due(front, front.link())
    browser = Browser()
    browser.post(PAGE, {"token": factor["token"]})

    right = browser.post(PAGE, {"code": ada.code()})

    page, _, code = right["Location"].partition("?token=")
    assert page == "https://acme.example/signed-in"
    assert front.verify(code).status_code == 200


def test_an_invitations_page_asks_for_the_factor_and_leads_on_into_the_organization(front, ada):
    organization, token = invited(front, ADA)
    browser = Browser()

    joined = browser.post("/auth/invite", {"token": token})
    right = browser.post(PAGE, {"code": ada.code()})

    assert joined["Location"].startswith(f"http://localhost:8000{PAGE}")
    assert session_of(front, right)["organizationId"] == organization["id"]


def codes_on(page):
    return re.findall(r"^([0-9a-z]{5}-[0-9a-z]{5})$", page.content.decode().replace('id="codes">', "\n"), re.MULTILINE)


def secret_on(page):
    return re.search(r"<code>([A-Z2-7 ]{39})</code>", page.content.decode())[1].replace(" ", "")


def test_required_has_an_app_added_on_the_way_in_and_shows_recovery_codes_once(front, clock):
    front.set(second_factors="required")
    browser = come(front, BOB)

    choice = browser.get(PAGE)
    early = browser.post(PAGE, {"act": "finish"})
    begun = browser.post(PAGE, {"act": "begin"})
    wrong = browser.post(PAGE, {"act": "confirm", "code": "000000"})
    code = app_code(secret_on(begun), timezone.now().timestamp())
    added = browser.post(PAGE, {"act": "confirm", "code": code})
    again = browser.get(PAGE)

    assert "asks everybody for one" in words(choice)
    assert early.status_code == 400
    assert secret_on(wrong) == secret_on(begun)
    assert "<svg" in begun.content.decode()
    shown = codes_on(added)
    assert len(set(shown)) == 10
    assert shown[0] not in again.content.decode()
    answer = session_of(front, browser.post(PAGE, {"act": "finish"}))
    assert claims_of(answer["sessionToken"])["amr"] == ["email", "otp", "mfa"]
    assert rows(front.company, CustomerSession) == 1
    assert front.verify(front.link(BOB)).json()["factor"]["methods"] == ["totp", "recovery"]


def test_required_has_a_passkey_added_on_the_way_in(front, clock):
    front.set(second_factors="required")
    browser, key = come(front, BOB), SoftKey()

    foreign = browser.post(
        PAGE,
        {"act": "passkey", "name": "k", "answer": key.create(asked(browser.get(PAGE)), origin="https://e.example")},
    )
    added = browser.post(PAGE, {"act": "passkey", "name": "laptop", "answer": key.create(asked(browser.get(PAGE)))})

    assert foreign.status_code == 400
    assert added.status_code == 201
    session_of(front, browser.post(PAGE, {"act": "finish"}))
    later = come(front, BOB)
    right = later.post(PAGE, {"answer": key.get(asked(later.get(PAGE)))})
    assert claims_of(session_of(front, right)["sessionToken"])["amr"] == ["email", "hwk", "mfa"]


@pytest.mark.parametrize("form", [{"act": "begin"}, {"act": "confirm", "code": "000000"}, {"act": "passkey"}])
def test_nobody_adds_a_factor_beside_the_ones_of_who_reads_the_mail(front, ada, form):
    front.set(second_factors="required")
    browser, key = come(front), SoftKey()
    options = {"challenge": "AAAA", "rp": {}}

    answer = browser.post(PAGE, {**form, "name": "k", "answer": key.create(options)})
    finish = browser.post(PAGE, {"act": "finish"})

    assert (answer.status_code, finish.status_code) == (400, 400)
    assert rows(front.company, CustomerTotp) == 1
    with reading(front.company.scope):
        assert not PendingSignIn.objects.within(front.company.scope).get().proven_by
