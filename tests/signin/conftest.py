"""Customers of the sign-in tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from accounts.models import App
from accounts.services.social_wire import forget_documents
from stackbe.kernel.transactions import change
from tests.cast import Api, Company
from tests.signin.people import Browser, token_of
from tests.signin.provider import CLIENT_ID, CLIENT_SECRET, Provider

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider of accounts on loopback, which the tests' deployment lets providers point to."""
    forget_documents()
    with Provider() as running:
        yield running
    forget_documents()


class Social:
    """Acme with a provider of its own turned on, and people with browsers who use it."""

    def __init__(self, company: Company, provider: Provider) -> None:
        self.company, self.provider = company, provider
        self.backend = Api(company.key)
        self.nobody = Api(None)
        self.auth = f"/apps/{company.app}/auth"

    def put(self, slug: str = "sso", **body: Any) -> Any:
        """Configure a provider as it stands on loopback."""
        given = {"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "name": "Acme SSO", **body}
        if slug not in {"google", "github"}:
            given.setdefault("issuer", self.provider.issuer)
        return self.backend.put(f"{self.auth}/providers/{slug}", given)

    def start(self, browser: Browser, slug: str = "sso", **query: str) -> Any:
        """Press the button on the app's page."""
        named = {"app": self.company.app, "provider": slug, **query}
        return browser.get(f"/auth/social/start?{urlencode(named)}")

    def sent(self, browser: Browser, slug: str = "sso", **query: str) -> str:
        """Press it, and return where at the provider it leads."""
        response = self.start(browser, slug, **query)
        assert response.status_code == 303, response.content
        return response["Location"]

    def back(self, browser: Browser, url: str) -> Any:
        """Come back to us by a URL that the provider sent the browser to."""
        return browser.get(url.removeprefix("http://localhost:8000"))

    def go(self, browser: Browser | None = None, slug: str = "sso", **query: str) -> Any:
        """Go all the way there and back."""
        browser = browser or Browser()
        return self.back(browser, self.provider.approve(self.sent(browser, slug, **query)))

    def signed_in(self, response: Any) -> dict[str, Any]:
        """Redeem the one-time code that a callback leads on with."""
        assert response.status_code == 303, response.content
        target = urlsplit(response["Location"])
        (token,) = parse_qs(target.query)["token"]
        verified = self.nobody.post(f"{self.auth}/verify", {"token": token})
        assert verified.status_code == 200, verified.content
        return verified.json()

    def customers(self) -> list[dict[str, Any]]:
        """Return the app's customers."""
        return self.backend.get("/customers").json()["data"]

    def identities(self, customer_id: str) -> list[dict[str, Any]]:
        """Return what is connected to a customer."""
        return self.backend.get(f"/customers/{customer_id}/identities").json()["data"]

    def problem(self, slug: str = "sso") -> str:
        """Return what the app's developers are told of the last failure."""
        found = self.backend.get(f"{self.auth}/providers/{slug}").json()["lastProblem"]
        return "" if found is None else found["message"]


@pytest.fixture
def social(acme: Company, provider: Provider) -> Social:
    """Acme's, turned on."""
    made = Social(acme, provider)
    assert made.put().status_code == 201
    return made


def words(response: Any) -> str:
    """Return what a page says."""
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())
