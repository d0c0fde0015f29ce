"""Our own confirmation page: shown to anybody, pressed by one, back at the app with a one-time code."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.models import CustomerSession, OneTimeCode
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading
from tests.cast import LOCAL_CALLBACK, Api
from tests.signin.people import Browser

pytestmark = pytest.mark.django_db
ADA = "ada@example.com"


def test_the_page_spends_nothing_until_its_button_is_pressed(front, acme):
    token = front.link()
    scanner = Browser("203.0.113.9")
    page = f"/auth/confirm?app={acme.app}"
    for _ in range(34):
        assert scanner.get(page).status_code == 200
        scanner.client.head(page, headers={"Host": "localhost:8000"})
        scanner.client.options(page, headers={"Host": "localhost:8000"})
    assert scanner.post("/auth/peek", {"token": token}).json()["email"] == "a•••@example.com"
    legacy = Api(None).get(f"{front.auth}/verify?token={token}&redirect=true")
    assert legacy.status_code == 302
    assert legacy.headers["Location"] == f"http://localhost:8000/auth/confirm?app={acme.app}#token={token}"

    answer = scanner.post("/auth/confirm", {"token": token})

    assert answer.status_code == 303
    callback, _, code = answer.headers["Location"].partition("?token=")
    assert callback == LOCAL_CALLBACK
    assert code.startswith("sbc_")
    assert front.verify(code).status_code == 200


def test_the_page_shows_the_apps_name_and_may_lead_only_to_its_callbacks(front, acme):
    page = Browser().get(f"/auth/confirm?app={acme.app}")

    assert "Sign in to Acme" in page.content.decode()
    policy = page.headers["Content-Security-Policy"]
    assert "form-action 'self' http://localhost:3000;" in policy + ";"
    assert "default-src 'none'" in policy
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"


def test_without_scripts_the_digits_are_typed(front, acme):
    front.ask()
    code = front.mailbox.latest(ADA)["code"]

    wrong = Browser().post(
        f"/auth/code?app={acme.app}", {"email": ADA, "code": "000000" if code != "000000" else "1" * 6}
    )
    right = Browser().post(f"/auth/code?app={acme.app}", {"email": ADA, "code": code})

    assert wrong.status_code == 400
    assert right.status_code == 303
    assert right.headers["Location"].startswith(f"{LOCAL_CALLBACK}?token=sbc_")


def test_a_spent_or_unknown_link_says_so_on_the_page(front, acme):
    token = front.link()
    Browser().post("/auth/confirm", {"token": token})

    again = Browser().post("/auth/confirm", {"token": token})

    assert again.status_code == 410
    assert "has been used already" in again.content.decode()
    assert Browser().post("/auth/confirm", {"token": "nonsense"}).status_code == 410
    assert Browser().get("/auth/confirm?app=app_nonsense").status_code == 410


def test_a_one_time_code_lives_sixty_seconds_and_works_once(front, acme):
    location = Browser().post("/auth/confirm", {"token": front.link()}).headers["Location"]
    code = location.partition("token=")[2]
    with reading(acme.scope):
        row = OneTimeCode.objects.within(acme.scope).get()
    assert timedelta(seconds=59) < row.expires_at - wall_clock() <= timedelta(seconds=60)

    assert front.verify(code).status_code == 200
    assert front.verify(code).json()["code"] == "TOKEN_ALREADY_USED"

    late = Browser().post("/auth/confirm", {"token": front.link()}).headers["Location"].partition("token=")[2]
    with change(acme.scope):
        OneTimeCode.objects.within(acme.scope).update(expires_at=wall_clock())
    assert front.verify(late).json()["code"] == "TOKEN_EXPIRED"


def test_another_browser_gets_a_page_that_names_the_account_and_nothing_before_its_button(front, acme):
    """Security check 3: a link that somebody else asked for never signs a browser in by being opened."""
    token = front.link()
    other = Browser("203.0.113.9")

    page = other.get(f"/auth/confirm?app={acme.app}")
    named = other.post("/auth/peek", {"token": token})

    assert "Location" not in page.headers
    assert 'data-peek="/auth/peek"' in page.content.decode()
    assert named.json()["email"] == "a•••@example.com"
    assert ADA not in named.content.decode()
    assert set(other.client.cookies) <= {"csrftoken"}
    with reading(acme.scope):
        assert not CustomerSession.objects.within(acme.scope).exists()


def test_another_site_cannot_press_the_button_for_somebody(front, acme):
    token = front.link()
    victim = Browser()
    victim.get("/login")

    forged = victim.client.post("/auth/confirm", {"token": token}, headers={"Host": "localhost:8000"})

    assert forged.status_code == 403
    assert "Location" not in forged.headers
    assert victim.post("/auth/confirm", {"token": token}).status_code == 303
