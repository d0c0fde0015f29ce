"""Browsers of the sign-in tests: each with cookies of its own, each obeying CSRF."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.test import Client

HOST = {"Host": "localhost:8000"}


class Browser:
    """A browser without scripts: it keeps cookies and posts the CSRF token of the page it saw."""

    def __init__(self, address: str = "198.51.100.7") -> None:
        self.client = Client(enforce_csrf_checks=True, raise_request_exception=False, REMOTE_ADDR=address)

    def get(self, path: str, **extra: Any) -> Any:
        return self.client.get(path, headers=HOST, **extra)

    def post(self, path: str, data: dict[str, Any] | None = None) -> Any:
        if "csrftoken" not in self.client.cookies:
            self.get("/login")
        form = {**(data or {}), "csrfmiddlewaretoken": self.client.cookies["csrftoken"].value}
        return self.client.post(path, form, headers=HOST)

    @property
    def signed_in(self) -> bool:
        return "_auth_user_id" in self.client.session


def token_of(mail: dict[str, Any]) -> str:
    """Return the token in a mail's link: in its fragment, or in its query for an app's own page."""
    parts = urlsplit(mail["links"][0])
    return parse_qs(parts.fragment or parts.query)["token"][0]


def from_now(claims: dict[str, Any]) -> dict[str, Any]:
    """Return claims whose `timedelta`s have become seconds since 1970, that far from this very moment."""
    now = int(time.time())
    return {
        name: now + int(value.total_seconds()) if isinstance(value, timedelta) else value
        for name, value in claims.items()
    }
