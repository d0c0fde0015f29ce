"""Organizations in the dashboard: the list, one with its people and seats, and what may be done there."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import App
from stackbe.kernel.transactions import change
from tests.dashboard.conftest import Desk, seated


@pytest.fixture
def desk(acme: Any) -> Desk:
    return seated(acme, email="boss@example.com")


def test_an_empty_app_says_what_to_do(desk):
    page = desk.get("organizations").content.decode()

    assert "No organizations yet" in page
    assert page.count("<h1") == 1


def test_an_app_without_organizations_is_sent_to_its_settings(desk, acme):
    with change(acme.scope):
        app = App.objects.within(acme.scope).get(pk=acme.app_id)
        app.settings = {**app.settings, "organizations_enabled": False}
        app.save(update_fields=["settings"])

    page = desk.get("organizations").content.decode()

    assert "Organizations are off" in page
    assert desk.url("settings") in page


def test_the_list_shows_names_and_members(desk, club):
    club.add("grace")

    page = desk.get("organizations").content.decode()

    assert "Analytical Engines" in page
    assert desk.url(f"organizations/{club.id}") in page


def test_one_shows_members_invitations_and_seats(desk, club):
    club.sell(seats=5)
    club.add("grace", "admin")
    club.invite("kim@example.com")

    page = desk.get(f"organizations/{club.id}")

    html = page.content.decode()
    assert page.status_code == 200
    for words in ("ada@example.com", "grace@example.com", "Admin", "kim@example.com", "Plan allows", club.id):
        assert words in html, words
    assert "style=" not in html


def test_one_is_made_for_a_customer(desk, club):
    grace = club.person("grace")

    made = desk.post("organizations", name="Compilers", owner="grace@example.com")

    assert "Compilers" in made.content.decode()
    newest = club.backend.get("/organizations").json()["data"][0]
    (member,) = club.backend.get(f"/organizations/{newest['id']}/members").json()["data"]
    assert (member["customerId"], member["role"]) == (grace, "owner")


def test_an_owner_who_is_no_customer_is_refused_beside_the_field(desk, club):
    page = desk.post("organizations", name="Compilers", owner="nobody@example.com")

    assert page.status_code == 400
    assert "No customer has this address." in page.content.decode()


def test_somebody_is_invited_again_and_the_invitation_taken_back(desk, club):
    home = f"organizations/{club.id}"

    desk.post(f"{home}/invites", email="kim@example.com", role="admin")
    (made,) = club.backend.get(f"{club.path}/invites").json()["data"]
    first = club.token("kim@example.com")
    desk.post(f"{home}/invites/{made['id']}/resend")
    assert (made["email"], made["role"]) == ("kim@example.com", "admin")
    assert made["invitedBy"].startswith("mem_")
    assert club.token("kim@example.com") != first

    desk.post(f"{home}/invites/{made['id']}/revoke")
    assert club.backend.get(f"{club.path}/invites").json()["data"] == []


def test_a_full_plan_is_said_in_words(desk, club):
    club.sell(seats=1)

    page = desk.post(f"organizations/{club.id}/invites", email="kim@example.com", role="member")

    assert "All 1 seats" in page.content.decode()
    assert club.backend.get(f"{club.path}/invites").json()["data"] == []


def test_roles_are_changed_and_members_removed_but_one_owner_stays(desk, club):
    club.add("grace")
    home = f"organizations/{club.id}"

    desk.post(f"{home}/members/{club.ids['grace']}/role", role="admin")
    assert club.roles()["grace"] == "admin"
    page = desk.post(f"{home}/members/{club.ids['ada']}/remove")
    assert "at least one owner" in page.content.decode()
    desk.post(f"{home}/members/{club.ids['grace']}/remove")
    assert club.roles() == {"ada": "owner"}


def test_it_is_deleted_once_the_word_was_typed(desk, club):
    desk.post(f"organizations/{club.id}/delete", word="no")
    assert club.backend.get(club.path).status_code == 200

    desk.post(f"organizations/{club.id}/delete", word="delete")
    assert club.backend.get(club.path).status_code == 404


FORMS = [
    ("organizations", {"name": "x"}),
    ("organizations/{id}/invites", {"email": "kim@example.com", "role": "member"}),
    ("organizations/{id}/members/{ada}/remove", {}),
    ("organizations/{id}/members/{ada}/role", {"role": "member"}),
    ("organizations/{id}/delete", {"word": "DELETE"}),
]


@pytest.mark.parametrize(("page", "fields"), FORMS)
def test_a_viewer_looks_and_a_rival_finds_nothing(acme, globex, club, page, fields):
    viewer, rival = seated(acme, "viewer", "viewer@example.com"), seated(globex)
    path = page.format(id=club.id, ada=club.ids["ada"])

    assert viewer.get(f"organizations/{club.id}").status_code == 200
    assert viewer.post(path, **fields).status_code == 403
    assert rival.client.get(f"/dashboard/{globex.app}/organizations/{club.id}").status_code == 404
    assert rival.client.post(f"/dashboard/{globex.app}/{path}", fields).status_code in {200, 302, 404}
    assert club.roles() == {"ada": "owner"}
