"""A link's token or a one-time code turned into a session in two calls: see the migration of `accounts_redeem`.

The first reads all that the token would open and spends nothing; the app's rules are judged and the tokens made
between the two; the second spends and opens in one transaction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from accounts import opaque
from accounts.customer_rows import CustomerRow
from accounts.lookups import KnownApp
from accounts.models import CustomerSession
from accounts.services.customer_factors import BY_MAIL
from accounts.services.entry import CODE_LIVES
from accounts.services.sessions import family_of
from accounts.services.tokens import signed
from stackbe.kernel import crypto, http
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.limits import Allowance, Bucket
from stackbe.kernel.statements import Statement

COUNTED = frozenset({"ok", "limited"})


@dataclass(frozen=True, slots=True)
class Redeemable(CustomerRow):
    """The row of the first call. `settings` is the text of JSON."""

    SEALED: ClassVar[tuple[str, ...]] = ("email", "name", "metadata", "billing_email")

    app_name: str
    environment: str
    clock_offset_ms: int
    settings: str
    remaining: int
    reset_ms: int
    redirect_url: str
    amr: str
    customer_id: UUID
    billing_email: bytes | None
    external_id: str | None
    created_at: datetime
    updated_at: datetime
    signing_key_id: UUID
    signing_key: bytes
    signing_sealed_by: UUID
    signing_sealing_key: bytes

    def allowance(self, bucket: Bucket) -> Allowance:
        """Return what the bucket that it was counted against answered."""
        return Allowance(
            self.outcome == "ok", bucket.limit, self.remaining, self.reset_ms / 1000, bucket.window_seconds
        )

    def app(self, app_id: UUID) -> KnownApp:
        """Return the app that was named, which is in service."""
        settings = json.loads(self.settings)
        return KnownApp(
            app_id, self.tenant_id, self.app_name, self.environment, self.clock_offset_ms, settings, closed=False
        )

    def shown(self) -> dict[str, Any] | None:
        """Return the customer as `customer_as_event` does; None where they lie under other keys."""
        opened = self.opened(self.customer_id)
        return opened and {
            "id": encode("cust", self.customer_id),
            "email": opened["email"],
            "billingEmail": opened["billing_email"],
            "name": opened["name"],
            "externalId": self.external_id,
            "metadata": opened["metadata"],
            "createdAt": render(self.created_at),
            "updatedAt": render(self.updated_at),
        }

    @property
    def private(self) -> str:
        """Return the private half of the app's signing key in the clear."""
        key = crypto.open_tenant_key(self.signing_sealing_key, self.tenant_id, self.signing_sealed_by)
        return crypto.unseal(key, self.signing_key, f"accounts_signingkey.private|{self.signing_key_id}").decode()


READ = Statement(
    "accounts_redeemable",
    f"select {Redeemable.columns()} from accounts_redeemable(%s, %s, %s, %s, %s, %s, %s)",  # noqa: S608  # our own column names
)
REDEEM = Statement("accounts_redeem", f"select accounts_redeem({', '.join(['%s'] * 15)})")


def redeemable(app_id: UUID, token: str, bucket: Bucket) -> Redeemable | None:
    """Read what a token would open and count the caller; None where the ordinary way must answer."""
    window_ms = bucket.window_seconds * 1000
    digest = crypto.token_digest(token)
    row = READ.row(app_id, _is_code(token), digest, bucket.name, bucket.limit, window_ms, wall_clock())
    return Redeemable(*row) if row[0] in COUNTED else None


def redeem(
    row: Redeemable, app: KnownApp, token: str, *, email: str, address: str, user_agent: str, country: str
) -> tuple[str, str, datetime] | None:
    """Spend a token and open its session; return the access token, the refresh token and when the first expires.

    None where somebody was faster.
    """
    moment = wall_clock()
    session = CustomerSession(
        customer_id=row.customer_id,
        expires_at=moment + timedelta(minutes=app.settings.session_ttl_minutes),
        amr=row.amr or BY_MAIL,
    )
    access_token, expires_at = signed(
        app.id, row.signing_key_id, row.private, session, email, minutes=app.settings.access_token_ttl_minutes
    )
    refresh_token = opaque.mint(opaque.REFRESH_TOKEN, refresh_id := new_id())
    (won,) = REDEEM.row(
        app.tenant_id,
        app.id,
        _is_code(token),
        crypto.token_digest(token),
        moment,
        int(CODE_LIVES.total_seconds()),
        session.id,
        row.customer_id,
        session.expires_at,
        http.truncated(address),
        country,
        family_of(user_agent),
        session.amr,
        refresh_id,
        crypto.token_digest(refresh_token),
    )
    return (access_token, refresh_token, expires_at) if won else None


def _is_code(token: str) -> bool:
    return token.startswith(f"{opaque.ONE_TIME_CODE}_")
