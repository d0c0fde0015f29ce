"""A member sees a customer's second factors and removes them, once they have proven to be there."""

from __future__ import annotations

import pytest

from accounts.models import CustomerTotp
from accounts.pages.proof import PROOF
from tests.dashboard.conftest import desk, desk_of, prove  # noqa: F401  # fixtures of theirs
from tests.factors.conftest import audited, rows
from tests.members.conftest import words
from tests.signin.conftest import ADA

pytestmark = pytest.mark.django_db


def test_the_customers_page_shows_them(desk, ada):  # noqa: F811
    ada.add_key()

    page = words(desk.get(f"customers/{ada.public_id}"))

    assert "Second factors" in page
    assert "laptop, since" in page
    assert "10 left" in page


def test_removing_them_asks_who_is_there_and_tells_the_customer(desk, front, ada):  # noqa: F811
    session = desk.client.session
    del session[PROOF]
    session.save()
    asked = desk.post(f"customers/{ada.public_id}/factors")
    kept = rows(front.company, CustomerTotp)
    prove(desk.client)

    done = desk.post(f"customers/{ada.public_id}/factors")

    assert (asked.status_code, kept) == (403, 1)
    assert done.status_code == 200
    assert rows(front.company, CustomerTotp) == 0
    assert "factor.factors_reset" in audited(front.company)
    assert "Your second factors were removed · Acme" in [mail["subject"] for mail in front.mailbox(ADA)]


def test_a_viewer_removes_none(desk_of, front, ada):  # noqa: F811
    viewer = desk_of("viewer")
    prove(viewer.client)

    assert viewer.post(f"customers/{ada.public_id}/factors").status_code == 403
    assert "Remove them" not in words(viewer.get(f"customers/{ada.public_id}"))
    assert rows(front.company, CustomerTotp) == 1


def test_the_settings_turn_them_on(desk, front, acme_api):  # noqa: F811
    form = {"name": "Acme", "magic_link_expiry_minutes": 15, "access_token_ttl_minutes": 15, "grace_period_days": 7}

    saved = desk.post("settings", **form, second_factors="required")
    nonsense = acme_api.patch(f"/apps/{front.company.app}", {"settings": {"secondFactors": "sometimes"}})

    assert saved.status_code == 200
    assert acme_api.get(f"/apps/{front.company.app}").json()["settings"]["secondFactors"] == "required"
    assert nonsense.status_code == 400
    assert "settings.secondFactors" in nonsense.json()["fields"]
