"""Members of organizations: added, given roles, removed, and ownership handed over."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from tests.refusals import never


def test_a_key_adds_a_customer_and_the_app_hears_of_it(acme_api, club):
    grace = club.person("grace")

    added = acme_api.post(f"{club.path}/members", {"customerId": grace, "role": "admin"})

    assert added.status_code == 201
    assert set(added.json()) == {"customerId", "email", "name", "role", "createdAt"}
    assert (added.json()["email"], added.json()["role"]) == ("grace@example.com", "admin")
    event = acme_api.get("/events").json()["data"][0]
    told = acme_api.get(f"/events/{event['id']}").json()
    assert told["type"] == "organization.member_added"
    assert told["data"]["organization"]["id"] == club.id
    assert told["data"]["member"]["customerId"] == grace


def test_a_member_without_a_role_is_a_member(club):
    club.backend.post(f"{club.path}/members", {"customerId": club.person("grace")})

    assert club.roles()["grace"] == "member"


def test_nobody_has_two_places(acme_api, club):
    again = acme_api.post(f"{club.path}/members", {"customerId": club.ids["ada"], "role": "member"})

    assert (again.status_code, again.json()["code"]) == (409, "CONFLICT")
    assert club.roles() == {"ada": "owner"}


def test_a_customer_of_another_app_cannot_be_added(acme_api, globex_api, club):
    theirs = globex_api.post("/customers", {"email": "kim@example.com"}).json()["id"]

    foreign = acme_api.post(f"{club.path}/members", {"customerId": theirs})
    absent = acme_api.post(f"{club.path}/members", {"customerId": never("cust")})

    assert foreign.status_code == absent.status_code == 404
    assert foreign.json()["code"] == absent.json()["code"] == "CUSTOMER_NOT_FOUND"


def test_a_stranger_learns_nothing_of_customers_by_adding_them(club):
    club.person("kim")
    known = club.sessions["kim"].post(f"{club.path}/members", {"customerId": club.ids["ada"]})
    unknown = club.sessions["kim"].post(f"{club.path}/members", {"customerId": never("cust")})

    assert known.status_code == unknown.status_code == 404
    assert known.json()["message"] == unknown.json()["message"] == "No such organization."


ROLE_CHANGES = [
    ("owner", "admin", "member", 200),
    ("owner", "member", "owner", 200),
    ("admin", "member", "admin", 200),
    ("admin", "admin2", "member", 403),
    ("admin", "admin2", "admin", 200),  # what it is already
    ("admin", "owner", "member", 403),
    ("admin", "member", "owner", 403),
    ("admin", "admin", "member", 200),  # one's own
    ("admin", "admin", "owner", 403),
    ("member", "member2", "admin", 403),
    ("member", "member", "admin", 403),
]


@pytest.fixture
def crowded(club):
    """The club with somebody in each place, and with two where one may act on the other."""
    people = {"owner": "owner", "admin": "admin", "admin2": "admin", "member": "member", "member2": "member"}
    for name, place in people.items():
        club.add(name, place)
    return club


def test_only_owners_change_an_admins_role(crowded):
    before = crowded.roles()
    for actor, target, role, status in ROLE_CHANGES:
        untouched = transaction.savepoint()

        answer = crowded.sessions[actor].patch(crowded.member(target), {"role": role})

        assert answer.status_code == status, (actor, target, role, answer.content)
        assert crowded.roles() == (before | {target: role} if status == 200 else before), (actor, target, role)
        transaction.savepoint_rollback(untouched)


REMOVALS = [
    ("owner", "admin", 204),
    ("owner", "ada", 204),
    ("admin", "member", 204),
    ("admin", "admin2", 403),
    ("admin", "owner", 403),
    ("admin", "admin", 204),
    ("member", "member", 204),
    ("member", "member2", 403),
    ("member", "admin", 403),
]


def test_admins_remove_members_and_anybody_may_leave(crowded):
    for actor, target, status in REMOVALS:
        untouched = transaction.savepoint()

        answer = crowded.sessions[actor].delete(crowded.member(target))

        assert answer.status_code == status, (actor, target, answer.content)
        assert (target in crowded.roles()) == (status != 204), (actor, target)
        transaction.savepoint_rollback(untouched)


def test_the_last_owner_neither_leaves_nor_steps_down(acme_api, club):
    club.add("grace", "admin")

    answers = [
        club.sessions["ada"].delete(club.member("ada")),
        club.sessions["ada"].patch(club.member("ada"), {"role": "admin"}),
        acme_api.delete(club.member("ada")),
        acme_api.patch(club.member("ada"), {"role": "member"}),
    ]

    assert {answer.status_code for answer in answers} == {409}
    assert all("at least one owner" in answer.json()["message"] for answer in answers)
    assert club.roles()["ada"] == "owner"


def test_the_same_role_again_is_not_announced(acme_api, club):
    club.add("grace", "admin")
    before = club.events()

    assert acme_api.patch(club.member("grace"), {"role": "admin"}).status_code == 200

    assert club.events() == before


def test_a_removed_members_session_falls_back_at_once(acme, acme_api, club):
    auth = f"/apps/{acme.app}/auth"
    grace = club.add("grace")
    switched = grace.post(f"{auth}/switch-organization", {"organizationId": club.id})
    assert switched.json()["orgRole"] == "member"

    acme_api.delete(club.member("grace"))

    shown = grace.get(f"{auth}/session").json()
    assert (shown["organizationId"], shown["orgRole"]) == (None, None)
    assert grace.get(club.path).status_code == 404
    assert club.events()[-1] == "organization.member_removed"


def test_a_new_role_counts_on_the_next_request_with_the_old_token(acme_api, club):
    grace = club.add("grace", "admin")
    assert grace.patch(club.path, {"name": "Hers"}).status_code == 200

    acme_api.patch(club.member("grace"), {"role": "member"})

    refused = grace.patch(club.path, {"name": "Still hers"})
    assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")
    assert "admin" in refused.json()["message"]


@pytest.mark.parametrize("by", ["session", "key"])
def test_ownership_is_handed_over_in_one_step(acme_api, club, by):
    club.add("grace")
    caller = club.sessions["ada"] if by == "session" else acme_api

    handed = caller.post(f"{club.path}/transfer-ownership", {"customerId": club.ids["grace"]})

    assert (handed.status_code, handed.json()["role"]) == (200, "owner")
    assert club.roles() == {"ada": "admin", "grace": "owner"}


def test_who_is_no_owner_hands_nothing_over(club):
    grace = club.add("grace", "admin")

    assert grace.post(f"{club.path}/transfer-ownership", {"customerId": club.ids["grace"]}).status_code == 403
    assert club.roles() == {"ada": "owner", "grace": "admin"}


def test_ownership_goes_to_members_alone(club):
    kim = club.person("kim")

    answer = club.sessions["ada"].post(f"{club.path}/transfer-ownership", {"customerId": kim})

    assert answer.status_code == 404
    assert club.roles() == {"ada": "owner"}


def test_a_key_names_who_hands_over_where_there_are_several_owners(acme_api, club):
    club.add("grace", "owner")
    club.add("kim")
    heir = {"customerId": club.ids["kim"]}

    unclear = acme_api.post(f"{club.path}/transfer-ownership", heir)
    clear = acme_api.post(f"{club.path}/transfer-ownership", heir | {"fromCustomerId": club.ids["grace"]})

    assert (unclear.status_code, list(unclear.json()["fields"])) == (400, ["fromCustomerId"])
    assert clear.status_code == 200
    assert club.roles() == {"ada": "owner", "grace": "admin", "kim": "owner"}


def test_a_place_that_is_none_is_not_found(acme_api, club):
    club.person("kim")
    for path in (club.member("kim"), f"{club.path}/members/{never('cust')}", f"{club.path}/members/nonsense"):
        for answer in (acme_api.delete(path), acme_api.patch(path, {"role": "admin"})):
            assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), path


def test_roles_that_there_are_not_are_refused(acme_api, club):
    kim = club.person("kim")
    for body in ({"customerId": kim, "role": "king"}, {"customerId": kim, "role": None}, {"role": "member"}):
        assert acme_api.post(f"{club.path}/members", body).status_code == 400
    assert club.roles() == {"ada": "owner"}


@pytest.fixture
def deleted(club: Any) -> Any:
    """Delete a customer, as their request for erasure does."""

    def act(name: str) -> None:
        assert club.backend.delete(f"/customers/{club.ids[name]}").status_code == 202

    return act


def test_a_deleted_owner_is_followed_by_the_longest_standing_admin(acme_api, club, deleted):
    club.add("member")
    club.add("first", "admin")
    club.add("second", "admin")

    deleted("ada")

    assert club.roles() == {"member": "member", "first": "owner", "second": "admin"}
    assert "organization.member_removed" in club.events()


def test_without_an_admin_the_longest_standing_member_follows(club, deleted):
    club.add("first")
    club.add("second")

    deleted("ada")

    assert club.roles() == {"first": "owner", "second": "member"}


def test_an_organization_goes_with_its_last_member(acme_api, club, deleted):
    deleted("ada")

    assert acme_api.get(club.path).status_code == 404
    assert club.events()[-1] == "organization.deleted"


def test_an_export_of_a_customer_names_their_places_and_invitations(acme_api, club):
    club.add("grace", "admin")
    other = acme_api.post("/organizations", {"name": "Other"}).json()["id"]
    acme_api.post(f"/organizations/{other}/invites", {"email": "grace@example.com"})

    records = acme_api.get(f"/customers/{club.ids['grace']}/export").json()["records"]

    assert [(row["organizationId"], row["role"]) for row in records["organizations"]] == [(club.id, "admin")]
    assert [row["organizationId"] for row in records["invites"]] == [other]
