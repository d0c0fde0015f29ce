"""What becomes of a mail: sent, tried again, refused for good, bounced later; and what an address that bounced gets."""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
from datetime import timedelta
from typing import Any

import pytest
from anymail.exceptions import AnymailAPIError, AnymailRecipientsRefused
from anymail.message import AnymailRecipientStatus
from django.core import mail as django_mail
from django.test import Client

from accounts.models import MagicLink, email_index
from accounts.services.customers import delete_customer, index_key
from accounts.services.developers import request_sign_in
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import RETRY
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import change, reading
from stackbe.mail import outgoing
from stackbe.mail.models import BouncedAddress, OutgoingMail
from stackbe.mail.providers import mail_settings
from stackbe.mail.refusals import judge
from tests.cast import Api
from tests.queue import queued, run_jobs, run_periodic

pytestmark = pytest.mark.django_db
ADA = "ada@example.com"
HOST = {"Host": "localhost:8000"}


def ask(company, email: str = ADA) -> Any:
    answer = Api(company.key).post(f"/apps/{company.app}/auth/magic-link", {"email": email})
    assert answer.status_code == 200
    return answer


def mails(company) -> list[OutgoingMail]:
    with reading(company.scope):
        return list(OutgoingMail.objects.within(company.scope).order_by("id"))


def bounce(company, email: str = ADA) -> BouncedAddress | None:
    with reading(company.scope):
        return outgoing.bounce_of(company.scope, email_index(index_key(company.scope), email))


def test_a_mail_waits_until_the_worker_has_sent_it(acme, smtp):
    ask(acme)
    (waiting,) = mails(acme)
    assert (waiting.status, waiting.kind, waiting.attempts) == ("waiting", "magic_link", 0)

    run_jobs()

    (sent,) = mails(acme)
    assert (sent.status, sent.attempts) == ("sent", 1)
    assert sent.sent_at is not None
    assert len(smtp.caught) == 1


@pytest.mark.parametrize("answer", ["451 4.3.0 try later", "421 4.7.0 busy", "452 4.2.2 mailbox full"])
def test_a_server_that_says_later_is_asked_again_with_a_fresh_link(acme, smtp, answer):
    smtp.at_recipient = answer
    ask(acme)

    with pytest.raises(smtplib.SMTPException):
        run_jobs()

    (waiting,) = mails(acme)
    assert (waiting.status, waiting.attempts) == ("waiting", 1)
    assert waiting.said.startswith(answer[:3])
    assert [name for name, _ in queued()] == ["accounts.mail_magic_link"]
    smtp.at_recipient = "250 OK"
    run_jobs()
    assert mails(acme)[0].status == "sent"
    assert bounce(acme) is None


def test_a_mail_is_tried_again_at_growing_distances_for_longer_than_a_link_lives():
    waits = [RETRY.exponential_wait ** (attempt + 1) for attempt in range(RETRY.max_attempts)]

    assert waits[:3] == [3, 9, 27]
    assert waits == sorted(waits)
    assert sum(waits) > 15 * 60


def test_no_server_at_all_leaves_the_mail_waiting(acme, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9

    ask(acme)
    with pytest.raises(OSError, match="refused"):
        run_jobs()

    (waiting,) = mails(acme)
    assert (waiting.status, waiting.said) == ("waiting", "ConnectionRefusedError")


@pytest.mark.parametrize(
    "answer",
    ["550 5.1.1 no such user here", "550 no mailbox", "553 bad name", "550 5.2.1 disabled", "501 5.1.3 syntax"],
)
def test_an_address_that_the_server_refuses_is_remembered_and_gets_nothing_more(acme, smtp, answer):
    smtp.at_recipient = answer
    first = ask(acme)
    run_jobs()
    assert mails(acme)[0].status == "refused"
    assert bounce(acme).reason == "refused"
    assert "user" not in bounce(acme).said

    smtp.at_recipient = "250 OK"
    second = ask(acme)
    run_jobs()

    assert second.content == first.content
    assert [m.status for m in mails(acme)] == ["refused", "skipped"]
    assert smtp.caught == []
    assert len(smtp.asked) == 1
    with reading(acme.scope):
        assert MagicLink.objects.within(acme.scope).count() == 1


@pytest.mark.parametrize("answer", ["550 5.7.1 relaying denied", "552 5.2.2 mailbox full", "554 5.7.1 blocked"])
def test_a_refusal_that_says_nothing_of_the_address_is_not_held_against_it(acme, smtp, answer):
    smtp.at_recipient = answer
    ask(acme)

    run_jobs()

    assert mails(acme)[0].status == "refused"
    assert bounce(acme) is None


@pytest.mark.parametrize(
    ("failure", "for_good", "at_fault"),
    [
        (smtplib.SMTPDataError(550, b"5.1.1 unknown"), True, True),
        (smtplib.SMTPDataError(554, b"5.7.1 spam"), True, False),
        (smtplib.SMTPDataError(451, b"4.0.0 later"), False, False),
        (smtplib.SMTPSenderRefused(550, b"5.1.8 bad sender", "x"), False, False),
        (smtplib.SMTPAuthenticationError(535, b"5.7.8 no"), False, False),
        (smtplib.SMTPServerDisconnected("gone"), False, False),
        (TimeoutError(), False, False),
        (AnymailRecipientsRefused(), True, True),
        (AnymailAPIError(), False, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_how_a_refusal_is_read(failure, for_good, at_fault):
    verdict = judge(failure)

    assert (verdict.for_good, verdict.address_at_fault) == (for_good, at_fault)


def test_a_bounce_is_one_apps_and_is_lifted_by_hand(acme, globex, smtp):
    smtp.at_recipient = "550 5.1.1 no such user"
    ask(acme)
    run_jobs()
    smtp.at_recipient = "250 OK"

    ask(globex)
    run_jobs()
    assert len(smtp.caught) == 1
    with change(acme.scope):
        outgoing.lift_bounce(acme.scope, email_index(index_key(acme.scope), ADA))
    ask(acme)
    run_jobs()

    assert len(smtp.caught) == 2


def test_another_address_of_the_same_customer_gets_mail(acme, smtp):
    customer = Api(acme.key).post("/customers", {"email": ADA}).json()["id"]
    smtp.at_recipient = "550 5.1.1 no such user"
    ask(acme)
    run_jobs()
    smtp.at_recipient = "250 OK"

    Api(acme.key).patch(f"/customers/{customer}", {"email": "ada@example.org"})
    ask(acme, "ada@example.org")
    run_jobs()

    assert [envelope.rcpt_tos for envelope, _ in smtp.caught] == [["ada@example.org"]]


def test_nothing_is_kept_of_strangers_where_the_app_does_not_create_customers(acme, smtp):
    Api(acme.tenant_key).patch(f"/apps/{acme.app}", {"settings": {"autoCreateCustomer": False}})
    stranger = acme.api("customers:read")
    stranger.post(f"/apps/{acme.app}/auth/magic-link", {"email": ADA})

    run_jobs()

    assert mails(acme) == []
    assert smtp.asked == []


def test_a_link_that_has_expired_before_its_mail_went_out_says_so(acme, smtp):
    ask(acme)
    with change(acme.scope):
        MagicLink.objects.within(acme.scope).update(expires_at=wall_clock())

    run_jobs()

    assert mails(acme)[0].status == "late"


def test_outcomes_go_after_thirty_days_and_bounces_stay(acme, smtp):
    smtp.at_recipient = "550 5.1.1 no such user"
    ask(acme)
    run_jobs()
    with change(acme.scope):
        OutgoingMail.objects.within(acme.scope).update(asked_at=wall_clock() - timedelta(days=31))

    run_periodic("trust.purge")

    assert mails(acme) == []
    assert bounce(acme) is not None


def test_a_deleted_customers_mails_and_bounces_go_with_them(acme, smtp):
    customer = Api(acme.key).post("/customers", {"email": ADA}).json()["id"]
    smtp.at_recipient = "550 5.1.1 no such user"
    ask(acme)
    run_jobs()
    told = Api(acme.key).get(f"/customers/{customer}/export").json()["records"]["mails"]
    assert [entry["status"] for entry in told] == ["refused"]

    with change(acme.scope):
        delete_customer(acme.scope, customer)

    assert mails(acme) == []
    assert bounce(acme) is None


def test_rows_hold_no_address(acme, smtp):
    ask(acme)
    run_jobs()

    (row,) = mails(acme)
    assert ADA not in str(vars(row))
    assert ADA.encode() not in bytes(row.address_index)


def test_a_developers_mail_is_recorded_for_the_platform(smtp):
    smtp.at_recipient = "550 5.1.1 no such user"
    request_sign_in("dev@example.com")
    run_jobs()
    smtp.at_recipient = "250 OK"
    request_sign_in("dev@example.com")
    run_jobs()

    scope = platform_scope()
    with reading(scope):
        statuses = list(OutgoingMail.objects.within(scope).order_by("id").values_list("status", flat=True))
    assert statuses == ["refused", "skipped"]
    assert smtp.caught == []


# Providers.


@pytest.fixture
def provider(settings):
    """anymail's test backend in place of a provider's API."""
    settings.EMAIL_BACKEND = "anymail.backends.test.EmailBackend"
    django_mail.outbox = []
    return django_mail.outbox


def test_a_provider_gets_the_mail_as_it_was_written_and_nothing_else(acme, provider):
    ask(acme)
    run_jobs()

    (message,) = provider
    params = message.anymail_test_params
    assert [to.addr_spec for to in params["to"]] == [ADA]
    assert params["from"].display_name == "Acme"
    assert params["subject"] == "Sign in to Acme"
    assert "#token=sbm_" in params["text_body"]
    assert "#token=sbm_" in params["html_body"]
    assert not {"metadata", "tags", "merge_data", "template_id", "track_opens", "track_clicks"} & set(params)
    assert mails(acme)[0].provider_id == "0"


def test_a_provider_that_refuses_the_address_is_not_asked_again(acme, provider, monkeypatch):
    status = AnymailRecipientStatus(message_id=None, status="invalid")
    monkeypatch.setattr(
        "anymail.backends.test.EmailBackend.post_to_esp", lambda *_: {"recipient_status": {ADA: status}}
    )
    ask(acme)

    run_jobs()

    assert mails(acme)[0].status == "refused"
    assert bounce(acme) is not None


def test_a_provider_that_fails_is_asked_again(acme, provider, monkeypatch):
    def fail(*_: Any) -> Any:
        raise AnymailAPIError("down")

    monkeypatch.setattr("anymail.backends.test.EmailBackend.post_to_esp", fail)
    ask(acme)

    with pytest.raises(AnymailAPIError):
        run_jobs()

    assert mails(acme)[0].status == "waiting"


def listen_to(settings, name: str, secret: str) -> None:
    """Make the copy one that sends through a provider and listens to its events."""
    urls = {"mailgun": "mailgun://key@mg.example.com", "postmark": "postmark://token"}
    settings.EMAIL_WEBHOOK_SECRET = secret
    for variable, value in mail_settings(urls[name], secret).items():
        if variable != "EMAIL_BACKEND":
            setattr(settings, variable, value)


def mailgun_event(message_id: str, key: str, **event: Any) -> dict[str, Any]:
    signed = {"timestamp": str(int(wall_clock().timestamp())), "token": "t" * 50}
    digest = hmac.new(key.encode(), (signed["timestamp"] + signed["token"]).encode(), hashlib.sha256).hexdigest()
    data = {
        "event": "failed",
        "severity": "permanent",
        "reason": "bounce",
        "recipient": ADA,
        "timestamp": 1.0,
        "id": "x",
        "message": {"headers": {"message-id": message_id}},
        "delivery-status": {"code": 550},
        **event,
    }
    return {"signature": signed | {"signature": digest}, "event-data": data}


def tell(name: str, body: Any, **extra: Any) -> int:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    path = f"/webhooks/mail/{name}"
    return client.post(path, json.dumps(body), "application/json", headers=HOST, **extra).status_code


@pytest.fixture
def sent(acme, provider) -> str:
    """The provider's id of a mail that it has taken."""
    ask(acme)
    run_jobs()
    with change(acme.scope):
        OutgoingMail.objects.within(acme.scope).update(provider_id="<20261124.1@mg.example.com>")
    return "20261124.1@mg.example.com"


def test_a_signed_bounce_keeps_later_mail_back(acme, settings, provider, sent):
    listen_to(settings, "mailgun", "signing-key")

    assert tell("mailgun", mailgun_event(sent, "signing-key")) == 200

    assert mails(acme)[0].status == "bounced"
    assert bounce(acme).reason == "bounced"
    ask(acme)
    run_jobs()
    assert len(provider) == 1


def test_a_bounce_that_comes_twice_is_one(acme, settings, sent):
    listen_to(settings, "mailgun", "signing-key")

    assert [tell("mailgun", mailgun_event(sent, "signing-key")) for _ in range(3)] == [200] * 3

    with reading(acme.scope):
        assert BouncedAddress.objects.within(acme.scope).count() == 1


@pytest.mark.parametrize(
    "event",
    [
        {"event": "delivered", "delivery-status": {"code": 250}},
        {"event": "failed", "severity": "temporary"},
        {"event": "opened"},
    ],
    ids=lambda event: event["event"],
)
def test_other_news_changes_nothing(acme, settings, sent, event):
    listen_to(settings, "mailgun", "signing-key")

    assert tell("mailgun", mailgun_event(sent, "signing-key", **event)) == 200

    assert mails(acme)[0].status == "sent"
    assert bounce(acme) is None


def test_a_forged_bounce_is_refused(acme, settings, sent):
    listen_to(settings, "mailgun", "signing-key")

    assert tell("mailgun", mailgun_event(sent, "another-key")) == 400
    unsigned = {"event-data": mailgun_event(sent, "signing-key")["event-data"]}
    assert tell("mailgun", unsigned) == 400
    assert tell("mailgun", ["junk"]) == 400
    assert tell("mailgun", {}) == 400

    assert bounce(acme) is None


def test_a_provider_that_does_not_sign_proves_itself_by_the_password_in_the_url(acme, settings, sent):
    listen_to(settings, "postmark", "hook:pass-word")
    body = {"RecordType": "Bounce", "Type": "HardBounce", "MessageID": "<20261124.1@mg.example.com>", "Email": ADA}

    assert tell("postmark", body) == 400
    assert tell("postmark", body, HTTP_AUTHORIZATION="Basic aG9vazp3cm9uZw==") == 400
    assert bounce(acme) is None
    assert tell("postmark", body, HTTP_AUTHORIZATION="Basic aG9vazpwYXNzLXdvcmQ=") == 200

    assert bounce(acme).reason == "bounced"


def test_nobody_is_listened_to_without_a_secret_and_nobody_but_the_provider_in_use(settings):
    listen_to(settings, "mailgun", "signing-key")
    assert tell("postmark", {}) == 404
    settings.EMAIL_WEBHOOK_SECRET = ""
    assert tell("mailgun", mailgun_event("x", "")) == 404


def test_a_bounce_of_a_mail_that_is_not_ours_is_taken_and_changes_nothing(acme, settings, sent):
    listen_to(settings, "mailgun", "signing-key")

    assert tell("mailgun", mailgun_event("other@mg.example.com", "signing-key")) == 200

    assert bounce(acme) is None
