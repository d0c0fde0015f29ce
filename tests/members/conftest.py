"""Members of Acme, the time, and people who come by a link."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Membership
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import reading
from tests.dashboard.conftest import Desk, desk, desk_of, prove, seated  # noqa: F401  # fixtures and makers of theirs
from tests.signin.people import Browser, token_of


class Clock:
    """A wall clock that a test moves on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def move(self, **units: float) -> None:
        self.ahead += timedelta(**units)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that everything asks, standing still unless it is moved."""
    moved, began = Clock(), timezone.now().replace(microsecond=0)
    began -= timedelta(seconds=int(began.timestamp()) % 30)  # at the beginning of a code's half minute
    monkeypatch.setattr(timezone, "now", lambda: began + moved.ahead)
    return moved


@pytest.fixture
def one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a fixed window of the forms' limiter from ending in the middle of a test."""
    monkeypatch.setattr("django_ratelimit.core.time", SimpleNamespace(time=lambda: 1_800_000_000))


def signed_in(email: str, mailbox: Any, address: str = "198.51.100.7") -> Browser:
    """Return a browser in which somebody without a second factor came in by a link."""
    browser = Browser(address)
    browser.get("/login")
    browser.post("/login", {"email": email})
    browser.post("/auth/developer/confirm", {"token": token_of(mailbox.latest(email))})
    assert browser.signed_in
    return browser


def roles(company: Any) -> list[str]:
    """Return the roles of a company's members, sorted."""
    with reading(company.scope):
        return sorted(Membership.objects.within(company.scope).values_list("role", flat=True))


def audited(scope: Any = None) -> list[str]:
    """Return the actions on record in a scope, the platform's by default."""
    scope = scope or platform_scope()
    with reading(scope):
        return list(AuditEvent.objects.within(scope).order_by("id").values_list("action", flat=True))


def words(response: Any) -> str:
    """Return what a page says."""
    return " ".join(response.content.decode().split())
