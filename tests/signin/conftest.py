"""Customers of the sign-in tests."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import App
from stackbe.kernel.transactions import change
from tests.cast import Api, Company
from tests.signin.people import token_of

ADA = "ada@example.com"


class Front:
    """An app's front end and backend: asks for links, redeems them, calls with sessions."""

    def __init__(self, company: Company, mailbox: Any) -> None:
        self.company, self.mailbox = company, mailbox
        self.nobody, self.backend = Api(None), Api(company.key)
        self.auth = f"/apps/{company.app}/auth"

    def ask(self, email: str = ADA, **body: Any) -> Any:
        return self.backend.post(f"{self.auth}/magic-link", {"email": email, **body})

    def link(self, email: str = ADA, **body: Any) -> str:
        """Have a link mailed and return its token."""
        assert self.ask(email, **body).status_code == 200
        return token_of(self.mailbox.latest(email))

    def verify(self, token: str) -> Any:
        return self.nobody.post(f"{self.auth}/verify", {"token": token})

    def sign_in(self, email: str = ADA) -> dict[str, Any]:
        """Sign a customer in and return what verify answered."""
        response = self.verify(self.link(email))
        assert response.status_code == 200, response.content
        return response.json()

    def refresh(self, token: str) -> Any:
        return self.nobody.post(f"{self.auth}/refresh", {"refreshToken": token})

    def session(self, token: str) -> Any:
        return Api(token).get(f"{self.auth}/session")

    def set(self, **settings: Any) -> None:
        """Change the app's settings."""
        with change(self.company.scope):
            app = App.objects.within(self.company.scope).get(pk=self.company.app_id)
            app.settings = {**app.settings, **settings}
            app.save(update_fields=["settings"])


@pytest.fixture
def front(acme: Company, mailbox: Any) -> Front:
    """Acme's."""
    return Front(acme, mailbox)


@pytest.fixture
def rival(globex: Company, mailbox: Any) -> Front:
    """Globex's."""
    return Front(globex, mailbox)
