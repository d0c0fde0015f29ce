"""Developers sign up and in by mail."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.models import DeveloperLink, Membership, SpentToken, User
from accounts.services.members import memberships_of
from accounts.services.tenants import open_tenant
from accounts.services.users import user_by_email
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.models import BrowserSession
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import reading
from tests.queue import queued, run_jobs
from tests.signin.people import Browser, token_of

pytestmark = pytest.mark.django_db
ADA = "ada@example.com"
CONFIRM = "/auth/developer/confirm"


@pytest.fixture
def asker():
    return Browser()


def ask(browser: Browser, email: str = ADA, **more: str):
    return browser.post("/login", {"email": email, **more})


def known(email: str = ADA) -> User | None:
    with reading(platform_scope()):
        return user_by_email(email)


def test_a_link_signs_in_the_browser_that_asked_for_it(asker, mailbox):
    open_tenant("Acme", ADA)
    ask(asker, next="/dashboard/apps")

    response = asker.post(CONFIRM, {"token": token_of(mailbox.latest(ADA))})

    assert response.status_code == 302
    assert response.headers["Location"] == "/dashboard/apps"
    assert asker.signed_in
    assert DeveloperLink.unscoped.count() == 0
    assert [p.tenant_name for p in memberships_of(known().id)] == ["Acme"]


def test_sign_up_founds_the_tenant_when_the_link_is_spent_and_not_before(asker, mailbox):
    asker.post("/signup", {"email": ADA, "name": "Lovelace Ltd"})
    token = token_of(mailbox.latest(ADA))
    assert known() is None

    asker.post(CONFIRM, {"token": token})

    (place,) = memberships_of(known().id)
    assert (place.tenant_name, place.role) == ("Lovelace Ltd", "owner")


def test_signing_in_with_a_new_address_makes_an_account(asker, mailbox):
    ask(asker)

    asker.post(CONFIRM, {"token": token_of(mailbox.latest())})

    assert asker.signed_in
    assert len(memberships_of(known().id)) == 1


def test_signing_up_again_founds_no_second_tenant(asker, mailbox):
    open_tenant("Acme", ADA)
    asker.post("/signup", {"email": ADA.upper(), "name": "Another"})

    asker.post(CONFIRM, {"token": token_of(mailbox.latest())})

    assert [p.tenant_name for p in memberships_of(known().id)] == ["Acme"]


def test_looking_at_the_page_a_hundred_times_spends_nothing(asker, mailbox):
    ask(asker)
    token = token_of(mailbox.latest())
    scanner = Browser("203.0.113.9")

    for _ in range(34):
        assert scanner.get(f"{CONFIRM}?token={token}").status_code == 200
        assert scanner.client.head(CONFIRM, headers={"Host": "localhost:8000"}).status_code == 200
        assert scanner.client.options(CONFIRM, headers={"Host": "localhost:8000"}).status_code == 405

    assert scanner.post("/auth/developer/peek", {"token": token}).json() == {
        "email": "a•••@example.com",
        "otherBrowser": True,
    }
    assert asker.post(CONFIRM, {"token": token}).status_code == 302
    assert asker.signed_in


@pytest.mark.parametrize("asked_before", [False, True])
def test_another_browser_gets_a_confirmation_that_names_the_account_first(asker, mailbox, asked_before):
    ask(asker)
    token = token_of(mailbox.latest())
    other = Browser("203.0.113.9")
    if asked_before:  # and so holds a secret of its own
        ask(other, "mallory@example.com")

    first = other.post(CONFIRM, {"token": token})

    assert first.status_code == 200
    assert "Sign in as a•••@example.com" in first.content.decode()
    assert not other.signed_in
    other.post(CONFIRM, {"token": token})
    assert other.signed_in


def test_a_name_shown_for_one_link_does_not_open_another(asker, mailbox):
    ask(asker)
    mine = token_of(mailbox.latest())
    ask(Browser("192.0.2.1"), "mallory@example.com")
    theirs = token_of(mailbox.latest())
    other = Browser("203.0.113.9")
    other.post("/auth/developer/peek", {"token": mine})

    other.post(CONFIRM, {"token": theirs})

    assert not other.signed_in


def test_a_spent_link_says_so(asker, mailbox):
    ask(asker)
    token = token_of(mailbox.latest())
    asker.post(CONFIRM, {"token": token})

    again = asker.post(CONFIRM, {"token": token})

    assert again.status_code == 410
    assert "has been used already" in again.content.decode()
    assert asker.post("/auth/developer/peek", {"token": token}).json() == {"code": "TOKEN_ALREADY_USED"}
    assert SpentToken.unscoped.count() == 1


def test_a_late_link_says_so_and_a_forged_one_too(asker, mailbox):
    ask(asker)
    token = token_of(mailbox.latest())
    DeveloperLink.unscoped.update(expires_at=wall_clock() - timedelta(seconds=1))

    late = asker.post(CONFIRM, {"token": token})
    forged = asker.post(CONFIRM, {"token": token[:-1] + ("A" if token[-1] != "A" else "B")})

    assert (late.status_code, forged.status_code) == (410, 410)
    assert "has expired" in late.content.decode()
    assert "is not valid" in forged.content.decode()
    assert not asker.signed_in


def test_a_link_lives_fifteen_minutes(asker, mailbox):
    ask(asker)
    mailbox.latest()

    link = DeveloperLink.unscoped.get()

    assert link.expires_at - link.created_at == timedelta(minutes=15)


def test_only_the_newest_three_links_of_an_address_live(asker, mailbox):
    for _ in range(4):
        ask(asker)
    mails = mailbox(ADA)

    assert len(mails) == 3
    assert DeveloperLink.unscoped.count() == 3


def test_the_code_of_the_mail_signs_in_any_browser(asker, mailbox):
    ask(asker)
    code = mailbox.latest()["code"]
    other = Browser("203.0.113.9")

    response = other.post("/auth/developer/code", {"email": ADA, "code": f"{code[:3]} {code[3:]}"})

    assert response.status_code == 302
    assert other.signed_in
    assert DeveloperLink.unscoped.count() == 0


def test_a_code_has_five_tries_and_the_link_outlives_them(asker, mailbox):
    ask(asker)
    mail = mailbox.latest()
    wrong = "000000" if mail["code"] != "000000" else "111111"

    for _ in range(5):
        assert asker.post("/auth/developer/code", {"email": ADA, "code": wrong}).status_code == 400
    right = asker.post("/auth/developer/code", {"email": ADA, "code": mail["code"]})

    assert right.status_code == 400
    assert not asker.signed_in
    asker.post(CONFIRM, {"token": token_of(mail)})
    assert asker.signed_in


def test_known_and_unknown_addresses_get_the_same_page_and_the_same_work(asker, mailbox):
    open_tenant("Acme", ADA)
    known_page = ask(asker).content.decode()
    stranger = Browser()
    unknown_page = ask(stranger, "bob@example.com").content.decode()

    def plain(page: str, browser: Browser, email: str) -> str:
        lines = [line for line in page.splitlines() if "csrfmiddlewaretoken" not in line and "nonce" not in line]
        return "\n".join(lines).replace(email, "X")

    assert plain(known_page, asker, ADA) == plain(unknown_page, stranger, "bob@example.com")
    assert [name for name, _ in queued()] == ["accounts.mail_developer_link"] * 2


def test_asking_too_often_gets_the_same_page_and_no_more_mail(asker, mailbox):
    pages = [ask(asker) for _ in range(8)]

    assert {page.status_code for page in pages} == {200}
    assert len(queued()) == 5


def test_one_caller_has_so_much_mail_sent_whatever_the_addresses_and_is_not_told(asker, mailbox, settings):
    settings.SIGN_IN_MAIL_PER_CALLER = "3/15m"
    addresses = [f"person{n}@example.com" for n in range(5)]

    pages = {ask(asker, address).status_code for address in addresses}

    assert len(pages) == 1
    assert [len(mailbox(address)) for address in addresses] == [1, 1, 1, 0, 0]


def test_neither_queue_nor_table_holds_anything_to_sign_in_with(asker, mailbox):
    ask(asker)

    assert [sorted(arguments) for _, arguments in queued()] == [["link_id"]]
    before = DeveloperLink.unscoped.get()
    assert before.token_digest is None
    assert before.code_digest is None
    mail = mailbox.latest()
    with connection.cursor() as cursor:
        cursor.execute("select row_to_json(l)::text from accounts_developerlink l")
        (row,) = cursor.fetchone()
    for secret in (token_of(mail), mail["code"], ADA):
        assert secret not in row


def fail(message: object) -> None:
    raise ConnectionError("down")


def test_a_mail_that_fails_is_tried_again_with_a_fresh_token(asker, mailbox, monkeypatch):
    ask(asker)
    monkeypatch.setattr("stackbe.mail.outgoing.send", fail)
    run_jobs(tolerate=True)
    first = bytes(DeveloperLink.unscoped.get().token_digest)
    monkeypatch.undo()
    with connection.cursor() as cursor:
        cursor.execute("update procrastinate_jobs set status = 'todo'")

    mail = mailbox.latest()

    assert bytes(DeveloperLink.unscoped.get().token_digest) != first
    asker.post(CONFIRM, {"token": token_of(mail)})
    assert asker.signed_in


def test_logging_out_deletes_the_session(asker, mailbox):
    ask(asker)
    asker.post(CONFIRM, {"token": token_of(mailbox.latest())})
    assert BrowserSession.objects.filter(user_id=known().id).count() == 1

    assert asker.post("/logout").status_code == 302

    assert not asker.signed_in
    assert BrowserSession.objects.filter(user_id__isnull=False).count() == 0
    assert asker.get("/logout").status_code == 405


def test_a_dump_of_the_sessions_signs_nobody_in(asker, mailbox, settings):
    ask(asker)
    asker.post(CONFIRM, {"token": token_of(mailbox.latest())})
    cookie = asker.client.cookies[settings.SESSION_COOKIE_NAME].value
    (row,) = BrowserSession.objects.filter(user_id=known().id)

    thief = Browser()
    thief.client.cookies[settings.SESSION_COOKIE_NAME] = row.session_key

    assert cookie not in f"{row.session_key} {row.session_data}"
    assert thief.get("/account/security").status_code == 302
    assert asker.get("/account/security").status_code == 200


def test_forms_without_their_csrf_token_are_refused(asker):
    for path in ("/login", "/signup", CONFIRM, "/auth/developer/code", "/auth/developer/peek", "/logout"):
        response = asker.client.post(path, {"email": ADA, "token": "x"}, headers={"Host": "localhost:8000"})
        assert response.status_code == 403, path


def test_the_link_page_leaks_nowhere(asker):
    page = asker.get(CONFIRM)

    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "dashboard"]
)
def test_nobody_is_sent_to_another_site_after_signing_in(asker, mailbox, path):
    ask(asker, next=path)

    response = asker.post(CONFIRM, {"token": token_of(mailbox.latest())})

    assert response.headers["Location"] == "/dashboard/"


def test_a_staff_link_gives_its_role_to_whoever_opens_it():
    out = StringIO()
    call_command("staff_link", "--email", "root@example.com", "--json", stdout=out)
    url = json.loads(out.getvalue())["url"]
    token = url.partition("#token=")[2]
    operator = Browser()
    operator.post("/auth/developer/peek", {"token": token})

    response = operator.post(CONFIRM, {"token": token})

    user = known("root@example.com")
    assert (user.staff_role, user.is_staff) == ("administrator", True)
    assert memberships_of(user.id) == []
    assert response.headers["Location"] == "/staff/"


def test_signing_in_is_audited_without_the_address(asker, mailbox):
    ask(asker)
    asker.post(CONFIRM, {"token": token_of(mailbox.latest())})

    with connection.cursor() as cursor:
        cursor.execute("set role stackbe_staff")
        cursor.execute("select action, target from kernel_auditevent where action = 'developer.signed_in'")
        rows = cursor.fetchall()
        cursor.execute("set role stackbe_web")
    assert rows == [("developer.signed_in", known().public_id)]


def test_a_member_of_no_tenant_any_more_gets_a_tenant_of_their_own(asker, mailbox):
    tenant, user, membership = open_tenant("Acme", ADA)
    del tenant
    with connection.cursor() as cursor:
        cursor.execute("select set_config('stackbe.tenant', %s, true)", [str(membership.tenant_id)])
    Membership.unscoped.filter(pk=membership.pk).delete()
    ask(asker)

    asker.post(CONFIRM, {"token": token_of(mailbox.latest())})

    assert [p.tenant_name for p in memberships_of(user.id)] == ["My workspace"]
