"""Pausing a subscription and ending the pause. While it lasts nothing is granted and nothing collected."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from billing.services.subscriptions import decide_pause, decide_resume, take_step
from billing.states import Transition
from billing.stripe.endings import agree, catch_up, wish_for
from billing.stripe.gateway import Json
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from datetime import datetime

    from billing.models import Subscription
    from stackbe.kernel.scope import Scope

PAUSE, RESUME = "subscription.pause", "subscription.resume"


def pause_subscription(
    scope: Scope, subscription_id: str, *, resumes_at: datetime | None = None, claim_id: UUID | None = None
) -> UUID:
    """Pause access and payment, until a date where one is given; return the row's id.

    Invoices that fall into the pause are voided. Pausing twice is harmless; another date takes the
    place of the first. Raises `SubscriptionNotFound`, `ValidationFailed` for a date that has passed,
    `IllegalTransition`, and as the gateway does.
    """

    def look() -> tuple[Subscription, Transition | None]:
        return decide_pause(scope, subscription_id, resumes_at=resumes_at)

    catch_up(scope, look)
    with change(scope):
        row, step = look()
        if step is None:
            return row.pk
        if not row.stripe_subscription_id:
            return take_step(scope, row, step).pk
        pause: Json = {"behavior": "void"}
        if resumes_at is not None:
            pause["resumes_at"] = int(resumes_at.timestamp())
        wish = wish_for(scope, row, PAUSE, {"pause_collection": pause}, claim_id)
    agree(scope, wish, look)
    return row.pk


def resume_subscription(scope: Scope, subscription_id: str, *, claim_id: UUID | None = None) -> UUID:
    """End a pause now; return the row's id. Harmless where there is none.

    Raises `SubscriptionNotFound`, `IllegalTransition` once it has ended, and as the gateway does.
    """

    def look() -> tuple[Subscription, Transition | None]:
        return decide_resume(scope, subscription_id)

    catch_up(scope, look)
    with change(scope):
        row, step = look()
        if step is None:
            return row.pk
        if not row.stripe_subscription_id:
            return take_step(scope, row, step).pk
        wish = wish_for(scope, row, RESUME, {"pause_collection": ""}, claim_id)
    agree(scope, wish, look)
    return row.pk
