"""What has expired goes, and signing keys are replaced, by the worker with the worker's rights."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import jwt
import pytest
from django.core.management import CommandError, call_command

from accounts.models import (
    CustomerSession,
    DeveloperLink,
    MagicLink,
    OneTimeCode,
    RefreshToken,
    SigningKey,
    SpentToken,
)
from accounts.services.developers import request_sign_in
from accounts.tasks import purge_expired, rotate_signing_keys
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

    run_periodic(purge_expired.name)
    assert counts(acme) == {"MagicLink": 1, "OneTimeCode": 1, "CustomerSession": 1, "RefreshToken": 1}
    assert SpentToken.unscoped.count() == 2
    assert DeveloperLink.unscoped.count() == 1

    age(acme, MagicLink, hours=23)
    age(acme, OneTimeCode, hours=25)
    age(acme, RefreshToken, minutes=1)
    age(acme, CustomerSession, days=89)
    SpentToken.unscoped.update(expires_at=wall_clock() - timedelta(minutes=1))
    DeveloperLink.unscoped.update(expires_at=wall_clock() - timedelta(hours=25))

    run_periodic(purge_expired.name)
    assert counts(acme) == {"MagicLink": 1, "OneTimeCode": 0, "CustomerSession": 1, "RefreshToken": 0}
    assert SpentToken.unscoped.count() == DeveloperLink.unscoped.count() == 0

    age(acme, MagicLink, hours=25)
    age(acme, CustomerSession, days=91)
    run_periodic(purge_expired.name)
    assert set(counts(acme).values()) == {0}


def kid(token: str) -> str:
    return jwt.get_unverified_header(token)["kid"]


def test_a_signing_key_is_replaced_after_ninety_days_and_nobody_notices(front, acme):
    before = front.sign_in()["sessionToken"]
    run_periodic(rotate_signing_keys.name)
    assert kid(front.sign_in()["sessionToken"]) == kid(before)
    with change(acme.scope):
        SigningKey.objects.within(acme.scope).update(created_at=wall_clock() - timedelta(days=91))

    run_periodic(rotate_signing_keys.name)

    after = front.sign_in()["sessionToken"]
    assert kid(after) != kid(before)
    assert front.session(before).status_code == front.session(after).status_code == 200


def test_an_operator_replaces_a_leaked_key_at_once(front, acme):
    before = front.sign_in()
    out = StringIO()

    call_command("rotate_signing_key", acme.app, "--at-once", stdout=out)

    assert front.session(before["sessionToken"]).status_code == 401
    fresh = front.refresh(before["refreshToken"]).json()["sessionToken"]
    assert kid(fresh) == out.getvalue().strip()
    assert front.session(fresh).status_code == 200
    with pytest.raises(CommandError):
        call_command("rotate_signing_key", "app_nonsense")


def test_a_retired_key_is_deleted_a_day_later(front, acme):
    front.sign_in()
    call_command("rotate_signing_key", acme.app, "--at-once", stdout=StringIO())
    with change(acme.scope):
        rows = SigningKey.objects.within(acme.scope).filter(retired_at__isnull=False)
        rows.update(retired_at=wall_clock() - timedelta(hours=25))

    run_periodic(purge_expired.name)

    with reading(acme.scope):
        assert SigningKey.objects.within(acme.scope).count() == 1
