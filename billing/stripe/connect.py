"""Connecting an app to its tenant's own Stripe account, and letting go of it again.

Standard OAuth: the tenant logs in at Stripe and allows the platform to act for the account. We keep
the account's id and nothing that opens it; calls go out with the platform's key. Several apps of a
tenant may share an account; an account never serves two tenants.
"""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from django.conf import settings

from billing.models import Plan, StripeConnection
from billing.stripe import gateway
from billing.stripe.errors import AccountRestricted, StripeNotConnected, StripeRefused, StripeUnavailable
from billing.stripe.gateway import ConnectedAccount, Json
from billing.stripe.queue import defer_push_app
from billing.stripe.running import queue_running
from billing.stripe.scopes import scopes_of_account
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import Conflict
from stackbe.kernel.ids import encode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, forbid_transaction, reading, require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

log = logging.getLogger("stackbe.stripe")
SANDBOX_SECONDS = 10
CONNECTED = StripeConnection.Status.CONNECTED


class WrongMode(Conflict):
    """Test and live are kept apart."""

    message = (
        "This app and this server's Stripe keys are not of the same mode: a test app connects with test keys,"
        " a live app with live ones."
    )


class AccountTaken(Conflict):
    """Events of a shared account could not be told apart."""

    message = "This Stripe account is connected by another tenant. Disconnect it there first."


def connection_of(scope: Scope) -> StripeConnection:
    """Return the app's live connection, or raise `StripeNotConnected`. Runs inside change() or reading()."""
    found = StripeConnection.objects.within(scope).filter(status=CONNECTED).first()
    if found is None:
        raise StripeNotConnected
    return found


def ready_connection(scope: Scope) -> StripeConnection:
    """Return the app's live connection if its account may take payments; raise `AccountRestricted` otherwise."""
    found = connection_of(scope)
    if not found.charges_enabled:
        raise AccountRestricted(" ".join(health_in_words(found)))
    return found


def refresh_health(scope: Scope) -> None:
    """Ask Stripe how the app's account fares and record it. Raises as the gateway does."""
    account = account_of(scope)
    health = account.account()
    with change(scope):
        live = StripeConnection.objects.within(scope).locked().filter(status=CONNECTED, account_id=account.id).first()
        if live is not None:
            apply_health(live, health)
            live.save()


def account_of(scope: Scope, *, patience_seconds: float | None = None) -> ConnectedAccount:
    """Return the way to the app's account; like `connection_of`, but opens its own reading()."""
    with reading(scope):
        return ConnectedAccount(connection_of(scope).account_id, patience_seconds)


def complete_connection(scope: Scope, account_id: str, *, livemode: bool) -> StripeConnection:
    """Make an account the app's: the one end of OAuth and of the sandbox's short cut.

    Fetches the account's health with no transaction open, then records the connection and queues the
    push of everything in the catalogue that the account does not have, and a look at each subscription
    that runs on it: nothing was heard of it while it was away. Connecting the same account
    again refreshes it; another one takes the place of the old. Raises `WrongMode`, `AccountTaken`,
    `StripeUnavailable`.
    """
    if livemode != (scope.environment == "live") or livemode != settings.STRIPE_LIVE_MODE:
        raise WrongMode
    if any(other.tenant_id != scope.tenant_id for other in scopes_of_account(account_id, "stripe")):
        raise AccountTaken
    health = ConnectedAccount(account_id).account()
    with change(scope):
        live = StripeConnection.objects.within(scope).locked().filter(status=CONNECTED).first()
        if live is not None and live.account_id != account_id:
            _let_go(scope, live, by=scope.actor)
            live = None
        if live is None:
            live = StripeConnection(**owned_by(scope), account_id=account_id, livemode=livemode)
            # What happened while it was away is looked for from where we stood.
            before = StripeConnection.objects.within(scope).filter(account_id=account_id).order_by("-id").first()
            live.events_cursor = before.events_cursor if before else ""
            audit(scope, "stripe.connected", live.public_id, detail={"account": account_id})
        live.connected_at = wall_clock()  # What Stripe told of before is older than this connection.
        apply_health(live, health)
        live.save()
        Plan.objects.within(scope).filter(active=True).update(push_state=Plan.Push.PENDING, push_error="")
        defer_push_app(scope)
        queue_running(scope, account_id)
    return live


def apply_health(connection: StripeConnection, account: Json) -> None:
    """Put on the row what Stripe says of the account: may it charge, what does it still owe Stripe."""
    requirements = account.get("requirements") or {}
    due = [*(requirements.get("past_due") or []), *(requirements.get("currently_due") or [])]
    connection.charges_enabled = bool(account.get("charges_enabled"))
    connection.payouts_enabled = bool(account.get("payouts_enabled"))
    connection.details_submitted = bool(account.get("details_submitted"))
    connection.requirements_due = sorted(set(due))
    connection.default_currency = str(account.get("default_currency") or "")[:3]
    connection.country = str(account.get("country") or "")[:2]
    connection.checked_at = wall_clock()


def health_in_words(connection: StripeConnection) -> list[str]:
    """Return what stands in the way of taking money, a sentence each; empty when nothing does."""
    said = []
    if not connection.details_submitted:
        said.append("Stripe still waits for the account's details. Finish the set-up at Stripe.")
    if not connection.charges_enabled:
        said.append("Stripe does not let this account take payments yet.")
    if not connection.payouts_enabled:
        said.append("Stripe does not pay out to this account yet.")
    if connection.requirements_due:
        wanted = ", ".join(str(name).replace("_", " ").replace(".", " / ") for name in connection.requirements_due)
        said.append(f"Stripe asks for: {wanted}.")
    return said


def disconnect(scope: Scope) -> bool:
    """Let go of the app's account; say whether there was one.

    Our side is recorded first and holds even when Stripe cannot be reached. The platform's access at
    Stripe is given back when no other app of the tenant uses the account.
    """
    with change(scope):
        live = StripeConnection.objects.within(scope).locked().filter(status=CONNECTED).first()
        if live is None:
            return False
        _let_go(scope, live, by=scope.actor)
        account_id = live.account_id
    if not scopes_of_account(account_id, "stripe"):
        try:
            gateway.deauthorize(account_id)
        except StripeUnavailable:
            log.warning("stripe could not be told of a disconnection", extra={"account": account_id})
    return True


def account_deauthorized(scope: Scope, account_id: str) -> None:
    """Record in the open change that the tenant threw us out at Stripe. The account can no longer be asked."""
    require_change()
    rows = StripeConnection.objects.within(scope).filter(status=CONNECTED, account_id=account_id)
    live = rows.locked().first()
    if live is not None:
        _let_go(scope, live, by="stripe")


def _let_go(scope: Scope, connection: StripeConnection, *, by: str) -> None:
    connection.status = StripeConnection.Status.DISCONNECTED
    connection.disconnected_at = wall_clock()
    connection.disconnected_by = by
    connection.save(update_fields=["status", "disconnected_at", "disconnected_by"])
    audit(scope, "stripe.disconnected", connection.public_id, detail={"account": connection.account_id, "by": by})


def connect_sandbox_account(scope: Scope) -> StripeConnection:
    """Give a development app a fresh account on the sandbox, as if its owner had gone through OAuth.

    Refuses (`StripeRefused`) unless STRIPE_API_BASE is the sandbox on this machine.
    """
    if not settings.STRIPE_SANDBOX:
        raise StripeRefused("There is no Stripe sandbox here; connect a real account.")
    forbid_transaction("The Stripe sandbox")
    name = encode("app", scope.app)
    request = urllib.request.Request(  # noqa: S310  # the scheme is that of STRIPE_API_BASE, an address of this machine
        f"{settings.STRIPE_API_BASE}/_sandbox/accounts",
        data=json.dumps({"name": name}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {settings.STRIPE_SECRET_KEY}"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=SANDBOX_SECONDS) as answer:  # noqa: S310  # as above
            account = json.load(answer)
    except (urllib.error.URLError, TimeoutError, ValueError):
        raise StripeUnavailable("The Stripe sandbox does not answer. Is it running?") from None
    return complete_connection(scope, str(account["id"]), livemode=False)
