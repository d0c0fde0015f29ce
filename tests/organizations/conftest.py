"""Acme's app has organizations: Ada founds one, and whoever a test needs belongs to it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Api, Company
from tests.signin.people import token_of


class Club:
    """An organization of an app, and its people with their sessions."""

    def __init__(self, company: Company, mailbox: Any = None) -> None:
        self.company, self.mailbox = company, mailbox
        self.backend, self.nobody = Api(company.key), Api(None)
        self.ids: dict[str, str] = {}
        self.sessions: dict[str, Api] = {}
        self.person("ada")
        made = self.sessions["ada"].post("/organizations", {"name": "Analytical Engines"})
        assert made.status_code == 201, made.content
        self.id = str(made.json()["id"])
        self.path = f"/organizations/{self.id}"

    def person(self, name: str) -> str:
        """Make a customer with a session; return their id."""
        made = self.backend.post("/customers", {"email": f"{name}@example.com", "name": name.capitalize()})
        assert made.status_code == 201, made.content
        self.ids[name] = str(made.json()["id"])
        opened = self.backend.post(f"/customers/{self.ids[name]}/sessions")
        self.sessions[name] = Api(opened.json()["sessionToken"])
        return self.ids[name]

    def add(self, name: str, role: str = "member") -> Api:
        """Make a customer a member, and return their session."""
        if name not in self.ids:
            self.person(name)
        added = self.backend.post(f"{self.path}/members", {"customerId": self.ids[name], "role": role})
        assert added.status_code == 201, added.content
        return self.sessions[name]

    def member(self, name: str) -> str:
        """Return the path of somebody's place."""
        return f"{self.path}/members/{self.ids[name]}"

    def roles(self) -> dict[str, str]:
        """Return everybody's role by name."""
        listed = self.backend.get(f"{self.path}/members").json()["data"]
        return {row["email"].partition("@")[0]: row["role"] for row in listed}

    def invite(self, email: str = "grace@example.com", **more: Any) -> dict[str, Any]:
        """Invite an address as the app's backend does."""
        made = self.backend.post(f"{self.path}/invites", {"email": email, **more})
        assert made.status_code == 201, made.content
        return dict(made.json())

    def token(self, email: str = "grace@example.com") -> str:
        """Return the token of the newest invitation that was mailed to an address."""
        return token_of(self.mailbox.latest(email))

    def accept(self, token: str, caller: Api | None = None) -> Any:
        """Accept by token."""
        return (caller or self.nobody).post("/invites/accept", {"token": token})

    def sell(self, **plan: Any) -> str:
        """Make a plan the app's default, so that organizations without a subscription have it; return its id."""
        body = {"name": "Team", "priceCents": 0, "currency": "usd", "interval": "month", "isDefault": True, **plan}
        made = self.backend.post("/plans", body)
        assert made.status_code == 201, made.content
        return str(made.json()["id"])

    def events(self, prefix: str = "organization.") -> list[str]:
        """Return the types of the events so far, oldest first."""
        listed = self.backend.get("/events?limit=100").json()["data"]
        return [event["type"] for event in reversed(listed) if event["type"].startswith(prefix)]


@pytest.fixture
def club(acme: Company, mailbox: Any) -> Club:
    """Ada's."""
    return Club(acme, mailbox)
