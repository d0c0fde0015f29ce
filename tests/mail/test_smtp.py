"""Real mail over real SMTP, caught on loopback."""

from __future__ import annotations

import pytest
from django.core import mail

from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import change
from stackbe.mail.sending import Message, send, sender, write


def test_a_mail_goes_out_as_text_and_html_from_our_own_address(smtp):
    brand = {"name": "Acmé <x>", "color": "#123456"}
    context = {"link": "https://example.com/#token=sbm_x", "code": "123456", "minutes": 15, "brand": brand}
    send(write("magic_link", "ada@example.com", context, from_name=brand["name"]))

    ((envelope, message),) = smtp.caught

    assert envelope.rcpt_tos == ["ada@example.com"]
    assert envelope.mail_from == "no-reply@localhost"
    assert message["Subject"] == "Sign in to Acmé <x>"
    assert message["From"].addresses[0].addr_spec == "no-reply@localhost"
    assert message["From"].addresses[0].display_name == "Acmé <x>"
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "https://example.com/#token=sbm_x" in text
    assert "123456" in text
    assert "Acmé &lt;x&gt;" in html
    assert "<x>" not in html


@pytest.mark.parametrize("template", ["sign_in", "magic_link"])
def test_every_sign_in_mail_says_how_long_and_what_if_it_was_not_you(template):
    context = {"link": "https://example.com/#t", "code": "123456", "minutes": 7, "brand": {"name": "Acme"}}
    message = write(template, "ada@example.com", context)

    for part in (message.text, message.html):
        assert "7 minutes" in part
        assert "123456" in part
        assert "If it was not you" in part
    assert "\n" not in message.subject


def test_a_server_that_refuses_raises_so_that_the_job_is_tried_again(smtp):
    smtp.answer = "451 try later"

    with pytest.raises(OSError, match="try later"):
        send(Message(to="ada@example.com", subject="s", text="t", html="<p>t</p>"))


def test_a_name_cannot_add_headers(smtp):
    send(Message(to="ada@example.com", subject="s", text="t", html="h", from_name="Acme\r\nBcc: evil@example.com"))

    ((envelope, message),) = smtp.caught
    assert envelope.rcpt_tos == ["ada@example.com"]
    assert message["Bcc"] is None


def test_our_name_stands_where_an_app_has_none(settings):
    settings.DEFAULT_FROM_EMAIL = "StackBE <no-reply@mail.example.com>"

    assert sender() == "StackBE <no-reply@mail.example.com>"
    assert sender("Acme, Inc.") == '"Acme, Inc." <no-reply@mail.example.com>'


def test_no_mail_is_sent_inside_a_transaction(db):
    with change(platform_scope()), pytest.raises(RuntimeError, match="mail server"):
        send(Message(to="ada@example.com", subject="s", text="t", html="h"))

    assert mail.outbox == []


def test_a_message_shows_nothing_of_itself():
    message = Message(to="ada@example.com", subject="s", text="sbl_secret", html="h", code="123456")

    assert "ada" not in repr(message)
    assert "sbl_secret" not in repr(message)
