"""Check 20: each role on each route and page by each method equals a committed table, permissions.txt.

Run `STACKBE_WRITE_PERMISSIONS=1 python -m pytest tests/members/test_permissions.py` after a deliberate change,
and read the difference before it is committed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from django.db import transaction
from django.urls import URLPattern

from apikeys.services.keys import issue_api_key
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.routes import least_role
from stackbe.kernel.scope import ALL_SCOPES, Credential, Role
from stackbe.kernel.transactions import change
from stackbe.urls import ROUTES, urlpatterns
from tests.cast import Api
from tests.members.conftest import prove

TABLE = Path(__file__).parent / "permissions.txt"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CHANGING = METHODS[1:]
ROLES = [role.value for role in Role]
PLACEHOLDER = re.compile(r"<(?:\w+:)?(\w+)>")
PREFIXES = {
    "customer_id": "cust",
    "member_id": "mem",
    "key_id": "key",
    "invitation_id": "minv",
    "plan_id": "plan",
    "migration_id": "mig",
    "coupon_id": "coup",
}
PAGES = [
    pattern
    for pattern in urlpatterns
    if isinstance(pattern, URLPattern) and str(pattern.pattern).startswith(("dashboard/", "account/", "connect/"))
]
# A question with a body: it reads many answers at once and changes nothing.
READS_BY_POST = {("POST", "entitlements/check"), ("POST", "entitlements/check/batch")}


def path_of(pattern, app):
    """Return a page's address for an app, with ids of nothing."""
    ids = {"app_id": app, "action": "test"}
    return "/" + PLACEHOLDER.sub(
        lambda found: ids.get(found[1]) or encode(PREFIXES.get(found[1], "sub"), new_id()), str(pattern.pattern)
    )


def lets_in(desk, pattern, method):
    """Say whether a member gets past the door of a page; what happens behind it is taken back."""
    before = transaction.savepoint()
    try:
        response = desk.client.generic(method, path_of(pattern, desk.company.app))
        assert response.status_code < 500, f"{method} {pattern.pattern} broke"
        to_sign_in = response.status_code == 302 and response["Location"].startswith("/login")
        return response.status_code not in {403, 405} and not to_sign_in
    finally:
        transaction.savepoint_rollback(before)


def api_lines():
    """Return a line for each route and method: its scope, its credentials, the roles that may do the same."""
    for route in ROUTES:
        for method, access in route.methods.items():
            roles = " ".join(role for role in ROLES if Role(role).rank >= access.role.rank)
            proofs = ",".join(sorted(access.credentials))
            yield f"api   {method:6} {route.url:58} {access.scope or '-':20} {proofs:32} {roles}"


def page_lines(desks):
    """Return a line for each page and method that lets anybody in."""
    for pattern in PAGES:
        for method in METHODS:
            # What a page does not take from an owner is refused before it is asked who it is.
            asking = desks if lets_in(desks["owner"], pattern, method) else {}
            roles = " ".join(role for role, desk in asking.items() if role == "owner" or lets_in(desk, pattern, method))
            if roles:
                yield f"page  {method:6} {pattern.pattern!s:58} {roles}"


@pytest.fixture
def desks(acme, desk_of):
    """A member of each role, freshly proven."""
    made = {role: desk_of(role) for role in ROLES}
    for desk in made.values():
        prove(desk.client)
    return made


def test_each_role_on_each_route_and_page_equals_the_committed_table(desks):
    found = [line.rstrip() for line in (*sorted(api_lines()), *sorted(page_lines(desks)))]
    if os.environ.get("STACKBE_WRITE_PERMISSIONS"):
        TABLE.write_text("\n".join(found) + "\n")

    assert TABLE.read_text().splitlines() == found


def test_every_page_of_the_dashboard_lets_an_owner_in_somehow():
    lines = [line.split() for line in TABLE.read_text().splitlines() if line.startswith("page")]
    owners = {line[2] for line in lines if "owner" in line[3:]}

    assert [str(page.pattern) for page in PAGES if str(page.pattern) not in owners] == []


def test_a_viewer_changes_nothing_but_what_is_their_own():
    by_viewers = {line.split()[2] for line in TABLE.read_text().splitlines() if is_change(line) and "viewer" in line}

    own = {url for url in by_viewers if url.startswith("account/")}
    assert by_viewers - own == {
        "dashboard/new",  # refused in the page itself to who may not make apps
        "dashboard/<str:app_id>/members/leave",
    }


def is_change(line):
    return line.startswith("page") and line.split()[1] in CHANGING


def test_no_method_that_changes_passes_on_a_read_permission():
    on_read = {
        (method, route.url)
        for route in ROUTES
        for method, access in route.methods.items()
        if method in CHANGING and access.scope is not None and access.scope.endswith(":read")
    }

    assert on_read == READS_BY_POST
    assert all(least_role(scope).rank > Role.VIEWER.rank for scope in ALL_SCOPES if scope.endswith(":write"))


@pytest.fixture
def key_of(acme):
    """Return a maker of clients with a key of exactly some scopes."""
    made = {}

    def client(credential, scopes):
        if (credential, scopes) not in made:
            of_tenant = credential is Credential.TENANT_KEY
            with change(acme.scope):
                app_id = None if of_tenant else acme.app_id
                _, text = issue_api_key(acme.scope, name="t", environment="test", app_id=app_id, scopes=scopes)
            made[credential, scopes] = Api(text, **({"X-StackBE-App": acme.app} if of_tenant else {}))
        return made[credential, scopes]

    return client


def calls():
    """Return every (route, method, scope, credential) that takes a key."""
    for route in ROUTES:
        for method, access in route.methods.items():
            kinds = access.credentials & {Credential.KEY, Credential.TENANT_KEY}
            for credential in sorted(kinds):
                yield route, method, access.scope, credential


def answer(api, method, route, app):
    """Return the status and code of a call that, if it is let in, finds nothing to do."""
    before = transaction.savepoint()
    try:
        url = PLACEHOLDER.sub(lambda found: app if found[1] == "app_id" else encode("sub", new_id()), route.url)
        response = api.request(method, f"/{url}", {})
        is_json = response.get("Content-Type", "").startswith("application/json") and response.content
        body = response.json() if is_json else {}
        return response.status_code, body.get("code") if isinstance(body, dict) else None
    finally:
        transaction.savepoint_rollback(before)


def test_each_route_wants_its_own_scope_and_no_other_will_do(acme, key_of):
    wrong = []
    for route, method, scope, credential in calls():
        if scope is None:
            continue
        others = tuple(one for one in ALL_SCOPES if one != scope)
        refused = answer(key_of(credential, others), method, route, acme.app)
        passed = answer(key_of(credential, (scope,)), method, route, acme.app)
        if refused != (403, "INSUFFICIENT_SCOPE") or passed[1] == "INSUFFICIENT_SCOPE" or passed[0] in {401, 405}:
            wrong.append((method, route.url, refused, passed))

    assert wrong == []


def test_a_key_that_may_read_everything_changes_nothing(acme, key_of):
    reads = tuple(scope for scope in ALL_SCOPES if scope.endswith(":read"))
    passed = {
        (method, route.url)
        for route, method, scope, credential in calls()
        if method in CHANGING
        and scope is not None
        and answer(key_of(credential, reads), method, route, acme.app)[1] != "INSUFFICIENT_SCOPE"
    }

    assert passed == READS_BY_POST


def test_a_method_that_the_table_does_not_name_is_refused(acme, key_of):
    named = {(route.url, method) for route in ROUTES for method in route.methods}
    passed = []
    for route in ROUTES:
        for method in METHODS:
            if (route.url, method) not in named:
                status, _ = answer(key_of(Credential.KEY, ("*",)), method, route, acme.app)
                if status not in {401, 404, 405}:
                    passed.append((method, route.url, status))

    assert passed == []


def test_a_members_cookie_is_no_credential_of_the_api(desks):
    passed = []
    for route in ROUTES:
        for method, access in route.methods.items():
            if not access.public:
                url = PLACEHOLDER.sub(lambda _: encode("sub", new_id()), route.url)
                response = desks["owner"].client.generic(method, f"/v1/{url}", b"{}", "application/json")
                if response.status_code not in {401, 429}:
                    passed.append((method, route.url, response.status_code))

    assert passed == []
