"""One request, click or tick of the clock: whose objects it sees, what time it is there, and what it writes."""

import secrets
import string
from dataclasses import dataclass, replace
from typing import Any

from billing.stripe.sandbox.errors import missing_object
from billing.stripe.sandbox.settings import Settings
from billing.stripe.sandbox.store import Json, Store, wall_time

ALPHABET = string.ascii_letters + string.digits
ID_LENGTH = 24
LONG_ID_LENGTH = 48
OWN_NOTE = "_"
"""Keys that begin so are the sandbox's own notes on an object and never leave it."""


def new_id(prefix: str, length: int = ID_LENGTH) -> str:
    """A fresh id in Stripe's form."""
    return f"{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(length))}"


def clock_note(account: str) -> str:
    """The note that holds how far an account's clock runs ahead of the real one, in seconds."""
    return f"clock:{account}"


@dataclass(frozen=True)
class Context:
    """Where an operation happens. Every object read or written through it belongs to `account`."""

    store: Store
    settings: Settings
    account: str
    now: int
    request_id: str | None = None
    idempotency_key: str | None = None

    @classmethod
    def of(cls, store: Store, settings: Settings, account: str, **rest: Any) -> "Context":
        """A context at the present moment of the account's clock."""
        return cls(store, settings, account, int(wall_time()) + store.note(clock_note(account), 0), **rest)

    def at(self, moment: int) -> "Context":
        """The same, at another moment (the clock walks through what came due)."""
        return replace(self, now=moment, request_id=None, idempotency_key=None)

    @property
    def platform(self) -> str:
        """The platform's own account."""
        account: str = self.store.note("platform")
        return account

    @property
    def is_connected(self) -> bool:
        """Whether this is a connected account rather than the platform's own."""
        return self.account != self.platform

    def find(self, kind: str, object_id: str) -> Json | None:
        """An object of this account, or nothing."""
        return self.store.find(self.account, kind, object_id)

    def fetch(self, kind: str, object_id: str, param: str = "id") -> Json:
        """An object of this account, or Stripe's 404: another account's is as good as none."""
        found = self.find(kind, object_id)
        if found is None:
            noun = {"payment_method": "PaymentMethod", "checkout.session": "checkout.session"}.get(kind, kind)
            raise missing_object(noun, object_id, param)
        return found

    def select(self, kind: str, where: Json | None = None) -> list[Json]:
        """Objects of this account, newest first."""
        return self.store.select(self.account, kind, where)

    def put(self, body: Json, *, due: int | None = None) -> Json:
        """Write an object of this account."""
        self.store.put(self.account, body, due=due)
        return body


def merge_metadata(current: Json | None, given: Json | str | None) -> Json:
    """Metadata after an update: keys merge, an empty value deletes one, an empty string deletes all."""
    if given is None:
        return current or {}
    if isinstance(given, str):
        return {}
    merged = {**(current or {}), **given}
    return {key: value for key, value in merged.items() if value != ""}


def absent_if_empty(value: Any) -> Any:
    """None for a parameter that was cleared with an empty string."""
    return None if value == "" else value
