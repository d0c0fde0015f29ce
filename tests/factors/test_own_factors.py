"""A customer looks after their factors with a session; their app sees them and takes them away."""

from __future__ import annotations

import pytest
from django.utils import timezone

from accounts.factor_subjects import erase_factors, export_factors
from accounts.models import CustomerPasskey, CustomerRecoveryCode, CustomerTotp
from accounts.services.tokens import claims_of
from stackbe.kernel.transactions import change, reading
from tests.cast import Api
from tests.factors.conftest import audited, rows
from tests.factors.test_sign_in import due, give
from tests.members.authenticators import app_code
from tests.signin.conftest import ADA

pytestmark = pytest.mark.django_db
BOB = "bob@example.com"


@pytest.fixture
def bob(front, clock):
    """A customer without factors, signed in."""
    front.set(second_factors="optional")
    return Api(front.sign_in(BOB)["sessionToken"])


@pytest.fixture
def adas(front, ada):
    """Ada, signed in by her app's backend: no factor was given with this session."""
    return Api(front.backend.post(f"/customers/{ada.public_id}/sessions").json()["sessionToken"])


def url(front, path=""):
    return f"{front.auth}/factors{path}"


def enrol(front, session):
    begun = session.post(url(front, "/totp")).json()
    code = app_code(begun["secret"], timezone.now().timestamp() - 30)
    return begun, session.post(url(front, "/totp/confirm"), {"code": code})


def test_an_app_is_added_with_its_first_code_and_asked_for_from_then_on(front, bob):
    before = bob.get(url(front)).json()

    begun, confirmed = enrol(front, bob)

    after = bob.get(url(front)).json()
    assert before == {"authenticator": None, "passkeys": [], "recoveryCodesLeft": 0}
    assert begun["otpauthUri"] == f"otpauth://totp/Acme:bob@example.com?secret={begun['secret']}&issuer=Acme"
    assert len(set(confirmed.json()["recoveryCodes"])) == 10
    assert after["authenticator"]["addedAt"].endswith("Z")
    assert after["recoveryCodesLeft"] == 10
    code = app_code(begun["secret"], timezone.now().timestamp())
    assert give(front, due(front, front.link(BOB)), code).status_code == 200
    (notice,) = [mail for mail in front.mailbox(BOB) if mail["subject"] == "An authenticator app was added · Acme"]
    assert notice["from"].startswith("Acme <")
    assert "factor.authenticator_added" in audited(front.company)


def test_a_wrong_first_code_adds_nothing(front, bob):
    bob.post(url(front, "/totp"))

    refused = bob.post(url(front, "/totp/confirm"), {"code": "000000"})

    assert (refused.status_code, refused.json()["code"]) == (401, "SECOND_FACTOR_INVALID")
    assert bob.get(url(front)).json()["authenticator"] is None


def test_one_cannot_confirm_what_was_never_begun_nor_add_a_second(front, bob):
    assert bob.post(url(front, "/totp/confirm"), {"code": "000000"}).status_code == 404
    enrol(front, bob)

    assert bob.post(url(front, "/totp")).json()["code"] == "CONFLICT"


CHANGES = [
    ("DELETE", "/totp"),
    ("DELETE", "/passkeys/pk_00000000000000000000000000"),
    ("POST", "/recovery-codes"),
    ("POST", "/totp"),
]


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_whoever_has_a_factor_gives_it_before_anything_changes(front, ada, adas, method, path):
    refused = adas.request(method, url(front, path), {} if method == "POST" else None)

    assert (refused.status_code, refused.json()["code"]) == (403, "FRESH_PROOF_REQUIRED")
    assert rows(front.company, CustomerTotp) == 1


def test_a_proof_counts_ten_minutes_and_the_session_tells_of_it(front, ada, adas, clock):
    assert adas.post(url(front, "/prove"), {"code": "000000"}).json()["code"] == "SECOND_FACTOR_INVALID"
    assert adas.post(url(front, "/prove"), {"code": ada.code()}).status_code == 204
    renewed = adas.post(url(front, "/recovery-codes"))
    clock.move(minutes=10, seconds=1)

    late = adas.delete(url(front, "/totp"))

    assert set(renewed.json()["recoveryCodes"]).isdisjoint(ada.codes)
    assert late.json()["code"] == "FRESH_PROOF_REQUIRED"
    switched = adas.post(f"{front.auth}/switch-organization", {"organizationId": None}).json()
    assert claims_of(switched["sessionToken"])["amr"] == ["otp", "mfa"]


def test_signing_in_with_the_factor_is_a_proof_and_removing_the_last_ends_the_codes(front, ada):
    session = Api(give(front, due(front, front.link()), ada.code()).json()["sessionToken"])

    removed = session.delete(url(front, "/totp"))

    assert removed.status_code == 204
    assert rows(front.company, CustomerRecoveryCode) == 0
    assert "Your authenticator app was removed · Acme" in [mail["subject"] for mail in front.mailbox(ADA)]
    assert front.verify(front.link()).status_code == 200
    assert session.delete(url(front, "/totp")).status_code == 404


def test_a_passkey_is_listed_and_removed(front, ada, adas):
    ada.add_key()
    adas.post(url(front, "/prove"), {"code": ada.code()})

    (shown,) = adas.get(url(front)).json()["passkeys"]

    assert (shown["name"], shown["lastUsedAt"]) == ("laptop", None)
    assert adas.delete(url(front, f"/passkeys/{shown['id']}")).status_code == 204
    assert adas.delete(url(front, f"/passkeys/{shown['id']}")).status_code == 404
    assert rows(front.company, CustomerPasskey) == 0


def test_tries_at_proofs_count_with_those_at_sign_in(front, ada, adas):
    for _ in range(5):
        adas.post(url(front, "/prove"), {"code": "000000"})

    assert give(front, due(front, front.link()), ada.code()).status_code == 429


def test_an_app_without_second_factors_adds_none(front, bob):
    front.set(second_factors="off")

    assert bob.post(url(front, "/totp")).json()["code"] == "FORBIDDEN"
    assert bob.get(url(front)).status_code == 200


def test_it_takes_a_session_of_this_very_app(front, rival, bob):
    stranger = Api(rival.sign_in(BOB)["sessionToken"])

    assert Api(None).get(url(front)).status_code == 401
    assert front.backend.get(url(front)).json()["code"] == "FORBIDDEN"
    assert stranger.get(url(front)).json()["code"] == "APP_NOT_FOUND"


def test_the_app_sees_factors_and_resets_them_and_the_customer_is_told(front, ada):
    ada.add_key()
    factors = f"/customers/{ada.public_id}/factors"

    shown = front.backend.get(factors).json()
    first, again = front.backend.delete(factors), front.backend.delete(factors)

    assert shown["authenticator"] is not None
    assert [key["name"] for key in shown["passkeys"]] == ["laptop"]
    assert (first.status_code, again.status_code) == (204, 204)
    assert front.verify(front.link()).status_code == 200
    notices = [mail for mail in front.mailbox(ADA) if mail["subject"] == "Your second factors were removed · Acme"]
    assert len(notices) == 1
    assert audited(front.company).count("factor.factors_reset") == 1
    assert rows(front.company, CustomerRecoveryCode) == 0


def test_a_reset_takes_its_scope(front, ada):
    reader = front.company.api("customers:read", "customers:write")

    assert reader.delete(f"/customers/{ada.public_id}/factors").json()["code"] == "INSUFFICIENT_SCOPE"
    assert reader.get(f"/customers/{ada.public_id}/factors").json()["code"] == "INSUFFICIENT_SCOPE"
    assert Api(None).delete(f"/customers/{ada.public_id}/factors").status_code == 401


def test_an_export_tells_of_factors_without_a_secret_and_erasure_lets_them_go(front, ada):
    ada.add_key()

    with reading(front.company.scope):
        told = export_factors(front.company.scope, ada.id)
    with change(front.company.scope):
        gone = erase_factors(front.company.scope, ada.id)

    assert [key["name"] for key in told["passkeys"]] == ["laptop"]
    assert told["recoveryCodesLeft"] == 10
    assert ada.secret not in str(told)
    assert gone == 12
    assert [rows(front.company, model) for model in (CustomerTotp, CustomerPasskey, CustomerRecoveryCode)] == [0, 0, 0]
