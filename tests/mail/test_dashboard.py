"""What the dashboard says of mail: what waits, what bounced, and how to send again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.services.customers import find_customer
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading
from stackbe.mail import outgoing
from stackbe.mail.models import OutgoingMail
from tests.cast import Api
from tests.dashboard.conftest import seated
from tests.queue import run_jobs

pytestmark = pytest.mark.django_db
ADA = "ada@example.com"


def ask(company) -> None:
    assert Api(company.key).post(f"/apps/{company.app}/auth/magic-link", {"email": ADA}).status_code == 200


def wait(company, seconds: float) -> None:
    with change(company.scope):
        OutgoingMail.objects.within(company.scope).update(asked_at=wall_clock() - timedelta(seconds=seconds))


def page(company, path: str = "") -> str:
    return seated(company, email="grace@example.com").get(path).content.decode()


@pytest.mark.parametrize("path", ["", "customers", "settings"])
def test_mail_that_waits_for_longer_than_thirty_seconds_shows_on_every_page(acme, path):
    ask(acme)
    wait(acme, 31)

    html = page(acme, path)

    assert "Mail is waiting" in html
    assert "One sign-in mail has waited" in html
    assert "doctor --mail" in html


def test_mail_that_has_only_just_been_asked_for_shows_nowhere(acme):
    ask(acme)
    wait(acme, 20)

    assert "Mail is waiting" not in page(acme)


def test_what_the_server_said_is_told_without_its_words(acme, smtp):
    smtp.at_recipient = "451 4.7.1 greylisted, ada@example.com"
    ask(acme)
    with pytest.raises(OSError, match="greylisted"):
        run_jobs()
    wait(acme, 60)

    html = page(acme)

    assert "last said: 451 4.7.1." in html
    assert "greylisted" not in html


def test_the_notice_goes_when_the_mail_has_gone_out(acme, smtp):
    ask(acme)
    wait(acme, 60)

    run_jobs()

    assert "Mail is waiting" not in page(acme)


def test_what_has_waited_for_a_day_is_waited_for_no_more(acme):
    ask(acme)
    wait(acme, 24 * 3600 + 1)

    assert "Mail is waiting" not in page(acme)


def test_many_mails_that_wait_are_counted(acme):
    for _ in range(3):
        ask(acme)
    wait(acme, 60)

    assert "3 sign-in mails have waited" in page(acme)


def test_another_companys_waiting_mail_is_nobodys_business(acme, globex):
    ask(globex)
    wait(globex, 60)

    assert "Mail is waiting" not in page(acme)


@pytest.fixture
def bounced(acme, smtp) -> str:
    """A customer whose mail came back."""
    customer = Api(acme.key).post("/customers", {"email": ADA}).json()["id"]
    smtp.at_recipient = "550 5.1.1 no such user"
    ask(acme)
    run_jobs()
    ask(acme)
    run_jobs()
    smtp.at_recipient = "250 OK"
    return customer


def test_a_customers_page_says_that_mail_came_back_and_what_was_not_sent(acme, bounced):
    html = page(acme, f"customers/{bounced}")

    assert "No mail is sent to this address since" in html
    assert "the mail server refused the address" in html
    assert "<code>550 5.1.1</code>" in html
    assert "Not sent: earlier mail to this address bounced" in html


def test_a_member_has_mail_sent_again(acme, smtp, bounced):
    desk = seated(acme)

    answer = desk.post(f"customers/{bounced}/mail")

    assert "The next mail to this customer will be sent." in answer.content.decode()
    with reading(acme.scope):
        index = bytes(find_customer(acme.scope, public_id=bounced).email_index)
        assert outgoing.bounce_of(acme.scope, index) is None
    ask(acme)
    run_jobs()
    assert len(smtp.caught) == 1


def test_a_viewer_sees_it_and_changes_nothing(acme, bounced):
    desk = seated(acme, "viewer")

    assert "Send mail to it again" not in desk.get(f"customers/{bounced}").content.decode()
    assert desk.post(f"customers/{bounced}/mail").status_code == 403
