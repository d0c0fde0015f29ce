"""Each role walks every route and method: what it may do is what the table of routes says, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import transaction

from accounts.organization_urls import ROUTES
from stackbe.kernel.scope import Credential
from tests.cast import Api

BODIES: dict[str, Any] = {
    "organization-PATCH": {"name": "Renamed"},
    "organization-members-POST": {"customerId": "newcomer"},
    "organization-member-PATCH": {"role": "admin"},
    "organization-transfer-ownership-POST": {"customerId": "target"},
    "organization-invites-POST": {"email": "walk@example.com"},
}
RANK = {"none": -1, "member": 0, "admin": 1, "owner": 2}
CALLS = [(row, method) for row in ROUTES for method, access in row.methods.items() if access.place]
# A route that a member may call for themselves, and an admin for others.
ON_OTHERS = {"organization-member-DELETE": "admin"}


@pytest.mark.parametrize("role", RANK)
def test_a_session_may_what_the_table_says_of_its_role(club, role):
    target, newcomer = club.person("target"), club.person("newcomer")
    club.add("target")
    invite = club.invite()
    if role == "none":
        club.person("walker")
    else:
        club.add("walker", role)
    places = {"organization_id": club.id, "customer_id": target, "invite_id": invite["id"]}
    for row, method in CALLS:
        url = "/" + re.sub(r"<str:(\w+)>", lambda found: places[found[1]], row.url)
        name = f"{row.name}-{method}"
        body = {
            key: {"target": target, "newcomer": newcomer}.get(value, value)
            for key, value in BODIES.get(name, {}).items()
        }
        least = ON_OTHERS.get(name, row.methods[method].place)

        before = transaction.savepoint()
        answer = club.sessions["walker"].request(method, url, body or None)
        transaction.savepoint_rollback(before)

        if role == "none":
            assert (answer.status_code, answer.json()["message"]) == (404, "No such organization."), name
        elif RANK[role] < RANK[least]:
            assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN"), (name, answer.content)
        else:
            assert answer.status_code < 300, (name, answer.content)


def test_the_table_lists_every_route_with_an_organization_in_it():
    for row in ROUTES:
        for method, access in row.methods.items():
            if "organization_id" in row.url:
                assert access.place in {"member", "admin", "owner"}, (row.url, method)
                assert Credential.SESSION in access.credentials
                assert access.scope == ("organizations:read" if method == "GET" else "organizations:write")


def test_the_document_says_which_role_a_session_needs(db):
    paths = Api(None).get("/openapi.json").json()["paths"]

    assert paths["/v1/organizations/{organizationId}"]["delete"]["x-least-organization-role"] == "owner"
    assert paths["/v1/organizations/{organizationId}"]["patch"]["x-least-organization-role"] == "admin"
    accept = paths["/v1/invites/accept"]["post"]
    assert accept["security"] == []
    assert "200" in accept["responses"]


def test_a_key_that_may_read_cannot_write(acme, club):
    reader = acme.api("organizations:read")

    for row in ROUTES:
        for method in row.methods:
            if method != "GET" and "organization_id" in row.url and "<str:customer_id>" not in row.url:
                url = "/" + row.url.replace("<str:organization_id>", club.id).replace("<str:invite_id>", "oinv_x")
                answer = reader.request(method, url)
                assert (answer.status_code, answer.json()["code"]) == (403, "INSUFFICIENT_SCOPE"), url


def test_a_publishable_key_opens_nothing(acme, club):
    assert Api(acme.publishable).get(club.path).status_code in {401, 403}
