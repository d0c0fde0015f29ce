"""Signing in where a second factor is due: nothing but the factor opens a session, whatever the first proof was."""

from __future__ import annotations

import pytest
from django.db import connection

from accounts.models import App, CustomerSession, PendingSignIn
from accounts.services.tokens import claims_of
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change
from tests.cast import Api
from tests.factors.conftest import audited, rows
from tests.signin.conftest import ADA

pytestmark = pytest.mark.django_db


def due(front, token):
    """Spend a link where a factor is due; return what the app is told of it."""
    refused = front.verify(token)
    assert refused.status_code == 403, refused.content
    assert refused.json()["code"] == "SECOND_FACTOR_REQUIRED"
    return refused.json()["factor"]


def give(front, factor, code):
    return front.nobody.post(f"{front.auth}/factor", {"factorToken": factor["token"], "code": code})


def introspected(front, answer):
    return front.backend.post(f"{front.auth}/introspect", {"token": answer["sessionToken"]}).json()


def test_by_default_nothing_changes_even_for_who_has_factors(front, ada):
    front.set(second_factors="off")

    answer = front.sign_in()

    assert claims_of(answer["sessionToken"])["amr"] == ["email"]
    assert introspected(front, answer)["amr"] == ["email"]


def test_optional_asks_those_who_have_one_and_nobody_else(front, ada):
    front.sign_in("bob@example.com")

    factor = due(front, front.link())

    assert set(factor) == {"token", "methods", "url", "expiresAt"}
    assert factor["methods"] == ["totp", "recovery"]
    assert factor["url"] == f"http://localhost:8000/auth/factor?app={front.company.app}#token={factor['token']}"
    assert rows(front.company, CustomerSession) == 1


def test_the_code_of_the_app_completes_it_and_the_session_says_so(front, ada):
    factor = due(front, front.link())

    answer = give(front, factor, ada.code())

    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == set(front.sign_in("bob@example.com"))
    assert body["email"] == ADA
    assert claims_of(body["sessionToken"])["amr"] == ["email", "otp", "mfa"]
    assert introspected(front, body)["amr"] == ["email", "otp", "mfa"]
    refreshed = front.refresh(body["refreshToken"]).json()
    assert claims_of(refreshed["sessionToken"])["amr"] == ["email", "otp", "mfa"]


def test_the_link_is_spent_by_then_and_the_digits_stop_there_too(front, ada):
    token = front.link()
    due(front, token)
    assert front.verify(token).json()["code"] == "TOKEN_ALREADY_USED"

    front.ask()
    digits = front.mailbox.latest(ADA)["code"]
    refused = front.nobody.post(f"{front.auth}/verify", {"email": ADA, "code": digits})

    assert refused.json()["code"] == "SECOND_FACTOR_REQUIRED"


def test_a_recovery_code_completes_it_once_and_is_told_by_mail(front, ada):
    answer = give(front, due(front, front.link()), ada.codes[0])
    again = give(front, due(front, front.link()), ada.codes[0])

    assert claims_of(answer.json()["sessionToken"])["amr"] == ["email", "recovery", "mfa"]
    assert again.json()["code"] == "SECOND_FACTOR_INVALID"
    assert any(mail["subject"] == "A recovery code was used · Acme" for mail in front.mailbox(ADA))


def test_a_code_works_once_across_sign_ins_and_a_sign_in_once(front, ada):
    factor, code = due(front, front.link()), ada.code()
    assert give(front, factor, code).status_code == 200

    replayed = give(front, due(front, front.link()), code)
    again = give(front, factor, ada.code(30))

    assert (replayed.status_code, replayed.json()["code"]) == (401, "SECOND_FACTOR_INVALID")
    assert again.json()["code"] == "TOKEN_ALREADY_USED"
    assert "factor.refused" in audited(front.company)


def test_a_sign_in_waits_ten_minutes(front, ada, clock):
    factor = due(front, front.link())
    clock.move(minutes=10, seconds=1)

    late = give(front, factor, ada.code())

    assert late.json()["code"] == "TOKEN_EXPIRED"


@pytest.mark.parametrize("nonsense", ["x", "sbf_x", "sbm_" + "0" * 95])
def test_a_token_that_never_was_opens_nothing(front, ada, nonsense):
    assert give(front, {"token": nonsense}, ada.code()).json()["code"] == "TOKEN_INVALID"


def test_another_apps_address_takes_no_token_of_ours(front, rival, ada):
    factor = due(front, front.link())

    stranger = rival.nobody.post(f"{rival.auth}/factor", {"factorToken": factor["token"], "code": ada.code()})

    assert stranger.json()["code"] == "TOKEN_INVALID"
    assert give(front, factor, ada.code()).status_code == 200


def test_five_tries_in_ten_minutes_then_none_not_even_the_right_one(front, ada, clock):
    factor = due(front, front.link())
    tries = [give(front, factor, "000000").status_code for _ in range(5)]
    locked = give(front, due(front, front.link()), ada.code())
    clock.move(minutes=11)

    later = give(front, due(front, front.link()), ada.code())

    assert tries == [401] * 5
    assert locked.status_code == 429
    assert int(locked.headers["Retry-After"]) > 60
    assert later.status_code == 200


def test_thirty_tries_a_day_are_the_most(front, ada, clock):
    codes = []
    for _ in range(7):
        factor = due(front, front.link())
        codes += [give(front, factor, "000000").status_code for _ in range(5)]
        clock.move(minutes=11)

    assert codes == [401] * 30 + [429] * 5


def test_only_the_first_proof_tells_that_there_is_a_factor(front, ada):
    known, unknown = front.ask(), front.ask("nobody@example.com")
    wrong = front.nobody.post(f"{front.auth}/verify", {"email": ADA, "code": "000000"})

    assert known.content == unknown.content
    assert wrong.json()["code"] == "TOKEN_INVALID"


def test_required_leads_who_has_none_to_the_page_where_they_add_one(front):
    front.set(second_factors="required")

    factor = due(front, front.link())
    refused = give(front, factor, "000000")

    assert factor["methods"] == []
    assert refused.json()["code"] == "SECOND_FACTOR_REQUIRED"
    assert refused.json()["factor"]["url"] == factor["url"]


def test_the_apps_backend_signs_in_without_a_factor(front, ada):
    front.set(second_factors="required")

    made = front.backend.post(f"/customers/{ada.public_id}/sessions")

    assert made.status_code == 201
    assert claims_of(made.json()["sessionToken"])["amr"] == []


def deleted(front, ada):
    front.backend.delete(f"/customers/{ada.public_id}")


def signed_out(front, ada):
    front.backend.delete(f"/customers/{ada.public_id}/sessions")


def readdressed(front, ada):
    front.backend.patch(f"/customers/{ada.public_id}", {"email": "lovelace@example.com"})


def reset(front, ada):
    front.backend.delete(f"/customers/{ada.public_id}/factors")


@pytest.mark.parametrize("end", [deleted, signed_out, readdressed, reset])
def test_a_sign_in_that_waits_ends_with_its_customer_and_their_sessions(front, ada, end):
    factor = due(front, front.link())

    end(front, ada)

    assert give(front, factor, ada.code()).json()["code"] == "TOKEN_INVALID"
    assert rows(front.company, PendingSignIn) == 0


def test_a_closed_app_completes_nothing(front, ada):
    factor = due(front, front.link())
    with change(front.company.scope):
        App.objects.within(front.company.scope).filter(pk=front.company.app_id).update(archived_at=wall_clock())

    assert give(front, factor, ada.code()).json()["code"] == "APP_NOT_FOUND"


def invited(front, email):
    organization = front.backend.post("/organizations", {"name": "Engines"}).json()
    front.backend.post(f"/organizations/{organization['id']}/invites", {"email": email})
    return organization, front.mailbox.latest(email)["links"][0].partition("token=")[2]


def test_an_invitation_gives_the_place_and_keeps_the_session_until_the_factor(front, ada):
    organization, token = invited(front, ADA)

    refused = front.nobody.post("/invites/accept", {"token": token})
    answer = give(front, refused.json()["factor"], ada.code())

    assert (refused.status_code, refused.json()["code"]) == (403, "SECOND_FACTOR_REQUIRED")
    assert answer.json()["organizationId"] == organization["id"]
    assert answer.json()["orgRole"] == "member"


def test_who_accepts_with_a_session_that_gave_the_factor_gives_it_once(front, ada):
    session = give(front, due(front, front.link()), ada.code()).json()["sessionToken"]
    _, token = invited(front, ADA)

    accepted = Api(session).post("/invites/accept", {"token": token})

    assert accepted.status_code == 200, accepted.content
    assert claims_of(accepted.json()["sessionToken"])["amr"] == ["email", "otp", "mfa"]


def test_neither_token_nor_secret_nor_codes_lie_readable(front, ada):
    factor = due(front, front.link())
    with connection.cursor() as cursor:
        kept = ""
        for table in ("pendingsignin", "customertotp", "customerrecoverycode", "customerpasskey"):
            cursor.execute(f"select row_to_json(t)::text from accounts_{table} t")
            kept += str(cursor.fetchall())

    for text in (factor["token"], ada.secret, *ada.codes, *(code.replace("-", "") for code in ada.codes)):
        assert text not in kept
        assert text.encode().hex() not in kept
