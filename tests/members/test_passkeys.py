"""Passkeys: added, asked for, and everything that only looks like one refused."""

from __future__ import annotations

import html
import json
import re

import pytest

from accounts.errors import PasskeyRefused
from accounts.models import Passkey, RecoveryCode
from accounts.pages import proof
from accounts.pages.proof import PROVING, taken_challenge
from accounts.services.factors import DeveloperFactors, own_scope
from accounts.services.passkeys import new_challenge
from accounts.services.second_factors import MOST_PASSKEYS
from accounts.services.users import ensure_user
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import change, reading
from tests.members.authenticators import SoftKey
from tests.members.conftest import signed_in, words
from tests.members.test_factors import ADA, half_in

pytestmark = pytest.mark.django_db
PASSKEYS = "/account/security/passkeys"


def asked(response):
    """Return what a page asks an authenticator."""
    told = re.search(r'<script id="passkey-options" type="application/json">(.*?)</script>', response.content.decode())
    return json.loads(html.unescape(told[1]))


def add(browser, key, name="laptop"):
    return browser.post(PASSKEYS, {"name": name, "answer": key.create(asked(browser.get(PASSKEYS)))})


@pytest.fixture
def ada(mailbox):
    return signed_in(ADA, mailbox)


def test_a_passkey_is_added_and_signs_in_after_the_link(ada, mailbox):
    key = SoftKey()

    added = add(ada, key)
    browser = half_in(ADA, mailbox)
    entered = browser.post("/login/factor", {"answer": key.get(asked(browser.get("/login/factor")))})

    assert "recovery codes" in words(added)
    assert entered["Location"] == "/dashboard/"
    assert browser.signed_in
    assert Passkey.objects.get().sign_count == 1
    assert any(mail["subject"].startswith("A passkey was added") for mail in mailbox(ADA))


def test_a_passkey_is_a_proof_before_what_cannot_be_undone(ada, clock, mailbox):
    key = SoftKey()
    add(ada, key)
    clock.move(minutes=11)

    page = ada.post("/account/security/recovery-codes", {})
    done = ada.post("/account/security/recovery-codes", {"proof_answer": key.get(asked(page))})

    assert page.status_code == 403
    assert done.status_code == 201


def test_an_answer_is_good_once(ada, mailbox):
    key = SoftKey()
    add(ada, key)
    first = half_in(ADA, mailbox)
    answer = key.get(asked(first.get("/login/factor")))
    first.post("/login/factor", {"answer": answer})

    second = half_in(ADA, mailbox)
    second.get("/login/factor")
    replayed = second.post("/login/factor", {"answer": answer})

    assert first.signed_in
    assert replayed.status_code == 400
    assert not second.signed_in


def test_a_challenge_is_taken_once():
    """Many authenticators do not count, so that only this keeps an answer from coming twice in one session."""
    session = {}
    given = proof.new_challenge(session, PROVING)

    assert taken_challenge(session, PROVING) == given
    with pytest.raises(PasskeyRefused):
        taken_challenge(session, PROVING)


def test_a_challenge_lives_five_minutes(ada, clock, mailbox):
    key = SoftKey()
    add(ada, key)
    browser = half_in(ADA, mailbox)
    options = asked(browser.get("/login/factor"))
    clock.move(minutes=5, seconds=1)

    late = browser.post("/login/factor", {"answer": key.get(options)})

    assert "took too long" in words(late)
    assert not browser.signed_in


@pytest.fixture
def person(db):
    with change(platform_scope("test")):
        return ensure_user("kim@example.com")


@pytest.fixture
def kims(person):
    key, challenge = SoftKey(), new_challenge()
    with reading(own_scope(person)):
        options = DeveloperFactors(person).registration_options(challenge)
    with change(own_scope(person)):
        DeveloperFactors(person).add_passkey(name="k", answer=key.create(options), challenge=challenge)
    return key


def checked(person, answer, challenge):
    with change(own_scope(person)):
        return DeveloperFactors(person).check_passkey(answer=answer, challenge=challenge)


def test_the_right_answer_passes_and_no_other(person, kims):
    challenge = new_challenge()
    options = DeveloperFactors(person).proof_options(challenge)
    twin = SoftKey()
    twin.id = kims.id
    elsewhere = SoftKey("evil.example")
    elsewhere.id, elsewhere.private = kims.id, kims.private

    assert checked(person, kims.get(options), challenge)
    assert not checked(person, kims.get(options), new_challenge())
    assert not checked(person, kims.get(options, origin="https://evil.example"), challenge)
    assert not checked(person, kims.get(options, origin="http://localhost:9999"), challenge)
    assert not checked(person, twin.get(options), challenge)
    assert not checked(person, elsewhere.get(options), challenge)
    assert not checked(person, SoftKey().get(options), challenge)


def test_a_copied_authenticator_whose_count_falls_behind_is_refused(person, kims):
    challenge = new_challenge()
    options = DeveloperFactors(person).proof_options(challenge)
    kims.count = 10
    assert checked(person, kims.get(options), challenge)

    kims.count = 5

    assert not checked(person, kims.get(options), challenge)


def test_the_passkey_of_another_is_none_of_mine(person, kims):
    with change(platform_scope("test")):
        eve = ensure_user("eve@example.com")
    challenge = new_challenge()

    assert not checked(eve, kims.get(DeveloperFactors(person).proof_options(challenge)), challenge)


@pytest.mark.parametrize(
    "answer", ["", "{}", "[]", "null", "x" * 20_000, '{"rawId": 5}', '{"rawId": "é"}', '{"rawId":"AA"}']
)
def test_nonsense_is_refused(person, kims, answer):
    assert not checked(person, answer, new_challenge())
    with pytest.raises(PasskeyRefused), change(own_scope(person)):
        DeveloperFactors(person).add_passkey(name="x", answer=answer, challenge=new_challenge())


def test_a_passkey_made_for_another_site_or_challenge_is_not_added(person):
    challenge = new_challenge()
    with reading(own_scope(person)):
        options = DeveloperFactors(person).registration_options(challenge)
    tries = [
        (SoftKey().create(options, origin="https://evil.example"), challenge),
        (SoftKey("evil.example").create(options), challenge),
        (SoftKey().create(options), new_challenge()),
    ]

    for answer, expected in tries:
        with pytest.raises(PasskeyRefused), change(own_scope(person)):
            DeveloperFactors(person).add_passkey(name="x", answer=answer, challenge=expected)
    assert not Passkey.objects.exists()


def test_one_authenticator_is_added_once(ada):
    key = SoftKey()
    add(ada, key)

    assert "known already" in words(add(ada, key))
    assert Passkey.objects.count() == 1


def test_ten_passkeys_are_the_most(ada):
    for number in range(MOST_PASSKEYS):
        add(ada, SoftKey(), f"key {number}")

    assert "ten passkeys" in words(add(ada, SoftKey()))
    assert Passkey.objects.count() == MOST_PASSKEYS


def test_removing_the_last_factor_drops_the_recovery_codes(ada, mailbox):
    add(ada, SoftKey(), "old")
    add(ada, SoftKey(), "new")
    old, new = Passkey.objects.order_by("id")

    ada.post(f"{PASSKEYS}/{old.public_id}/remove")
    kept = RecoveryCode.objects.count()
    ada.post(f"{PASSKEYS}/{new.public_id}/remove")

    assert kept == 10
    assert RecoveryCode.objects.count() == 0
    assert ada.post(f"{PASSKEYS}/{new.public_id}/remove").status_code == 404
    assert any(mail["subject"].startswith("A passkey was removed") for mail in mailbox(ADA))
