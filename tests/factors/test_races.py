"""One sign-in that waits, many hands: one session; one code, many sign-ins: one session."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from accounts.models import CustomerSession, PendingSignIn
from accounts.services import customer_factors
from tests.cast import found_company
from tests.factors.conftest import Holder, rows
from tests.factors.test_sign_in import due, give
from tests.signin.conftest import ADA, Front
from tests.signin.test_races import at_once, mint

HANDS = 32


@pytest.fixture
def stage(committed: None, mailbox: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Front:
    """A company whose requests commit for real, and no limit to tries, which are not the subject here."""
    settings.ADDRESS_LIMITS = dict.fromkeys(settings.ADDRESS_LIMITS, (1000000, 60))
    monkeypatch.setattr(customer_factors, "TRIES_IN_TEN_MINUTES", 1000)
    monkeypatch.setattr(customer_factors, "TRIES_A_DAY", 1000)
    stage = Front(found_company("Acme"), mailbox)
    stage.set(second_factors="optional")
    return stage


def test_of_32_hands_on_one_sign_in_one_gets_a_session(stage):
    ada = Holder(stage.company, ADA)
    factor = due(stage, mint(stage, ADA))

    answers = at_once(HANDS, lambda n: give(stage, factor, ada.codes[n % 10]))

    assert Counter(answer.status_code for answer in answers) == {200: 1, 401: HANDS - 1}
    assert {a.json()["code"] for a in answers if a.status_code == 401} == {"TOKEN_ALREADY_USED"}
    assert rows(stage.company, CustomerSession) == 1
    assert rows(stage.company, PendingSignIn) == 0


def test_of_8_sign_ins_with_one_code_one_gets_a_session(stage):
    ada = Holder(stage.company, ADA)
    factors = [due(stage, mint(stage, ADA)) for _ in range(8)]
    code = ada.code()

    answers = at_once(8, lambda n: give(stage, factors[n], code))

    assert Counter(answer.status_code for answer in answers) == {200: 1, 401: 7}
    assert {a.json()["code"] for a in answers if a.status_code == 401} == {"SECOND_FACTOR_INVALID"}
    assert rows(stage.company, CustomerSession) == 1


def test_wrong_codes_from_many_hands_are_no_more_than_five_tries(stage, monkeypatch):
    monkeypatch.setattr(customer_factors, "TRIES_IN_TEN_MINUTES", 5)
    Holder(stage.company, ADA)
    factor = due(stage, mint(stage, ADA))

    answers = at_once(HANDS, lambda n: give(stage, factor, f"{n:06d}").status_code)

    assert Counter(answers) == {401: 5, 429: HANDS - 5}
