"""The contact page: a ticket, its receipt, its answer, and who is told when nobody answers."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.test import Client

from accounts.models import User
from accounts.services.users import ensure_user
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.scope import PLATFORM, platform_scope
from stackbe.kernel.transactions import change, reading
from stackbe.staff.services import staff_scope
from stackbe.trust.models import Ticket, TicketAnswer
from stackbe.trust.services.tickets import answer_ticket, close_ticket, response_times
from tests.queue import run_periodic

REPORT = {
    "subject": "security",
    "email": "finder@example.org",
    "name": "Fin Der",
    "message": "The page /nothing shows what it should not.",
}


@pytest.fixture
def browser(db) -> Client:
    return Client(headers={"host": "localhost:8000"})


def hire(email: str, role: str) -> User:
    with change(platform_scope()):
        user = ensure_user(email)
        user.staff_role = role
        user.save(update_fields=["staff_role"])
    return user


def the_ticket() -> Ticket:
    return Ticket.unscoped.get()


def age(ticket: Ticket, **by: int) -> None:
    Ticket.unscoped.filter(pk=ticket.pk).update(opened_at=ticket.opened_at - timedelta(**by))


def actions() -> list[str]:
    with reading(platform_scope()):
        rows = AuditEvent.unscoped.filter(tenant_id=PLATFORM, action__startswith="ticket.")
        return list(rows.order_by("id").values_list("action", flat=True))


def test_a_report_is_kept_sealed_and_gets_a_receipt_and_the_security_role_is_told(browser, mailbox):
    hire("guard@staff.example", "security")
    hire("boss@staff.example", "administrator")

    response = browser.post("/contact", REPORT)

    ticket = the_ticket()
    assert response.status_code == 200
    assert ticket.public_id in response.content.decode()
    receipt = mailbox.latest("finder@example.org")
    assert ticket.public_id in receipt["subject"]
    assert "24 hours" in receipt["text"]
    assert "what it should not" not in receipt["text"]
    assert ticket.public_id in mailbox.latest("guard@staff.example")["subject"]
    assert mailbox("boss@staff.example") == []
    stored = repr(Ticket.unscoped.values_list("email", "name", "message").get())
    assert "finder" not in stored
    assert "Fin Der" not in stored
    assert actions() == ["ticket.opened"]


def test_another_subject_tells_nobody_but_who_wrote(browser, mailbox):
    hire("guard@staff.example", "security")

    browser.post("/contact", REPORT | {"subject": "billing"})

    assert [mail["to"] for mail in mailbox()] == ["finder@example.org"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"email": "nobody"}, "valid email"),
        ({"message": "Hi"}, "at least 20 characters"),
        ({"message": "My card is 4242 4242 4242 4242, look"}, "looks like a card number"),
        ({"message": "x" * 10_001}, "at most 10000"),
        ({"subject": "spam"}, "not one of the available choices"),
        ({"name": "two\nlines"}, "one line"),
        ({"message": ""}, "required"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_what_to_do(browser, wrong, said):
    response = browser.post("/contact", REPORT | wrong)

    assert response.status_code == 400
    assert said in response.content.decode()
    assert not Ticket.unscoped.exists()


def test_the_form_is_limited_by_address_and_by_caller_and_wants_its_token(browser):
    for number in range(3):
        assert browser.post("/contact", REPORT).status_code == 200, number
    refused = browser.post("/contact", REPORT)
    others = [browser.post("/contact", REPORT | {"email": f"{n}@example.org"}).status_code for n in range(7)]
    strict = Client(enforce_csrf_checks=True, headers={"host": "localhost:8000"})

    assert refused.status_code == 429
    assert "too often" in refused.content.decode()
    assert others == [200] * 6 + [429]
    assert strict.post("/contact", REPORT).status_code == 403
    assert strict.get("/contact?subject=security").status_code == 200


def test_the_first_answer_is_mailed_and_stops_the_clock(browser, mailbox):
    guard = hire("guard@staff.example", "security")
    browser.post("/contact", REPORT)
    age(the_ticket(), hours=3)
    for text in ("We look into it and write again.", "It is mended since this morning."):
        with change(staff_scope(guard)) as unit:
            answer_ticket(unit.scope, the_ticket().pk, text)
    with change(staff_scope(guard)) as unit:
        close_ticket(unit.scope, the_ticket().pk)
        close_ticket(unit.scope, the_ticket().pk)

    texts = [mail["text"] for mail in mailbox("finder@example.org")]
    assert "mended since this morning" in texts[0]
    assert "We look into it" in texts[1]
    assert TicketAnswer.unscoped.count() == 2
    times = response_times()
    assert (times.answered, times.waiting, times.overdue) == (1, 0, 0)
    assert timedelta(hours=3) <= times.longest < timedelta(hours=3, minutes=1)
    assert actions() == ["ticket.opened", "ticket.answered", "ticket.answered", "ticket.closed"]


def test_after_20_hours_without_an_answer_the_security_role_is_mailed_once(browser, mailbox):
    guard = hire("guard@staff.example", "security")
    browser.post("/contact", REPORT)
    mailbox()
    age(the_ticket(), hours=19)
    run_periodic("trust.chase_tickets")
    early = len(mailbox("guard@staff.example"))
    age(the_ticket(), hours=2)

    run_periodic("trust.chase_tickets")
    run_periodic("trust.chase_tickets")

    found = [mail["subject"] for mail in mailbox("guard@staff.example")]
    assert (early, len(found)) == (1, 2)
    assert found[0].startswith("Unanswered for 20 hours")
    assert response_times().overdue == 0
    age(the_ticket(), hours=4)
    assert response_times().overdue == 1
    with change(staff_scope(guard)) as unit:
        answer_ticket(unit.scope, the_ticket().pk, "Now we have seen it.")
    assert response_times().overdue == 0


@pytest.mark.django_db
def test_security_txt_is_as_rfc_9116_has_it_and_does_not_run_out(client):
    answer = client.get("/.well-known/security.txt", headers={"host": "localhost:8000"})
    fields = [line.split(": ", 1) for line in answer.content.decode().splitlines()]
    once = dict(fields)

    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert [value for name, value in fields if name == "Contact"] == [
        "http://localhost:8000/contact?subject=security",
        "mailto:security@localhost",
    ]
    assert len(fields) == len(once) + 1  # everything else stands there once
    assert timedelta(days=90) < datetime.fromisoformat(once["Expires"]) - wall_clock() < timedelta(days=365)
    assert once["Canonical"] == "http://localhost:8000/.well-known/security.txt"
    assert once["Preferred-Languages"] == "en"
    assert client.get("/security", headers={"host": "localhost:8000"}).status_code == 200
    assert once["Policy"] == "http://localhost:8000/security"
