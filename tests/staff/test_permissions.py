"""Check 20 for the console: each role on each page by each method, and on each deed, equals permissions.txt.

Run `STACKBE_WRITE_PERMISSIONS=1 python -m pytest tests/staff/test_permissions.py` after a deliberate change,
and read the difference before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID

import pytest
from django.template.response import SimpleTemplateResponse
from django.urls import URLPattern, URLResolver

import stackbe.staff.urls  # noqa: F401  # registers the lists
from accounts.models import User
from stackbe.kernel.ids import new_id
from stackbe.staff.console import ConsoleAdmin, console
from stackbe.staff.roles import POWERS, VIEWS
from tests.staff.conftest import hire

TABLE = Path(__file__).parent / "permissions.txt"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROLES = [role.value or "nobody" for role in User.StaffRole]
OPEN = {
    "login",
    "arrive",
    "logout",
    "visit_end",
}  # where whoever is not in begins, and where one ends one's own session


def places(patterns=None, before=""):
    """Return (name, path) of all that the console serves, lists' own pages included."""
    for place in console.get_urls() if patterns is None else patterns:
        if isinstance(place, URLResolver):
            yield from places(place.url_patterns, f"{before}{place.pattern}")
        elif isinstance(place, URLPattern):
            yield place.name, "<str:app_label>/" if place.name == "app_list" else f"{before}{place.pattern}"


def address(path):
    """Return a place's address, with ids of nothing."""
    filled = (
        path.replace("<str:app_label>", "accounts")
        .replace("<path:object_id>", str(UUID(int=7)))
        .replace("<str:deed>", "nothing")
    )
    return f"/staff/{'nowhere' if filled.startswith('(?P<url>') else filled}"


def lets_in(client, method, url):
    response = client.generic(method, url)
    assert response.status_code < 500, f"{method} {url} broke"
    to_sign_in = response.status_code == 302 and "login" in response["Location"]
    return response.status_code not in {403, 404, 405} and not to_sign_in


def page_lines(people):
    """Return a line for each page and method that lets anybody in."""
    for name, path in places():
        if name in OPEN:
            continue
        for method in METHODS:
            # What is refused to everybody is refused before it is asked who it is.
            asking = people if method in {"GET", "POST"} else {"administrator": people["administrator"]}
            allowed = [role for role, (client, _) in asking.items() if lets_in(client, method, address(path))]
            if allowed:
                yield f"page  {method:5} {path:60} {' '.join(allowed)}"


def states(model):
    """Return rows of a model that are as unlike as its deeds need, saved nowhere."""
    fields = {field.name for field in model._meta.get_fields()}
    stamps = [
        {},
        *({name: "2026-01-01T00:00:00Z"} for name in ("suspended_at", "revoked_at", "answered_at") if name in fields),
    ]
    return [model(**({"id": new_id()} if model._meta.app_label != "djstripe" else {}), **stamp) for stamp in stamps]


def deed_lines(people):
    """Return a line for each deed that any role may do, on any row."""
    for model, lists in sorted(console._registry.items(), key=lambda item: item[0]._meta.label):
        users = {role: user for role, (_, user) in people.items()}
        found = {deed["name"] for row in states(model) for user in users.values() for deed in lists.deeds(user, row)}
        for deed in sorted(found):
            done = [role for role in people if attempt(people[role][0], model, deed)]
            yield f"deed  {model._meta.label:32} {deed:20} {' '.join(done)}"


def attempt(client, model, deed):
    """Say whether a deed gets as far as its service on some row of the model."""
    passed = False
    url = f"/staff/{model._meta.app_label}/{model._meta.model_name}/{UUID(int=7)}/do/{deed}"
    for row in states(model):
        ROW["row"] = row
        passed |= lets_in(client, "POST", url)
    return passed


ROW = {}


@pytest.fixture
def people(committed):
    return {role: with_user(role) for role in ROLES}


def with_user(role):
    client = hire("" if role == "nobody" else role)
    return client, User.objects.order_by("-pk").first()


def test_each_role_on_each_page_and_deed_equals_the_committed_table(people, monkeypatch):
    monkeypatch.setattr(SimpleTemplateResponse, "rendered_content", "")  # who comes in, not what they are shown
    pages = sorted(page_lines(people))
    monkeypatch.setattr(ConsoleAdmin, "get_object", lambda *_: ROW["row"])
    for lists in console._registry.values():
        monkeypatch.setattr(type(lists), "perform", lambda *_: None)
    found = [line.rstrip() for line in (*pages, *sorted(deed_lines(people)))]
    if os.environ.get("STACKBE_WRITE_PERMISSIONS"):
        TABLE.write_text("\n".join(found) + "\n")

    assert TABLE.read_text().splitlines() == found


def test_nobody_without_a_role_comes_in_and_only_deeds_take_forms():
    lines = [line.split() for line in TABLE.read_text().splitlines()]

    assert not [line for line in lines if "nobody" in line]
    assert {line[1] for line in lines if line[0] == "page"} == {"GET"}


def test_support_reads_and_answers_tickets_and_changes_nothing_of_a_tenants():
    deeds = {
        line.split()[2]
        for line in TABLE.read_text().splitlines()
        if line.startswith("deed") and "support" in line.split()
    }

    assert deeds == {"reveal", "visit", "answer", "close"}


def test_every_list_is_in_the_table_of_roles_and_every_power_belongs_to_some_role():
    assert sorted(VIEWS) == sorted(model._meta.label for model in console._registry)
    assert all(POWERS.values())
