"""What has expired goes, by the worker with the worker's rights."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.models import (
    CustomerSession,
    DeveloperLink,
    MagicLink,
    OneTimeCode,
    RefreshToken,
    SpentToken,
)
from accounts.services.developers import request_sign_in
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading
from tests.queue import run_periodic
from tests.signin.people import Browser

pytestmark = pytest.mark.django_db
MODELS = (MagicLink, OneTimeCode, CustomerSession, RefreshToken)


def counts(company) -> dict[str, int]:
    with reading(company.scope):
        return {m.__name__: m.objects.within(company.scope).count() for m in MODELS}


def age(company, model, **ago: float) -> None:
    with change(company.scope):
        model.objects.within(company.scope).update(expires_at=wall_clock() - timedelta(**ago))


def test_what_has_expired_long_enough_goes_and_the_rest_stays(front, acme):
    front.sign_in()
    Browser().post("/auth/confirm", {"token": front.link()})
    front.link("bob@example.com")
    request_sign_in("dev@example.com")

    run_periodic("trust.purge")
    assert counts(acme) == {"MagicLink": 1, "OneTimeCode": 1, "CustomerSession": 1, "RefreshToken": 1}
    assert SpentToken.unscoped.count() == 2
    assert DeveloperLink.unscoped.count() == 1

    age(acme, MagicLink, hours=23)
    age(acme, OneTimeCode, hours=25)
    age(acme, RefreshToken, minutes=1)
    age(acme, CustomerSession, days=89)
    SpentToken.unscoped.update(expires_at=wall_clock() - timedelta(minutes=1))
    DeveloperLink.unscoped.update(expires_at=wall_clock() - timedelta(hours=25))

    run_periodic("trust.purge")
    assert counts(acme) == {"MagicLink": 1, "OneTimeCode": 0, "CustomerSession": 1, "RefreshToken": 0}
    assert SpentToken.unscoped.count() == DeveloperLink.unscoped.count() == 0

    age(acme, MagicLink, hours=25)
    age(acme, CustomerSession, days=91)
    run_periodic("trust.purge")
    assert set(counts(acme).values()) == {0}
