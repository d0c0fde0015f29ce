"""An account elsewhere proves who somebody is; where the app asks for a second factor, it is asked for after that too."""

from __future__ import annotations

import pytest

from accounts.models import PendingSignIn
from accounts.services.tokens import claims_of
from tests.factors.conftest import Holder, rows
from tests.signin.conftest import provider, social  # noqa: F401  # fixtures of theirs
from tests.signin.people import Browser
from tests.signin.provider import ADA

pytestmark = pytest.mark.django_db
PAGE = "/auth/factor"


def test_who_comes_by_a_provider_gives_the_factor_too(social, front, clock):  # noqa: F811  # the fixtures above
    front.set(second_factors="optional")
    ada, browser = Holder(social.company, ADA["email"]), Browser()

    came = social.go(browser)

    assert came["Location"] == f"http://localhost:8000{PAGE}?app={social.company.app}"
    assert social.backend.get(f"/customers/{ada.public_id}/sessions").json()["data"] == []
    assert browser.post(PAGE, {"code": "000000"}).status_code == 400
    session = social.signed_in(browser.post(PAGE, {"code": ada.code()}))
    assert session["customerId"] == ada.public_id
    assert claims_of(session["sessionToken"])["amr"] == ["fed", "otp", "mfa"]
    assert rows(social.company, PendingSignIn) == 0
