"""Writes to Stripe are decided in one change, made outside of any, and recorded in the next.

The intent's row is what a lost answer is resolved by: repeating the call under the same intent
sends the same idempotency key, so Stripe answers what it answered before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from billing.models import StripeIntent
from billing.stripe.errors import StripeRefused
from billing.stripe.gateway import Intent, Json
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import new_id
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

DONE, FAILED = StripeIntent.State.DONE, StripeIntent.State.FAILED


def record_intent(
    scope: Scope, kind: str, target: Any, account_id: str, *, once: bool = False, claim_id: UUID | None = None
) -> Intent:
    """Return the intent to do `kind` to `target`, recorded in the open change.

    `once` makes all who ask while it is pending share one intent (two requests that both find a
    customer unknown to Stripe make one there). `claim_id`, that of the request's Idempotency-Key,
    lets a repeated request find the intent of the one that was cut off. For `once`, hold the row that
    the intent is about, here and where it is settled: so nobody finds it done but not yet linked.
    """
    require_change()
    fresh = new_id()
    tail = "" if once else f":{claim_id or fresh}"
    name = f"{kind}:{target}:{account_id}{tail}"
    rows = StripeIntent.objects.within(scope)
    wanted = StripeIntent(
        id=fresh, **owned_by(scope), kind=kind, target=str(target), account_id=account_id, idempotency_key=name
    )
    found = None
    while found is None:
        StripeIntent.unscoped.bulk_create([wanted], ignore_conflicts=True)
        found = rows.locked().filter(idempotency_key=name).first()
        if found is not None and (found.state == FAILED or (once and found.state == DONE)):
            # It is over, and asked for anew: the old row makes room for one with a key of its own.
            found.idempotency_key = f"{name}:{found.id}"
            found.save(update_fields=["idempotency_key"])
            found = None
    found.attempts += 1
    found.save(update_fields=["attempts"])
    return Intent(found.id)


def perform(scope: Scope, intent: Intent, call: Callable[[], Json]) -> Json:
    """Make the call, with no transaction open. A refusal ends the intent; a lost answer leaves it pending."""
    try:
        return call()
    except StripeRefused as refused:
        with change(scope):
            rows = StripeIntent.objects.within(scope).filter(pk=intent.id)
            rows.update(state=StripeIntent.State.FAILED, error_code=refused.stripe_code[:80], updated_at=wall_clock())
        raise


def settle(scope: Scope, intent: Intent, stripe_id: str) -> None:
    """Record in the open change what the call made or changed."""
    require_change()
    rows = StripeIntent.objects.within(scope).filter(pk=intent.id)
    rows.update(state=StripeIntent.State.DONE, stripe_id=stripe_id, error_code="", updated_at=wall_clock())
