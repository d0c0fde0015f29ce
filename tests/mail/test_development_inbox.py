"""The development inbox: kept sealed, shown newest first, closed everywhere else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.mail import EmailMultiAlternatives
from django.db import connection

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import new_id
from stackbe.kernel.scope import platform_scope
from stackbe.mail.inbox import DevelopmentInbox
from stackbe.mail.models import InboxMessage
from stackbe.mail.sending import Message, send
from stackbe.mail.subjects import erase
from tests.queue import run_periodic


def caught(to="ada@example.com", subject="Hello"):
    send(
        Message(to=to, subject=subject, text="Go to https://example.com/a?b=c#d. Bye", html="<p>Hi</p>", code="123456")
    )


@pytest.fixture(autouse=True)
def kept(db, settings):
    settings.EMAIL_BACKEND = "stackbe.mail.inbox.DevelopmentInbox"


def test_a_mail_is_shown_with_its_links_and_code(client):
    caught()

    (mail,) = client.get("/dev/inbox", headers={"Accept": "application/json", "Host": "localhost:8000"}).json()

    assert mail["to"] == "ada@example.com"
    assert mail["subject"] == "Hello"
    assert mail["links"] == ["https://example.com/a?b=c#d"]
    assert mail["code"] == "123456"
    assert mail["from"].endswith("<no-reply@localhost>")
    assert mail["sentAt"].endswith("Z")


def test_newest_mail_comes_first_and_an_addressee_sees_only_theirs(client):
    caught(subject="first")
    caught(subject="second")
    caught(to="bob@example.com", subject="for Bob")

    shown = client.get("/dev/inbox?format=json&to=ADA@example.com", headers={"Host": "localhost:8000"}).json()

    assert [mail["subject"] for mail in shown] == ["second", "first"]


def test_the_page_escapes_what_mails_say(client):
    caught(subject="<script>alert(1)</script>")

    page = client.get("/dev/inbox", headers={"Host": "localhost:8000"})

    assert page.status_code == 200
    assert b"<script>alert" not in page.content


def test_a_mail_is_shown_as_html_without_scripts(client):
    caught()
    (mail,) = client.get("/dev/inbox?format=json", headers={"Host": "localhost:8000"}).json()

    page = client.get(f"/dev/inbox/{mail['id']}/html", headers={"Host": "localhost:8000"})

    assert page.content == b"<p>Hi</p>"
    assert "script-src 'none'" in page.headers["Content-Security-Policy"]
    assert client.get("/dev/inbox/mail_unknown", headers={"Host": "localhost:8000"}).status_code == 404


def test_a_mail_is_shown_with_its_link_to_follow_and_its_code(client):
    caught()
    (mail,) = client.get("/dev/inbox?format=json", headers={"Host": "localhost:8000"}).json()

    page = client.get(f"/dev/inbox/{mail['id']}", headers={"Host": "localhost:8000"})

    assert b'href="https://example.com/a?b=c#d"' in page.content
    assert b"123456" in page.content


@pytest.mark.parametrize(("name", "value"), [("DEVELOPMENT_INBOX", False), ("PRODUCTION", True)])
def test_it_is_closed_beside_a_mail_server_and_in_production(client, settings, name, value):
    setattr(settings, name, value)

    assert client.get("/dev/inbox", headers={"Host": "localhost:8000"}).status_code == 404
    assert client.get("/dev/inbox/mail_x", headers={"Host": "localhost:8000"}).status_code == 404


def test_nothing_of_a_mail_lies_readable_in_its_row():
    caught(subject="Very Secret Subject")

    with connection.cursor() as cursor:
        cursor.execute("select encode(content, 'escape') || encode(address_index, 'escape') from mail_inboxmessage")
        (text,) = cursor.fetchone()

    assert "Secret" not in text
    assert "example" not in text


def test_a_mail_to_several_is_kept_for_each(client):
    mail = EmailMultiAlternatives("s", "t", "x@example.com", ["ada@example.com"], bcc=["bob@example.com"])

    assert DevelopmentInbox().send_messages([mail]) == 1

    assert len(client.get("/dev/inbox?format=json", headers={"Host": "localhost:8000"}).json()) == 2


def test_caught_mail_goes_after_a_week(client):
    caught(subject="old")
    InboxMessage.unscoped.update(sent_at=wall_clock() - timedelta(days=8))
    caught(subject="new")

    run_periodic("trust.purge")

    shown = client.get("/dev/inbox?format=json", headers={"Host": "localhost:8000"}).json()
    assert [mail["subject"] for mail in shown] == ["new"]


def test_caught_mail_goes_with_the_person_it_is_about(client):
    person = new_id()
    send(Message(to="ada@example.com", subject="s", text="t", html="h", subject_id=person))
    caught(to="bob@example.com")

    assert erase(platform_scope(), person) == 1
    assert [mail["to"] for mail in client.get("/dev/inbox?format=json", headers={"Host": "localhost:8000"}).json()] == [
        "bob@example.com"
    ]
