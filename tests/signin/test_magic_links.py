"""Customers ask for links and redeem them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from accounts.models import Customer, CustomerSession, MagicLink, SpentToken
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading
from tests.cast import LOCAL_CALLBACK, Api
from tests.queue import queued
from tests.signin.people import Browser, token_of

pytestmark = pytest.mark.django_db
ADA = "ada@example.com"
ORIGIN = "http://localhost:3000"


def count(company, model) -> int:
    with reading(company.scope):
        return model.objects.within(company.scope).count()


def test_a_link_becomes_a_session(front, acme):
    answer = front.sign_in()

    assert answer["success"] is answer["valid"] is True
    assert answer["email"] == answer["customer"]["email"] == ADA
    assert answer["customerId"] == answer["customer"]["id"]
    assert answer["redirectUrl"] == LOCAL_CALLBACK
    assert answer["entitlements"] == {"planName": None, "features": {}}
    assert answer["tenantId"].startswith("ten_")
    assert answer["organizationId"] is answer["orgRole"] is None
    assert front.session(answer["sessionToken"]).json()["customer"]["email"] == ADA
    assert count(acme, MagicLink) == 0


def test_the_mail_speaks_in_the_apps_name_and_points_at_its_page(front, acme):
    front.ask()

    mail = front.mailbox.latest(ADA)

    assert mail["from"] == "Acme <no-reply@localhost>"
    assert mail["subject"] == "Sign in to Acme"
    assert mail["links"][0].startswith(f"http://localhost:8000/auth/confirm?app={acme.app}#token=sbm_")
    assert mail["code"] in mail["text"]
    assert mail["code"] in mail["html"]


def test_an_app_that_hosts_the_page_itself_gets_the_links_token(front):
    front.set(verification_url="https://app.example.com/verify?x=1")
    front.ask()

    mail = front.mailbox.latest(ADA)

    assert mail["links"][0].startswith("https://app.example.com/verify?x=1&token=sbm_")
    assert front.verify(token_of(mail)).status_code == 200


def test_known_and_unknown_addresses_get_the_same_answer(front, acme):
    front.sign_in(ADA)

    known, unknown = front.ask(ADA), front.ask("nobody@example.com")

    assert known.content == unknown.content
    assert known.status_code == unknown.status_code == 200
    left = {name for name in known.headers if not name.startswith(("X-R", "Rate"))}
    assert left == {name for name in unknown.headers if not name.startswith(("X-R", "Rate"))}


def test_a_stranger_to_an_app_that_creates_nobody_gets_the_same_answer_and_no_mail(front, acme):
    front.set(auto_create_customer=False)
    key = acme.api("customers:read")

    answer = key.post(f"{front.auth}/magic-link", {"email": ADA})

    assert answer.json() == {"success": True, "message": "If this address can sign in, a link is on its way."}
    assert front.mailbox(ADA) == []
    assert count(acme, MagicLink) == 0


def test_the_apps_own_backend_is_told_that_nobody_has_the_address(front, acme):
    front.set(auto_create_customer=False)

    answer = acme.api("auth:write").post(f"{front.auth}/magic-link", {"email": ADA})

    assert answer.status_code == 400
    assert answer.json()["code"] == "CUSTOMER_NOT_FOUND"


def test_a_customer_is_made_when_the_link_is_spent_and_not_before(front, acme):
    token = front.link()
    assert count(acme, Customer) == 0

    front.verify(token)

    assert count(acme, Customer) == 1


def test_a_link_works_once(front):
    token = front.link()
    assert front.verify(token).status_code == 200

    again = front.verify(token)

    assert again.status_code == 401
    assert again.json()["code"] == "TOKEN_ALREADY_USED"


def test_what_remains_of_a_spent_link_is_its_id_alone(front, acme):
    token = front.link()
    front.verify(token)

    assert count(acme, MagicLink) == 0
    (spent,) = SpentToken.unscoped.all()
    assert {field.name for field in SpentToken._meta.fields} == {"id", "expires_at"}
    SpentToken.unscoped.filter(pk=spent.pk).delete()
    assert front.verify(token).json()["code"] == "TOKEN_INVALID"


def test_a_late_link_says_so(front, acme):
    token = front.link()
    with change(acme.scope):
        MagicLink.objects.within(acme.scope).update(expires_at=wall_clock() - timedelta(seconds=1))

    late = front.verify(token)

    assert late.status_code == 401
    assert late.json()["code"] == "TOKEN_EXPIRED"


@pytest.mark.parametrize("spoil", [lambda t: t[:-1] + "!", lambda t: t.upper(), lambda t: "sbc" + t[3:], lambda _: "x"])
def test_a_token_that_never_was_is_invalid(front, spoil):
    token = front.link()

    answer = front.verify(spoil(token))

    assert answer.status_code == 401
    assert answer.json()["code"] == "TOKEN_INVALID"


def test_a_link_of_one_app_opens_nothing_in_another(front, rival):
    token = front.link()

    assert rival.verify(token).json()["code"] == "TOKEN_INVALID"
    assert front.verify(token).status_code == 200


def test_the_six_digits_open_a_session_too(front):
    front.ask()
    code = front.mailbox.latest(ADA)["code"]

    answer = front.nobody.post(f"{front.auth}/verify", {"email": ADA.upper(), "code": code})

    assert answer.status_code == 200
    assert front.session(answer.json()["sessionToken"]).status_code == 200
    again = front.nobody.post(f"{front.auth}/verify", {"email": ADA, "code": code})
    assert again.json()["code"] == "TOKEN_INVALID"


def test_the_digits_have_five_tries(front):
    front.ask()
    mail = front.mailbox.latest(ADA)
    wrong = "000000" if mail["code"] != "000000" else "111111"
    for _ in range(5):
        answer = front.nobody.post(f"{front.auth}/verify", {"email": ADA, "code": wrong})
        assert answer.json()["code"] == "TOKEN_INVALID"

    assert front.nobody.post(f"{front.auth}/verify", {"email": ADA, "code": mail["code"]}).status_code == 401
    assert front.verify(token_of(mail)).status_code == 200


def test_verify_wants_one_form_or_the_other(front):
    post = lambda body: front.nobody.post(f"{front.auth}/verify", body).json()  # noqa: E731  # reads as a sentence

    assert post({})["code"] == "MISSING_REQUIRED_FIELD"
    assert post({"email": ADA})["fields"] == {"code": ["This field is required."]}
    assert post({"token": "x", "code": "123456"})["code"] == "VALIDATION_ERROR"
    assert post({"token": 5})["code"] == "VALIDATION_ERROR"


def test_only_the_newest_three_links_of_an_address_live(front, acme):
    for _ in range(5):
        front.ask()

    assert count(acme, MagicLink) == 3
    assert len(front.mailbox(ADA)) == 3


def test_asking_too_often_gets_the_same_answer_and_no_more_mail(front):
    answers = [front.ask() for _ in range(23)]

    assert {answer.content for answer in answers} == {answers[0].content}
    assert len(queued()) == 20


def test_jobs_carry_ids_alone(front):
    front.ask()

    (arguments,) = [arguments for name, arguments in queued() if name == "accounts.mail_magic_link"]

    assert sorted(arguments) == ["app_id", "link_id", "tenant_id"]


# Redirects.


@pytest.mark.parametrize(
    "url",
    [
        LOCAL_CALLBACK + "/",
        LOCAL_CALLBACK + "?x=1",
        LOCAL_CALLBACK + ".evil.example",
        LOCAL_CALLBACK + "/../evil",
        "http://localhost:3000",
        "http://localhost:3000/Callback",
        "http://localhost:3000@evil.example/callback",
        "https://localhost:3000/callback",
        "HTTP://localhost:3000/callback",
        "http://LOCALHOST:3000/callback",
        "http://localhost.:3000/callback",
        "http://localhost:3000//callback",
        "http://localhost:3000/%63allback",
        "http://evil.example/http://localhost:3000/callback",
        "http://evil.example",
    ],
)
def test_a_redirect_that_is_not_registered_letter_by_letter_is_refused(front, url):
    answer = front.ask(redirectUrl=url)

    assert answer.status_code == 400
    assert answer.json()["code"] in {"REDIRECT_NOT_ALLOWED", "VALIDATION_ERROR"}
    assert queued() == []


def test_a_refused_redirect_names_the_url_and_the_setting(front):
    answer = front.ask(redirectUrl="https://evil.example/cb").json()

    assert answer["code"] == "REDIRECT_NOT_ALLOWED"
    assert "https://evil.example/cb" in answer["message"]
    assert "settings.callbackUrls" in answer["message"]


def test_a_redirect_taken_out_meanwhile_is_refused_at_redemption_and_spends_nothing(front, acme):
    token = front.link(redirectUrl=LOCAL_CALLBACK)
    front.set(callback_urls=["https://app.example.com/other"])

    answer = front.verify(token)

    assert answer.json()["code"] == "REDIRECT_NOT_ALLOWED"
    assert count(acme, MagicLink) == 1
    assert Browser().post("/auth/confirm", {"token": token}).status_code == 410


def test_use_dev_takes_the_development_callback(front):
    assert front.ask(useDev=True).json()["code"] == "REDIRECT_NOT_ALLOWED"
    front.set(dev_callback_url="http://localhost:5173/cb")

    token = front.link(useDev=True)

    assert front.verify(token).json()["redirectUrl"] == "http://localhost:5173/cb"


# The publishable key.


def test_a_publishable_key_asks_from_an_allowed_origin(front, acme):
    browser = Api(acme.publishable, Origin=ORIGIN)

    assert browser.post(f"{front.auth}/magic-link", {"email": ADA}).status_code == 200
    assert front.mailbox.latest(ADA)


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}])
def test_a_publishable_key_from_elsewhere_is_refused(front, acme, headers):
    answer = Api(acme.publishable, **headers).post(f"{front.auth}/magic-link", {"email": ADA})

    assert answer.status_code == 403
    assert "settings.allowedOrigins" in answer.json()["message"]


def test_a_publishable_key_may_do_nothing_else(front, acme):
    browser = Api(acme.publishable, Origin=ORIGIN)

    assert browser.get("/customers").status_code == 403
    assert browser.post(f"{front.auth}/introspect", {"token": "x"}).status_code == 403


def test_an_origin_alone_is_no_credential(front):
    assert Api(None, Origin=ORIGIN).post(f"{front.auth}/magic-link", {"email": ADA}).status_code == 401


def test_another_tenants_app_is_not_found(front, rival):
    answer = front.backend.post(f"{rival.auth}/magic-link", {"email": ADA})

    assert answer.status_code == 404
    assert answer.json()["code"] == "APP_NOT_FOUND"


def test_nothing_that_opens_anything_lies_in_the_database_after_use(front, acme):
    front.ask()
    mail = front.mailbox.latest(ADA)
    token = token_of(mail)
    code = Browser().post("/auth/confirm", {"token": token}).headers["Location"].partition("token=")[2]
    answer = front.verify(code).json()
    refreshed = front.refresh(answer["refreshToken"]).json()

    secrets = [
        token,
        mail["code"],
        code,
        answer["sessionToken"],
        answer["refreshToken"],
        refreshed["refreshToken"],
        ADA,
    ]
    with connection.cursor() as cursor:
        cursor.execute("set role stackbe_staff")
        cursor.execute(
            "select relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public'"
            " and relkind in ('r', 'p') and has_table_privilege('stackbe_staff', c.oid, 'select')"
        )
        found = {}
        for (table,) in cursor.fetchall():
            cursor.execute(f"select coalesce(string_agg(t::text, ' '), '') from {table} t")
            (text,) = cursor.fetchone()
            hexed = [s.encode().hex() for s in secrets]
            hits = [s for s, h in zip(secrets, hexed, strict=True) if (len(s) > 6 and s in text) or h in text]
            if hits:
                found[table] = hits
        cursor.execute("set role stackbe_web")
    assert found == {}
    assert count(acme, CustomerSession) == 1
