"""What organizations need of the app that sells plans: how many seats there are, and to be told of changes.

Billing stands above accounts, so it registers itself here (billing/services/seats.py). Without it an
organization has as many seats as it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope


@dataclass(frozen=True, slots=True)
class Seller:
    """How the app that sells plans is asked and told. All but `end` are called inside a change or reading.

    `limit(scope, organization_id)` answers how many seats the plan holds, None for no limit.
    `changed(scope, organization_id, customer_ids)` hears who came or went, `renamed(scope, organization_id)` that it
    has another name. `end(scope, organization_id)`
    cancels at Stripe, with no transaction open, and raises to be tried again. `export(scope,
    organization_id)` answers what is held, as JSON.
    """

    limit: Callable[[Scope, UUID], int | None]
    changed: Callable[[Scope, UUID, Iterable[UUID]], None]
    renamed: Callable[[Scope, UUID], None]
    end: Callable[[Scope, UUID], None]
    export: Callable[[Scope, UUID], dict[str, Any]]


_sellers: list[Seller] = []


def register_seller(seller: Seller) -> None:
    """Have a seller asked and told; called once when the apps are ready."""
    _sellers.append(seller)


def seat_limit(scope: Scope, organization_id: UUID) -> int | None:
    """Return how many seats an organization has, None for no limit."""
    limits = [limit for seller in _sellers if (limit := seller.limit(scope, organization_id)) is not None]
    return min(limits, default=None)


def tell_changed(scope: Scope, organization_id: UUID, customer_ids: Iterable[UUID]) -> None:
    """Say in the open change who came to an organization or left it."""
    customers = sorted(customer_ids)
    for seller in _sellers:
        seller.changed(scope, organization_id, customers)


def tell_renamed(scope: Scope, organization_id: UUID) -> None:
    """Say in the open change that an organization has another name."""
    for seller in _sellers:
        seller.renamed(scope, organization_id)


def end_at_sellers(scope: Scope, organization_id: UUID) -> None:
    """Have everything that an organization pays for end, outside of any transaction."""
    for seller in _sellers:
        seller.end(scope, organization_id)


def export_of_sellers(scope: Scope, organization_id: UUID) -> dict[str, Any]:
    """Return what the sellers hold on an organization."""
    return {name: held for seller in _sellers for name, held in seller.export(scope, organization_id).items()}
