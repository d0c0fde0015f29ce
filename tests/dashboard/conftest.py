"""Who looks at the dashboard: members of Acme in each role, signed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from accounts.models import Membership, User
from accounts.pages.proof import stamp
from accounts.services.users import ensure_user
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cast import Company


@dataclass
class Desk:
    """A member at the dashboard of one company's app."""

    company: Company
    user: User
    client: Client

    def url(self, path: str = "") -> str:
        """Return the address of one of the app's pages."""
        return f"/dashboard/{self.company.app}/{path}"

    def get(self, path: str = "", **headers: str) -> Any:
        """Look at a page."""
        return self.client.get(self.url(path), headers=headers)

    def post(self, path: str, **fields: Any) -> Any:
        """Send a form and follow where it leads."""
        return self.client.post(self.url(path), fields, follow=True)


def seated(company: Company, role: str = "owner", email: str = "ada@example.com") -> Desk:
    """Give somebody a place in a company and sign them in."""
    with change(company.scope):
        user = ensure_user(email)
        Membership(tenant_id=company.tenant_id, user_id=user.pk, role=role).save(force_insert=True)
    client = Client(raise_request_exception=False, headers={"Host": "localhost:8000"})
    client.force_login(user, "accounts.backends.MagicLinkBackend")
    prove(client)
    return Desk(company, user, client)


def prove(client: Client) -> None:
    """Let the session be as fresh as one that a link has just begun."""
    session = client.session
    stamp(session, "email")
    session.save()


def newcomer(email: str) -> Client:
    """Return the browser of somebody who signed in for the first time and belongs nowhere yet."""
    with change(platform_scope("test")):
        user = ensure_user(email)
    client = Client(raise_request_exception=False, headers={"Host": "localhost:8000"})
    client.force_login(user, "accounts.backends.MagicLinkBackend")
    return client


@pytest.fixture
def desk(acme: Company) -> Desk:
    """Acme's owner."""
    return seated(acme)


@pytest.fixture
def desk_of(acme: Company) -> Callable[[str], Desk]:
    """Return a maker of members in other roles."""
    return lambda role: seated(acme, role, f"{role}@example.com")
