"""What a price comes to for a quantity, and which of two asks for more over the same time."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from billing.models import Price

if TYPE_CHECKING:
    from collections.abc import Sequence

WEEKS_IN_YEAR = Fraction(36525, 700)
PER_YEAR = {"month": Fraction(12), "year": Fraction(1), "week": WEEKS_IN_YEAR}


def charge_cents(price: Price, quantity: int) -> int:
    """Return what one period of a price costs for a quantity, before discounts and taxes."""
    if price.scheme == Price.Scheme.GRADUATED:
        return _graduated(price.tiers, quantity)
    if price.scheme == Price.Scheme.VOLUME:
        tier = next(t for t in price.tiers if t["upTo"] is None or quantity <= t["upTo"])
        return int(_flat(tier) + _unit(tier) * quantity)
    amount = price.unit_amount_cents or 0
    if price.scheme == Price.Scheme.PACKAGE:
        return amount * -(-quantity // (price.package_size or 1))
    return amount * quantity


def yearly_cents(price: Price, quantity: int) -> Fraction:
    """Return what a price costs for a quantity over a year, so that rhythms can be compared."""
    return charge_cents(price, quantity) * PER_YEAR[price.interval] / price.interval_count


def _graduated(tiers: Sequence[dict[str, Any]], quantity: int) -> int:
    """Charge each unit at the tier in which it falls; a tier that is entered charges its flat amount once."""
    total, below = 0, 0
    for tier in tiers:
        top = quantity if tier["upTo"] is None else min(quantity, tier["upTo"])
        total += _flat(tier) + _unit(tier) * (top - below)
        below = top
        if below >= quantity:
            break
    return total


def _unit(tier: dict[str, Any]) -> int:
    return int(tier.get("unitAmountCents") or 0)


def _flat(tier: dict[str, Any]) -> int:
    return int(tier.get("flatAmountCents") or 0)
