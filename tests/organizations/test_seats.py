"""Seats: how many a plan holds, who fills them, and that what the members may do follows."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def sso(club: Any) -> None:
    club.backend.post("/features", {"key": "sso", "type": "boolean"})


def test_members_and_pending_invitations_fill_the_plans_seats(acme_api, club):
    club.sell(seats=3)
    club.add("grace")
    club.invite("kim@example.com")
    lin = club.person("lin")

    added = acme_api.post(f"{club.path}/members", {"customerId": lin})
    invited = acme_api.post(f"{club.path}/invites", {"email": "mia@example.com"})

    for refused in (added, invited):
        body = refused.json()
        assert (refused.status_code, body["code"]) == (409, "USAGE_LIMIT_EXCEEDED")
        assert "All 3 seats" in body["message"]
        assert body["seats"] == {"limit": 3, "members": 2, "pendingInvites": 1}
    assert club.roles() == {"ada": "owner", "grace": "member"}


def test_a_seat_that_comes_free_can_be_taken(acme_api, club):
    club.sell(seats=2)
    made = club.invite()
    kim = {"customerId": club.person("kim")}
    assert acme_api.post(f"{club.path}/members", kim).status_code == 409

    acme_api.delete(f"{club.path}/invites/{made['id']}")
    assert acme_api.post(f"{club.path}/members", kim).status_code == 201
    assert acme_api.post(f"{club.path}/invites", {"email": "mia@example.com"}).status_code == 409

    acme_api.delete(club.member("kim"))
    assert acme_api.post(f"{club.path}/invites", {"email": "mia@example.com"}).status_code == 201


def test_accepting_takes_the_seat_that_the_invitation_held(club):
    club.sell(seats=2)
    club.invite()

    assert club.accept(club.token()).status_code == 200
    assert club.roles() == {"ada": "owner", "grace": "member"}


def test_seats_given_as_a_feature_count_like_the_plans_own(acme_api, club):
    acme_api.post("/features", {"key": "seats", "type": "number"})
    club.sell(entitlements={"seats": 1})

    assert acme_api.post(f"{club.path}/invites", {"email": "mia@example.com"}).status_code == 409


def test_without_a_plan_or_without_seats_in_it_there_is_no_limit(acme_api, club):
    assert acme_api.get(club.path).json()["seats"]["limit"] is None
    club.sell()

    assert acme_api.get(club.path).json()["seats"]["limit"] is None
    club.add("grace")


def test_a_smaller_plan_keeps_who_is_there_and_lets_nobody_in(acme_api, club):
    plan = club.sell(seats=3)
    club.add("grace")
    acme_api.patch(f"/plans/{plan}", {"seats": 1})

    assert acme_api.post(f"{club.path}/invites", {"email": "mia@example.com"}).status_code == 409
    assert set(club.roles()) == {"ada", "grace"}
    assert acme_api.patch(club.member("grace"), {"role": "admin"}).status_code == 200


def test_founding_one_fits_a_plan_of_one_seat(club):
    club.sell(seats=1)

    assert club.sessions["ada"].post("/organizations", {"name": "Mine"}).status_code == 201
