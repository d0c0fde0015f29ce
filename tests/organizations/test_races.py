"""Many hands at once: one owner stays, no seat is given twice, an invitation makes one member."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.cast import found_company
from tests.organizations.conftest import Club
from tests.signin.test_races import at_once

HANDS = 32


@pytest.fixture
def stage(committed: None, mailbox: Any, settings: Any) -> Club:
    """A club whose requests commit for real."""
    settings.ADDRESS_LIMITS = dict.fromkeys(settings.ADDRESS_LIMITS, (1000000, 60))
    return Club(found_company("Acme"), mailbox)


def tally(answers: list[Any]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def test_of_thirty_two_owners_who_are_all_made_members_one_stays(stage):
    names = [f"owner{n}" for n in range(HANDS - 1)]
    for name in names:
        stage.add(name, "owner")
    everybody = ["ada", *names]

    answers = at_once(HANDS, lambda n: stage.backend.patch(stage.member(everybody[n]), {"role": "member"}))

    assert tally(answers) == {200: HANDS - 1, 409: 1}
    listed = stage.backend.get(f"{stage.path}/members?limit=100").json()["data"]
    assert [row["role"] for row in listed].count("owner") == 1


def test_of_owners_who_all_leave_at_once_one_stays(stage):
    names = ["ada", *[f"owner{n}" for n in range(7)]]
    for name in names[1:]:
        stage.add(name, "owner")

    answers = at_once(len(names), lambda n: stage.sessions[names[n]].delete(stage.member(names[n])))

    assert tally(answers) == {204: len(names) - 1, 409: 1}
    assert list(stage.roles().values()) == ["owner"]


def test_the_last_seats_are_given_once_whether_by_adding_or_inviting(stage):
    stage.sell(seats=6)
    people = [stage.person(f"kim{n}") for n in range(HANDS // 2)]

    def act(n: int) -> Any:
        if n % 2:
            return stage.backend.post(f"{stage.path}/members", {"customerId": people[n // 2]})
        return stage.backend.post(f"{stage.path}/invites", {"email": f"lin{n}@example.com"})

    answers = at_once(HANDS, act)

    assert tally(answers) == {201: 5, 409: HANDS - 5}
    seats = stage.backend.get(stage.path).json()["seats"]
    assert seats["members"] + seats["pendingInvites"] == seats["limit"] == 6


def test_one_invitation_accepted_by_many_hands_makes_one_member_and_one_session(stage):
    for n in range(2):
        email = f"grace{n}@example.com"
        stage.invite(email)
        token = stage.token(email)

        answers = at_once(HANDS, lambda _, token=token: stage.accept(token))

        assert tally(answers) == {200: 1, 401: HANDS - 1}
        assert {a.json()["code"] for a in answers if a.status_code == 401} == {"TOKEN_ALREADY_USED"}
        (customer,) = [a.json()["customerId"] for a in answers if a.status_code == 200]
        listed = stage.backend.get(f"/customers/{customer}/sessions").json()["data"]
        assert len(listed) == 1
    assert len(stage.roles()) == 3


def test_accepting_and_revoking_at_once_is_one_or_the_other(stage):
    for n in range(5):
        made = stage.invite(f"grace{n}@example.com")
        token = stage.token(f"grace{n}@example.com")

        def act(hand: int, token: str = token, invite: str = made["id"]) -> Any:
            if hand % 2:
                return stage.backend.delete(f"{stage.path}/invites/{invite}")
            return stage.accept(token)

        answers = at_once(8, act)

        worked = [answer.status_code for answer in answers if answer.status_code < 400]
        assert len(worked) == 1, tally(answers)
        assert {answer.status_code for answer in answers} <= {200, 204, 401, 404}
        assert (f"grace{n}" in stage.roles()) == (worked == [200])


def test_one_slug_for_many_hands(stage):
    answers = at_once(16, lambda _: stage.backend.post("/organizations", {"name": "Same"}))

    slugs = [answer.json()["slug"] for answer in answers]
    assert tally(answers) == {201: 16}
    assert len(set(slugs)) == 16
