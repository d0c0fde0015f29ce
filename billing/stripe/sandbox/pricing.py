"""What things cost, in whole minor units; halves round away from zero, as Stripe rounds."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from billing.stripe.sandbox.store import Json

MONTHS = {"month": 1, "year": 12}
DAYS = {"day": 1, "week": 7}
MONTHS_IN_YEAR = 12


def rounded(amount: Decimal) -> int:
    """A whole number of minor units."""
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def share(amount: int, part: int, whole: int) -> int:
    """The part of an amount that falls on part of a period."""
    return rounded(Decimal(amount) * part / whole) if whole else 0


def is_metered(price: Json) -> bool:
    """Whether a price is charged for what was used, when the period is over."""
    return bool(price["recurring"]) and price["recurring"]["usage_type"] == "metered"


def amount_of(price: Json, quantity: int) -> int:
    """The price of a quantity: flat or per unit, by package, graduated or by volume."""
    if price["billing_scheme"] == "tiered":
        tiers = price["_tiers"]
        return rounded(graduated(tiers, quantity) if price["tiers_mode"] == "graduated" else volume(tiers, quantity))
    package = price["transform_quantity"]
    if package:
        whole, rest = divmod(quantity, package["divide_by"])
        quantity = whole + (1 if rest and package["round"] == "up" else 0)
    return rounded(Decimal(price["unit_amount_decimal"]) * quantity)


def tier_amount(tier: Json, quantity: int) -> Decimal:
    """What a quantity costs at one tier's rates."""
    flat, unit = Decimal(tier["flat_amount_decimal"] or 0), Decimal(tier["unit_amount_decimal"] or 0)
    return flat + unit * quantity


def volume(tiers: list[Json], quantity: int) -> Decimal:
    """All units at the rate of the tier in which the whole quantity falls."""
    chosen = next(tier for tier in tiers if tier["up_to"] is None or quantity <= tier["up_to"])
    return tier_amount(chosen, quantity)


def graduated(tiers: list[Json], quantity: int) -> Decimal:
    """Each unit at the rate of the tier in which it falls; a tier that is entered charges its flat amount once."""
    total, below = Decimal(0), 0
    for index, tier in enumerate(tiers):
        if quantity <= below and index > 0:
            break
        top = quantity if tier["up_to"] is None else min(quantity, tier["up_to"])
        total += tier_amount(tier, max(top - below, 0))
        below = top
        if tier["up_to"] is None or quantity <= tier["up_to"]:
            break
    return total


def discounted(coupon: Json, amount: int) -> int:
    """How much a coupon takes off an amount; never more than the amount itself."""
    if coupon["percent_off"] is not None:
        return rounded(Decimal(amount) * Decimal(str(coupon["percent_off"])) / 100)
    return min(int(coupon["amount_off"]), amount)


def step(anchor: int, recurring: Json, periods: int) -> int:
    """The moment a number of periods after an anchor; a month's 31st becomes the last day of shorter months."""
    start = datetime.fromtimestamp(anchor, UTC)
    count = recurring["interval_count"] * periods
    if recurring["interval"] in DAYS:
        return int((start + timedelta(days=DAYS[recurring["interval"]] * count)).timestamp())
    months = start.month - 1 + MONTHS[recurring["interval"]] * count
    year, month = start.year + months // MONTHS_IN_YEAR, months % MONTHS_IN_YEAR + 1
    return int(start.replace(year=year, month=month, day=min(start.day, monthrange(year, month)[1])).timestamp())


def following(anchor: int, recurring: Json, after: int) -> int:
    """The first boundary of a period, counted from the anchor, that lies after a moment."""
    periods = 1
    while step(anchor, recurring, periods) <= after:
        periods += 1
    return step(anchor, recurring, periods)
