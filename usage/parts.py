"""What usage tells the apps below it: which metrics there are, and its parts of a customer's state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from accounts.models import Customer
from accounts.services.customers import hold_customer
from billing import metrics as known_metrics
from billing import packs
from billing.models import Checkout
from billing.state import register_part
from stackbe.kernel.clock import render
from stackbe.kernel.scope import Scope
from usage.services.credits import credits_of, grant_credit, next_expiry, restore_credits, revoke_credits, spendable
from usage.services.figures import LEVELS
from usage.services.metrics import live_metrics, metric_named
from usage.services.summary import standing


def resets_of(scope: Scope) -> dict[str, str]:
    """Return when each live metric starts again from zero."""
    return dict(live_metrics(scope).values_list("name", "resets"))


def usage_part(scope: Scope, customer: Customer) -> list[dict[str, Any]]:
    """Return a customer's figures on every metric."""
    return [figures.as_json() for figures in standing(scope, customer.id)]


def credits_part(scope: Scope, customer: Customer) -> list[dict[str, Any]]:
    """Return a customer's add-on credits that can be spent now, in the order in which they will be."""
    return [
        {
            "id": row.public_id,
            "metric": row.metric.name,
            "quantity": row.quantity,
            "remaining": row.remaining,
            "priority": row.priority,
            "expiresAt": render(row.expires_at),
            "createdAt": render(row.created_at),
        }
        for row in spendable(scope, customer.id)
    ]


class Credits:
    """Where purchased units go: to the buyer's credits."""

    def counts(self, scope: Scope, metric: str) -> bool:
        """Say whether a metric adds up."""
        return metric_named(scope, metric).aggregation not in LEVELS

    def put(self, scope: Scope, checkout: Checkout, pack: Mapping[str, Any], cause: str) -> None:
        """Grant what was bought, once for the checkout."""
        hold_customer(scope, checkout.customer_id)
        known = credits_of(scope, checkout.customer_id, pack["metric"]).filter(checkout_id=checkout.pk)
        if not known.exists():
            grant_credit(scope, checkout.customer, checkout_id=checkout.pk, granted_by=cause[:80], **pack)

    def take_back(self, scope: Scope, customer_id: UUID, checkout_id: UUID) -> None:
        """Let what is left of a purchase be spent no more."""
        revoke_credits(scope, customer_id, checkout_id)

    def return_again(self, scope: Scope, customer_id: UUID, checkout_id: UUID) -> None:
        """Let it be spent again."""
        restore_credits(scope, customer_id, checkout_id)


known_metrics.register(resets_of)
packs.register(Credits())
register_part("usage", usage_part)
register_part("credits", credits_part, dates=next_expiry)
