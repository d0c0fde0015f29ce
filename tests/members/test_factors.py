"""Second factors: added, asked for after the link, taken once, lost and removed."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from accounts.developer_subjects import erase_factors, export_factors
from accounts.models import Passkey, RecoveryCode, TotpFactor
from accounts.services.factors import DeveloperFactors, own_scope
from accounts.services.users import ensure_user, user_by_email
from stackbe.kernel.models import BrowserSession
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import change, reading
from tests.members.authenticators import app_code
from tests.members.conftest import audited, signed_in, words
from tests.signin.people import Browser, token_of

ADA = "ada@example.com"
pytestmark = pytest.mark.django_db


def moment():
    return timezone.now().timestamp()


def user(email=ADA):
    with reading(platform_scope()):
        return user_by_email(email)


def enrol(browser):
    """Add an authenticator app as a person does; return its secret and the recovery codes."""
    page = browser.post("/account/security/authenticator", {})
    secret = re.search(r"<code>([A-Z2-7 ]{39})</code>", page.content.decode())[1].replace(" ", "")
    page = browser.post("/account/security/authenticator", {"code": app_code(secret, moment())})
    codes = re.findall(r"^([0-9a-z]{5}-[0-9a-z]{5})$", page.content.decode().replace('id="codes">', "\n"), re.MULTILINE)
    return secret, codes


def half_in(email, mailbox):
    """Come by a link as somebody who has a second factor."""
    browser = Browser()
    browser.get("/login")
    browser.post("/login", {"email": email})
    answer = browser.post("/auth/developer/confirm", {"token": token_of(mailbox.latest(email))})
    assert answer["Location"] == "/login/factor"
    return browser


def test_adding_an_app_shows_a_picture_then_recovery_codes_once(clock, mailbox):
    browser = signed_in(ADA, mailbox)

    shown = browser.post("/account/security/authenticator", {}).content.decode()
    secret, codes = enrol(browser)
    again = browser.get("/account/security").content.decode()

    assert "<svg" in shown
    assert "style=" not in shown
    assert len(set(codes)) == 10
    assert not any(code in again for code in codes)
    assert "10 left" in again
    assert mailbox.latest(ADA)["subject"].startswith("An authenticator app was added")
    assert "factor.authenticator_added" in audited()
    assert secret not in again


def test_neither_secret_nor_recovery_code_lies_readable(clock, mailbox):
    secret, codes = enrol(signed_in(ADA, mailbox))

    with connection.cursor() as cursor:
        cursor.execute("select row_to_json(t)::text from accounts_totpfactor t")
        kept = str(cursor.fetchall())
        cursor.execute("select row_to_json(t)::text from accounts_recoverycode t")
        kept += str(cursor.fetchall())
        cursor.execute("select session_data from kernel_browsersession")
        kept += str(cursor.fetchall())

    assert kept.count("digest") == 10
    for text in (secret, *codes, *(code.replace("-", "") for code in codes)):
        assert text not in kept
        assert text.encode().hex() not in kept


def test_a_wrong_first_code_adds_nothing_and_shows_the_same_secret_again(clock, mailbox):
    browser = signed_in(ADA, mailbox)
    first = browser.post("/account/security/authenticator", {}).content.decode()

    refused = browser.post("/account/security/authenticator", {"code": "000000"})

    secret = re.search(r"<code>([A-Z2-7 ]{39})</code>", first)[1]
    assert refused.status_code == 400
    assert secret in refused.content.decode()
    assert not TotpFactor.objects.filter(confirmed_at__isnull=False).exists()


def test_after_the_link_the_factor_is_asked_and_until_then_nothing_opens(clock, mailbox):
    secret, _ = enrol(signed_in(ADA, mailbox))
    clock.move(minutes=5)

    browser = half_in(ADA, mailbox)
    before = browser.get("/dashboard/")
    wrong = browser.post("/login/factor", {"code": "000000"})
    right = browser.post("/login/factor", {"code": app_code(secret, moment())})

    assert before["Location"].startswith("/login")
    assert wrong.status_code == 400
    assert right["Location"] == "/dashboard/"
    assert browser.signed_in
    assert "factor.refused" in audited()


def test_the_way_goes_on_to_where_one_was_going(clock, mailbox):
    secret, _ = enrol(signed_in(ADA, mailbox))
    clock.move(minutes=5)
    browser = Browser()
    browser.get("/login")
    browser.post("/login", {"email": ADA, "next": "/account/security"})
    browser.post("/auth/developer/confirm", {"token": token_of(mailbox.latest(ADA))})

    right = browser.post("/login/factor", {"code": app_code(secret, moment())})

    assert right["Location"] == "/account/security"


def test_the_mails_code_stops_at_the_factor_too(clock, mailbox):
    enrol(signed_in(ADA, mailbox))
    browser = Browser()
    browser.get("/login")
    browser.post("/login", {"email": ADA})

    answer = browser.post("/auth/developer/code", {"email": ADA, "code": mailbox.latest(ADA)["code"]})

    assert answer["Location"] == "/login/factor"
    assert not browser.signed_in


def test_half_a_session_lives_ten_minutes(clock, mailbox):
    secret, _ = enrol(signed_in(ADA, mailbox))
    browser = half_in(ADA, mailbox)
    clock.move(minutes=10, seconds=1)

    late = browser.post("/login/factor", {"code": app_code(secret, moment())})

    assert late["Location"] == "/login"
    assert not browser.signed_in


@pytest.fixture
def app_of(db, clock):
    """Return a maker of developers with an authenticator app, and its secret."""

    def made(email=ADA):
        with change(platform_scope("test")):
            person = ensure_user(email)
        with change(own_scope(person)):
            secret = DeveloperFactors(person).begin_authenticator()
        clock.move(seconds=-60)
        with change(own_scope(person)):
            DeveloperFactors(person).confirm_authenticator(app_code(secret, moment()))
        clock.move(seconds=60)
        return person, secret

    return made


def taken(person, code):
    with change(own_scope(person)):
        return DeveloperFactors(person).check_authenticator(code)


@pytest.mark.parametrize("later", [0, 1, 29, 30, 31, 59, 60, 61, 90, 91, 86400])
def test_a_code_never_works_twice_however_late(app_of, clock, later):
    person, secret = app_of()
    code = app_code(secret, moment())
    assert taken(person, code)

    clock.move(seconds=later)

    assert not taken(person, code)


@pytest.mark.parametrize(("seconds", "good"), [(-61, False), (-30, True), (0, True), (30, True), (61, False)])
def test_a_code_is_good_one_step_early_or_late(app_of, clock, seconds, good):
    person, secret = app_of()
    clock.move(minutes=5)

    assert taken(person, app_code(secret, moment() + seconds)) is good


def test_once_a_later_code_was_taken_an_earlier_one_is_not(app_of, clock):
    person, secret = app_of()
    clock.move(minutes=5)
    early, late = app_code(secret, moment()), app_code(secret, moment() + 30)

    assert taken(person, late)
    assert not taken(person, early)


def test_a_recovery_code_signs_in_once_and_is_told_by_mail(clock, mailbox):
    _, codes = enrol(signed_in(ADA, mailbox))
    first, second = half_in(ADA, mailbox), half_in(ADA, mailbox)

    first.post("/login/factor", {"code": codes[0].upper()})
    again = second.post("/login/factor", {"code": codes[0]})

    assert first.signed_in
    assert again.status_code == 400
    assert not second.signed_in
    assert "9 left" in words(first.get("/account/security"))
    assert any(mail["subject"].startswith("A recovery code was used") for mail in mailbox(ADA))


def test_nobody_uses_the_codes_of_another(app_of):
    ada, _ = app_of()
    eve, _ = app_of("eve@example.com")
    with change(own_scope(ada)):
        from_ada = RecoveryCode.objects.filter(user_id=ada.id).count()
    with change(own_scope(eve)):
        codes = [DeveloperFactors(ada).spend_recovery_code("aaaaa-aaaaa")]

    assert from_ada == 10
    assert codes == [False]


def test_new_recovery_codes_end_the_old_ones(clock, mailbox):
    browser = signed_in(ADA, mailbox)
    _, old = enrol(browser)

    page = browser.post("/account/security/recovery-codes", {})

    assert page.status_code == 201
    assert old[0] not in page.content.decode()
    ada = user()
    with change(own_scope(ada)):
        assert not DeveloperFactors(ada).spend_recovery_code(old[0])


def test_five_wrong_codes_in_ten_minutes_and_the_right_one_waits(clock, mailbox, one_window):
    browser = signed_in(ADA, mailbox)
    page = browser.post("/account/security/authenticator", {}).content.decode()
    secret = re.search(r"<code>([A-Z2-7 ]{39})</code>", page)[1]
    for _ in range(5):
        browser.post("/account/security/authenticator", {"code": "000000"})

    refused = browser.post("/account/security/authenticator", {"code": app_code(secret, moment())})

    assert "Too many codes were tried" in words(refused)
    assert not TotpFactor.objects.filter(confirmed_at__isnull=False).exists()


def test_the_guard_counts_the_account_and_not_the_browser(clock, mailbox, one_window):
    secret, _ = enrol(signed_in(ADA, mailbox))
    clock.move(minutes=5)
    guessers = [half_in(ADA, mailbox) for _ in range(2)]
    for number in range(4):
        guessers[number % 2].post("/login/factor", {"code": "000000"})

    refused = guessers[0].post("/login/factor", {"code": app_code(secret, moment())})

    assert "Too many codes" in words(refused)
    assert not guessers[0].signed_in


def test_removing_the_app_drops_the_codes_and_tells_by_mail(clock, mailbox):
    browser = signed_in(ADA, mailbox)
    enrol(browser)

    browser.post("/account/security/authenticator/remove", {})

    assert not TotpFactor.objects.exists()
    assert not RecoveryCode.objects.exists()
    assert any(mail["subject"].startswith("Your authenticator app was removed") for mail in mailbox(ADA))
    assert "factor.authenticator_removed" in audited()


def test_a_second_app_is_refused_while_there_is_one(clock, mailbox):
    browser = signed_in(ADA, mailbox)
    enrol(browser)

    refused = browser.post("/account/security/authenticator", {})

    assert refused.status_code == 302
    assert "authenticator app already" in words(browser.get("/account/security"))


def test_the_operator_lets_in_who_lost_everything(clock, mailbox):
    browser = signed_in(ADA, mailbox)
    enrol(browser)
    said = StringIO()

    call_command("reset_factors", ADA, stdout=said)

    assert "Removed" in said.getvalue()
    assert not BrowserSession.objects.filter(user_id=user().id).exists()
    assert not TotpFactor.objects.exists()
    assert not Passkey.objects.exists()
    assert signed_in(ADA, mailbox).signed_in
    assert any(mail["subject"].startswith("Your second factors were removed") for mail in mailbox(ADA))
    for nobody in ("nobody@example.com", ADA):
        with pytest.raises(CommandError):
            call_command("reset_factors", nobody)


def test_an_erased_developer_keeps_no_factor(app_of):
    person, _ = app_of()

    told = export_factors(platform_scope(), person.id)
    with change(platform_scope("test")) as unit:
        erase_factors(unit.scope, person.id)

    assert told["authenticatorAddedAt"]
    assert not TotpFactor.objects.filter(user_id=person.id).exists()
    assert not RecoveryCode.objects.filter(user_id=person.id).exists()
