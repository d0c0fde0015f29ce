"""Ending a subscription, and taking the end back: decide, ask Stripe, then follow what Stripe says.

The row is never written from the request: it follows the subscription as Stripe shows it afterwards, so
a cancellation here and one in Stripe's portal leave the same trace. Subscriptions that Stripe does not
know (free plans) take their step at once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from accounts.erasure import before_erasing
from billing.models import StripeConnection, Subscription
from billing.services.subscriptions import (
    decide_cancel,
    decide_reactivation,
    end_here,
    live_stripe_subscriptions,
    take_step,
)
from billing.states import Transition
from billing.stripe.errors import (
    AccountLeft,
    AccountLost,
    StillConnected,
    StripeObjectGone,
    StripeRefused,
    StripeUnavailable,
)
from billing.stripe.gateway import ConnectedAccount, Intent, Json
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.schedules import release_schedule
from billing.stripe.sync import sync_until_done
from stackbe.kernel.audit import audit
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

Look = Callable[[], tuple[Subscription, Transition | None]]
END_NOW, END_LATER, KEEP = "subscription.end", "subscription.cancel", "subscription.keep"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was decided for one subscription, carried out of the change in which it was."""

    kind: str
    intent: Intent
    account: ConnectedAccount
    stripe_id: str
    params: Json

    def ask(self) -> Json:
        """Tell Stripe."""
        if self.kind == END_NOW:
            return self.account.delete("subscription", self.stripe_id, self.params, intent=self.intent)
        return self.account.update("subscription", self.stripe_id, self.params, intent=self.intent)


def cancel_subscription(
    scope: Scope,
    subscription_id: str,
    *,
    immediately: bool = False,
    only_here: bool = False,
    reason: str = "",
    claim_id: UUID | None = None,
) -> UUID:
    """Stop a subscription renewing, or end it now; return its row's id.

    The customer keeps what was paid for unless `immediately`. Cancelling twice is harmless and makes one
    event. `only_here` ends at once, here alone, what is on a Stripe account that the app has left. Raises
    `SubscriptionNotFound`, `StripeUnavailable` (nothing was changed here), `StripeRefused`, and `AccountLeft`
    for an account that cannot be reached.
    """
    immediately = immediately or only_here

    def look() -> tuple[Subscription, Transition | None]:
        return decide_cancel(scope, subscription_id, immediately=immediately)

    if not only_here:
        catch_up(scope, look)
    with change(scope):
        row, step = look()
        if step is None:
            return row.pk
        if not row.stripe_subscription_id:
            return take_step(scope, row, step, reason=reason).pk
        if only_here:
            _refuse_connected(scope, row)
            return end_here(scope, row, step, reason=reason).pk
        now = step.after.status == Subscription.Status.CANCELED
        params: Json = {} if now else {"cancel_at_period_end": True}
        if reason:
            params["cancellation_details"] = {"comment": reason}
        wish = wish_for(scope, row, END_NOW if now else END_LATER, params, claim_id)
    try:
        if not now:
            # Where a schedule is attached, Stripe takes no end; and after the end nothing is to come anyway.
            body = wish.account.fetch("subscription", wish.stripe_id)
            release_schedule(scope, wish.account, body, claim_id)
        agree(scope, wish, look)
    except AccountLost:
        raise AccountLeft(wish.account.id, row.public_id) from None
    return row.pk


def _refuse_connected(scope: Scope, row: Subscription) -> None:
    live = StripeConnection.objects.within(scope).filter(status=StripeConnection.Status.CONNECTED)
    if live.filter(account_id=row.stripe_account).exists():
        raise StillConnected


def reactivate_subscription(scope: Scope, subscription_id: str, *, claim_id: UUID | None = None) -> UUID:
    """Take back an end that has not come yet; return the row's id. Harmless where none is set.

    Raises `IllegalTransition` once the subscription is over, and as `cancel_subscription` does.
    """

    def look() -> tuple[Subscription, Transition | None]:
        return decide_reactivation(scope, subscription_id)

    catch_up(scope, look)
    with change(scope):
        row, step = look()
        if step is None:
            return row.pk
        if not row.stripe_subscription_id:
            return take_step(scope, row, step).pk
        params: Json = {"cancel_at_period_end": False} if row.cancel_at_period_end else {"cancel_at": ""}
        wish = wish_for(scope, row, KEEP, params, claim_id)
    agree(scope, wish, look)
    return row.pk


def end_for_erasure(scope: Scope, customer_id: UUID) -> None:
    """Cancel at Stripe, now, what a customer who is being erased still pays for. Repeating it is harmless."""
    with change(scope):
        wishes = [
            Wish(END_NOW, record_intent(scope, END_NOW, stripe_id, account), ConnectedAccount(account), stripe_id, {})
            for account, stripe_id in live_stripe_subscriptions(scope, customer_id)
        ]
    for wish in wishes:
        try:
            _carry_out(scope, wish)
        except (StripeObjectGone, AccountLost):
            continue  # Nothing is charged where nothing is, and what is not ours to end is the tenant's.


def register_erasure() -> None:
    """Have customers' subscriptions cancelled at Stripe before they are erased."""
    before_erasing("stripe", end_for_erasure)


def wish_for(scope: Scope, row: Subscription, kind: str, params: Json, claim_id: UUID | None) -> Wish:
    """Return a wish about a subscription, recorded in the open change."""
    account = row.stripe_account
    intent = record_intent(scope, kind, row.stripe_subscription_id, account, claim_id=claim_id)
    audit(scope, f"{kind}_requested", row.public_id, subject_id=row.customer_id)
    return Wish(kind, intent, ConnectedAccount(account), row.stripe_subscription_id, params)


def catch_up(scope: Scope, look: Look) -> None:
    """Where nothing seems to be left to do, make sure of it at Stripe.

    What was asked of Stripe a moment ago may not be read here yet: a cancellation that follows a reactivation would be
    taken for one that stands already, and the customer charged. Raises `StripeUnavailable`: then nobody knows.
    """
    with change(scope):
        row, step = look()
    if step is None and row.stripe_subscription_id and row.status != Subscription.Status.CANCELED:
        with suppress(AccountLost, StripeObjectGone):
            sync_until_done(scope, row.stripe_account, "subscription", row.stripe_subscription_id, cause=scope.actor)


def agree(scope: Scope, wish: Wish, look: Look) -> None:
    """Carry a wish out. Where Stripe refuses, it may know what we have not heard of: follow it and look anew.

    A subscription that ended there meanwhile needs no cancelling and cannot be kept; `look` says so.
    """
    try:
        _carry_out(scope, wish)
    except StripeRefused:
        sync_until_done(scope, wish.account.id, "subscription", wish.stripe_id, cause=scope.actor)
        with change(scope):
            _, step = look()
        if step is not None:
            raise


def _carry_out(scope: Scope, wish: Wish) -> None:
    """Ask Stripe, then follow what it shows. What we then cannot read, the event that comes will tell."""
    perform(scope, wish.intent, wish.ask)
    with change(scope):
        settle(scope, wish.intent, wish.stripe_id)
    with suppress(StripeUnavailable):
        sync_until_done(scope, wish.account.id, "subscription", wish.stripe_id, cause=scope.actor)
