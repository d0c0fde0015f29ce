"""POST, GET /v1/organizations; GET, PATCH, DELETE /v1/organizations/:id; its export."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from accounts.models import App, Organization
from accounts.services.organizations import slug_from
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import change, reading
from tests.cast import Api
from tests.queue import run_jobs
from tests.refusals import CARD, assert_hidden, assert_needs_credential, assert_needs_scope, assert_refuses_each, never


def test_a_key_makes_an_organization_and_names_its_owner(acme_api, acme, club):
    grace = club.person("grace")

    made = acme_api.post("/organizations", {"name": "Compilers", "customerId": grace, "metadata": {"tier": "a"}})

    body = made.json()
    assert made.status_code == 201
    assert set(body) == {"id", "name", "slug", "metadata", "createdAt"}
    assert (body["name"], body["slug"], body["metadata"]) == ("Compilers", "compilers", {"tier": "a"})
    (member,) = acme_api.get(f"/organizations/{body['id']}/members").json()["data"]
    assert (member["customerId"], member["role"]) == (grace, "owner")


def test_a_session_makes_one_and_owns_it(club):
    assert club.roles() == {"ada": "owner"}
    assert club.events() == ["organization.created", "organization.member_added"]


def test_a_session_cannot_make_somebody_else_the_owner(club):
    grace = club.person("grace")

    refused = club.sessions["ada"].post("/organizations", {"name": "Hers", "customerId": grace})

    assert refused.status_code == 400
    assert "customerId" in refused.json()["fields"]


def test_slugs_are_made_from_names_and_stay_unique(acme_api):
    slugs = [acme_api.post("/organizations", {"name": "Zoë & Söhne"}).json()["slug"] for _ in range(3)]

    assert slugs == ["zoe-sohne", "zoe-sohne-2", "zoe-sohne-3"]


def test_a_given_slug_that_is_taken_is_refused(acme_api, club):
    assert acme_api.post("/organizations", {"name": "A", "slug": "mine"}).status_code == 201

    refused = acme_api.post("/organizations", {"name": "B", "slug": "mine"})
    renamed = acme_api.patch(club.path, {"slug": "mine"})

    assert (refused.status_code, refused.json()["code"]) == (409, "CONFLICT")
    assert (renamed.status_code, list(renamed.json()["fields"])) == (409, ["slug"])


def test_the_same_slug_in_two_apps_is_two_organizations(acme_api, globex_api):
    ours = acme_api.post("/organizations", {"name": "Same"})
    theirs = globex_api.post("/organizations", {"name": "Same"})

    assert ours.json()["slug"] == theirs.json()["slug"] == "same"


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Ünïcode!", "unicode"), ("  --  ", "organization"), ("株式会社", "organization"), ("x" * 90, "x" * 60)],
)
def test_a_slug_is_plain_words_of_the_name(name: str, slug: str):
    assert slug_from(name) == slug


def test_a_list_is_all_for_a_key_and_ones_own_for_a_session(acme_api, club):
    other = acme_api.post("/organizations", {"name": "Other"}).json()

    assert [row["id"] for row in acme_api.get("/organizations").json()["data"]] == [other["id"], club.id]
    assert [row["id"] for row in club.sessions["ada"].get("/organizations").json()["data"]] == [club.id]


def test_pages_go_on_where_the_last_ended(acme_api):
    made = [acme_api.post("/organizations", {"name": f"No {n}"}).json()["id"] for n in range(3)]

    first = acme_api.get("/organizations?limit=2").json()
    second = acme_api.get(f"/organizations?limit=2&cursor={first['nextCursor']}").json()

    assert [row["id"] for row in first["data"] + second["data"]] == list(reversed(made))
    assert (first["hasMore"], second["hasMore"]) == (True, False)


def test_one_shows_how_its_seats_are_filled(acme_api, club):
    club.sell(seats=5)
    club.invite()

    assert acme_api.get(club.path).json()["seats"] == {"limit": 5, "members": 1, "pendingInvites": 1}


def test_metadata_merges_and_null_takes_a_key_away(acme_api, club):
    acme_api.patch(club.path, {"metadata": {"a": 1, "b": 2}})

    changed = acme_api.patch(club.path, {"metadata": {"a": None, "c": 3}, "name": "Engines"}).json()

    assert (changed["metadata"], changed["name"]) == ({"b": 2, "c": 3}, "Engines")
    assert changed["slug"] == "analytical-engines"


def test_a_change_that_changes_nothing_is_not_announced(acme_api, club):
    acme_api.patch(club.path, {"name": "Analytical Engines"})
    assert "organization.updated" not in club.events()

    acme_api.patch(club.path, {"name": "Engines"})
    assert club.events().count("organization.updated") == 1


def test_deleting_takes_everybody_out_and_makes_sessions_fall_back(acme, acme_api, club):
    auth = f"/apps/{acme.app}/auth"
    switched = club.sessions["ada"].post(f"{auth}/switch-organization", {"organizationId": club.id}).json()
    opened = acme_api.post(f"/customers/{club.ids['ada']}/sessions", {"organizationId": club.id}).json()

    gone = club.sessions["ada"].delete(club.path)

    assert (gone.status_code, gone.json()) == (202, {"id": club.id, "deleted": True})
    assert acme_api.get(club.path).status_code == 404
    assert acme_api.delete(club.path).status_code == 404
    assert acme_api.get("/organizations").json()["data"] == []
    assert Api(switched["sessionToken"]).get(f"{auth}/session").json()["organizationId"] is None
    fresh = club.nobody.post(f"{auth}/refresh", {"refreshToken": opened["refreshToken"]}).json()
    claims = jwt.decode(fresh["sessionToken"], options={"verify_signature": False})
    assert (claims["org"], claims["orgRole"]) == (None, None)
    assert club.events()[-1] == "organization.deleted"


def test_the_row_of_a_deleted_one_goes_and_its_slug_is_free_at_once(acme, acme_api, club):
    acme_api.delete(club.path)
    again = acme_api.post("/organizations", {"name": "Analytical Engines"}).json()

    assert "accounts.erase_organization" in run_jobs()

    assert again["slug"] == "analytical-engines"
    with reading(acme.scope):
        assert [row.public_id for row in Organization.objects.within(acme.scope)] == [again["id"]]


def test_an_export_holds_members_and_invitations_and_is_audited(acme, acme_api, club):
    club.invite()

    exported = acme_api.get(f"{club.path}/export").json()

    records = exported["records"]
    assert exported["organizationId"] == club.id
    assert [row["email"] for row in records["members"]] == ["ada@example.com"]
    assert [row["email"] for row in records["invites"]] == ["grace@example.com"]
    assert (records["subscriptions"], records["invoices"]) == ([], [])
    assert actions(acme)[-1] == "organization.exported"


def actions(company: Any) -> list[str]:
    """Return what the audit log says was done to organizations, oldest first."""
    with reading(company.scope):
        rows = AuditEvent.objects.within(company.scope).filter(action__startswith="organization.").order_by("id")
        return list(rows.values_list("action", flat=True))


def test_each_change_leaves_one_audit_row(acme, acme_api, club):
    acme_api.patch(club.path, {"name": "Engines"})
    club.add("grace")
    acme_api.patch(club.member("grace"), {"role": "admin"})
    acme_api.delete(club.member("grace"))
    acme_api.delete(club.path)

    assert actions(acme) == [
        "organization.created",
        "organization.member_added",
        "organization.updated",
        "organization.member_added",
        "organization.role_changed",
        "organization.member_removed",
        "organization.deleted",
    ]


def test_an_app_that_turned_organizations_off_is_told_how_to_turn_them_on(acme, acme_api, club):
    club.invite()
    token = club.token()
    with change(acme.scope):
        app = App.objects.within(acme.scope).get(pk=acme.app_id)
        app.settings = {**app.settings, "organizations_enabled": False}
        app.save(update_fields=["settings"])

    answers = [
        acme_api.post("/organizations", {"name": "B"}),
        acme_api.get("/organizations"),
        acme_api.get(club.path),
        club.sessions["ada"].get(club.path),
        acme_api.post(f"{club.path}/invites", {"email": "kim@example.com"}),
        club.accept(token),
    ]

    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert {answer.json()["code"] for answer in answers} == {"FORBIDDEN"}
    assert all("organizationsEnabled" in answer.json()["message"] for answer in answers)


def test_new_test_apps_have_organizations_and_live_ones_turn_them_on(acme):
    tenant = Api(acme.tenant_key)
    settings = {
        kind: tenant.post("/apps", {"name": kind, "environment": kind}).json()["settings"] for kind in ("test", "live")
    }

    assert settings["test"]["organizationsEnabled"] is True
    assert settings["live"]["organizationsEnabled"] is False


ROUTES = [
    ("GET", "", None, "organizations:read"),
    ("PATCH", "", {"name": "x"}, "organizations:write"),
    ("DELETE", "", None, "organizations:write"),
    ("GET", "/export", None, "organizations:read"),
    ("GET", "/members", None, "organizations:read"),
    ("POST", "/members", {"customerId": never("cust")}, "organizations:write"),
    ("PATCH", f"/members/{never('cust')}", {"role": "admin"}, "organizations:write"),
    ("DELETE", f"/members/{never('cust')}", None, "organizations:write"),
    ("POST", "/transfer-ownership", {"customerId": never("cust")}, "organizations:write"),
    ("GET", "/invites", None, "organizations:read"),
    ("POST", "/invites", {"email": "kim@example.com"}, "organizations:write"),
    ("GET", f"/invites/{never('oinv')}", None, "organizations:read"),
    ("DELETE", f"/invites/{never('oinv')}", None, "organizations:write"),
    ("POST", f"/invites/{never('oinv')}/resend", None, "organizations:write"),
]


# Numbered, because two test processes would name the ids in the paths differently.
@pytest.mark.parametrize(("method", "tail", "body", "scope"), ROUTES, ids=range(len(ROUTES)))
def test_every_route_is_closed_to_strangers_rivals_and_keys_without_the_scope(
    acme, globex, club, method, tail, body, scope
):
    club.invite()
    path = f"{club.path}{tail}"

    assert_needs_credential(method, path, body)
    other = "organizations:read" if scope.endswith("write") else "organizations:write"
    assert_needs_scope(acme.api(other, "customers:read"), scope, method, path, body)
    assert_hidden(Api(globex.key), method, path, f"/organizations/{never('org')}{tail}", body)
    assert_hidden(
        club.sessions.get("kim") or stranger(club), method, path, f"/organizations/{never('org')}{tail}", body
    )


def stranger(club: Any) -> Api:
    """Return the session of a customer of the app who belongs nowhere."""
    club.person("kim")
    return club.sessions["kim"]


def test_bad_input_is_named(acme_api, club):
    cases = [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "Free money at https://evil.example"}, "name"),
        ({"name": "www.evil.example"}, "name"),
        ({"name": CARD}, "name"),
        ({"name": "A", "slug": "Not A Slug"}, "slug"),
        ({"name": "A", "slug": "-a"}, "slug"),
        ({"name": "A", "metadata": []}, "metadata"),
        ({"name": "A", "owner": "x"}, "owner"),
    ]
    for body, field in cases:
        refused = acme_api.post("/organizations", body)
        assert refused.status_code == 400, body
        assert field in refused.json()["fields"], body
    assert_refuses_each(acme_api, "PATCH", club.path, [({"name": None}, "name"), ({"slug": "A"}, "slug")])
    big = {"k": "x" * 9000}
    assert acme_api.patch(club.path, {"metadata": big}).status_code == 200
    assert_refuses_each(acme_api, "PATCH", club.path, [({"metadata": {"l": "x" * 9000}}, "metadata")])


def test_a_repeated_request_makes_one(acme_api):
    sent = [acme_api.post("/organizations", {"name": "Once"}, Idempotency_Key="k1") for _ in range(2)]

    assert sent[0].content == sent[1].content
    assert sent[1]["Idempotency-Replayed"] == "true"
    assert len(acme_api.get("/organizations").json()["data"]) == 1
