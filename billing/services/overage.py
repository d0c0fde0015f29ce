"""What usage beyond a plan's allowance costs, and how much of it a spend cap lets through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST_UNITS = 2**53 - 1


def cost_of(overage: Mapping[str, Any], units: int) -> int:
    """Return what so many units beyond the allowance cost, in minor units of the plan's currency.

    `overage` is in the API's own spelling. A package counts whole once it is begun.
    """
    if units <= 0:
        return 0
    scheme, amount = overage.get("scheme", "flat"), overage.get("unitAmountCents", 0)
    if scheme == "package":
        return int(-(-units // overage["packageSize"]) * amount)
    if scheme == "volume":
        tier = next(t for t in overage["tiers"] if t["upTo"] is None or units <= t["upTo"])
        return int(units * tier["unitAmountCents"] + tier["flatAmountCents"])
    if scheme == "graduated":
        total, below = 0, 0
        for tier in overage["tiers"]:
            if units <= below:
                break
            within = units - below if tier["upTo"] is None else min(units, tier["upTo"]) - below
            total += within * tier["unitAmountCents"] + tier["flatAmountCents"]
            below += within
        return int(total)
    return int(units * amount)


def units_within(overage: Mapping[str, Any], cap_cents: int) -> int:
    """Return the most units of which none on the way to them costs more than the cap.

    A volume price may fall as the quantity grows; counting stops where it first passes the cap.
    """
    most = 0
    for begins, ends in _stretches(overage):
        if cost_of(overage, begins) > cap_cents:
            return most
        low, high = begins, ends
        while low < high:  # within a stretch the cost only rises
            middle = (low + high + 1) // 2
            if cost_of(overage, middle) <= cap_cents:
                low = middle
            else:
                high = middle - 1
        most = low
        if most < ends:
            return most
    return most


def _stretches(overage: Mapping[str, Any]) -> list[tuple[int, int]]:
    bounds = [tier["upTo"] or MOST_UNITS for tier in overage.get("tiers", ())] or [MOST_UNITS]
    return list(zip([1, *(bound + 1 for bound in bounds)], bounds, strict=False))
