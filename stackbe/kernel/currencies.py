"""How many of its smallest units a currency has, as Stripe counts them."""

from __future__ import annotations

from decimal import Decimal

# Currencies whose smallest unit is the unit itself, and those that part it into a thousand.
_WHOLE = "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf"
_IN_THOUSANDTHS = "bhd jod kwd omr tnd"
WHOLE, IN_THOUSANDTHS = frozenset(_WHOLE.split()), frozenset(_IN_THOUSANDTHS.split())


def digits_of(currency: str) -> int:
    """Return how many digits follow the point: 2 for dollars, 0 for yen, 3 for dinars."""
    code = currency.lower()
    if code in WHOLE:
        return 0
    return 3 if code in IN_THOUSANDTHS else 2


def in_units(minor: int, currency: str) -> Decimal:
    """Return minor units as an amount: 4990 cents are 49.90 dollars, 4990 yen are 4990."""
    return Decimal(minor).scaleb(-digits_of(currency))


def in_minor_units(amount: Decimal, currency: str) -> int | None:
    """Return an amount in minor units; None where the currency has no coin that small, such as half a yen."""
    minor = amount.scaleb(digits_of(currency))
    return int(minor) if minor == int(minor) else None


def no_such_coin(currency: str) -> str:
    """Return the sentence for who entered an amount with more digits than the currency has."""
    digits = digits_of(currency)
    return f"{currency.upper()} takes {digits} digits after the point." if digits else f"{currency.upper()} is whole."
