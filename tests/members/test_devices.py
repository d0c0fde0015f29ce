"""The browsers that one is signed in with: listed, ended from afar, told of when new."""

from __future__ import annotations

import pytest

from accounts.models import Device
from tests.members.authenticators import app_code
from tests.members.conftest import audited, signed_in, words
from tests.members.test_factors import ADA, enrol, half_in, moment
from tests.signin.people import Browser, token_of

pytestmark = pytest.mark.django_db
ALERT = "A new browser signed in"


def alerts(mailbox):
    return [mail for mail in mailbox(ADA) if mail["subject"].startswith(ALERT)]


def test_the_list_shows_a_family_and_part_of_an_address(mailbox):
    browser = Browser("203.0.113.77")
    browser.client.defaults["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux) Gecko/20100101 Firefox/140.0"
    again(browser, mailbox)

    page = words(browser.get("/account/security"))

    assert "Firefox" in page
    assert "this browser" in page
    assert "203.0.113.0" in page
    assert "203.0.113.77" not in page


def again(browser, mailbox):
    """Sign in with a browser that may have been here before."""
    browser.get("/login")
    browser.post("/login", {"email": ADA})
    browser.post("/auth/developer/confirm", {"token": token_of(mailbox.latest(ADA))})


def test_one_browser_is_signed_out_from_another_at_its_next_click(mailbox):
    here, there = signed_in(ADA, mailbox), signed_in(ADA, mailbox)
    (other,) = Device.objects.filter(session_key__gt="").order_by("-id")[:1]

    here.post(f"/account/security/browsers/{other.public_id}/end")

    assert there.get("/account/security")["Location"].startswith("/login")
    assert here.get("/account/security").status_code == 200
    assert "developer.signed_out" in audited()


def test_all_others_are_signed_out_at_once(mailbox):
    here, *others = (signed_in(ADA, mailbox) for _ in range(3))

    here.post("/account/security/browsers/end-others")

    assert [other.get("/account/security").status_code for other in others] == [302, 302]
    assert here.get("/account/security").status_code == 200


def test_somebody_elses_browser_is_not_found(mailbox):
    ada, eve = signed_in(ADA, mailbox), signed_in("eve@example.com", mailbox)
    (of_ada,) = Device.objects.order_by("id")[:1]

    refused = eve.post(f"/account/security/browsers/{of_ada.public_id}/end")

    assert refused.status_code == 404
    assert ada.get("/account/security").status_code == 200


def test_a_first_sign_in_is_no_alert_a_new_browser_is_and_a_known_one_is_not(mailbox):
    first = signed_in(ADA, mailbox)
    assert alerts(mailbox) == []

    signed_in(ADA, mailbox, address="203.0.113.9")
    (told,) = alerts(mailbox)
    first.post("/logout")
    again(first, mailbox)

    assert "203.0.113.0" in told["text"]
    assert "203.0.113.9" not in told["text"]
    assert told["links"][0].endswith("/account/security")
    assert len(alerts(mailbox)) == 1


def test_with_a_factor_the_alert_comes_when_the_factor_was_given(clock, mailbox):
    secret, _ = enrol(signed_in(ADA, mailbox))
    clock.move(minutes=5)
    browser = half_in(ADA, mailbox)
    before = len(alerts(mailbox))

    browser.post("/login/factor", {"code": app_code(secret, moment())})

    assert before == 0
    assert len(alerts(mailbox)) == 1
