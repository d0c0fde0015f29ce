"""What a version of a plan grants, worked out from its entitlements, its allowances and the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accounts.granted import counting
from billing.metrics import resets_by_metric
from billing.models import Feature
from billing.services.overage import units_within

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from billing.models import PlanVersion, Subscription
    from stackbe.kernel.scope import Scope

DEFAULT_RESET = "billing_period"


@dataclass(frozen=True, slots=True)
class Grants:
    """Values by feature, and limits `{included, mode, resets, windows, rollover, overageCap}` by metric."""

    entitlements: dict[str, Any]
    limits: dict[str, Any]

    def beside(self, add_on: Grants, times: int) -> Grants:
        """Return these together with what an add-on grants that was bought so many times.

        Numbers and allowances add up, no limit stays none, lists join, a switch that either turns on is on, and a
        text is the add-on's. A metric's other terms are the plan's.
        """
        entitlements, limits = dict(self.entitlements), dict(self.limits)
        for feature, value in add_on.entitlements.items():
            more = _times(value, times)
            entitlements[feature] = _joined(entitlements[feature], more) if feature in entitlements else more
        for metric, limit in add_on.limits.items():
            more = _times(limit["included"], times)
            standing = limits.get(metric)
            limits[metric] = (standing or limit) | {
                "included": _joined(standing["included"], more) if standing else more
            }
        return Grants(entitlements, limits)


def _times(value: Any, times: int) -> Any:
    return value * times if isinstance(value, int | float) and not isinstance(value, bool) else value


def _joined(base: Any, more: Any) -> Any:
    """Return what two values of one feature come to."""
    if base is None or more is None:
        return None
    if isinstance(base, bool) or isinstance(more, bool):
        return base or more
    if isinstance(base, int | float) and isinstance(more, int | float):
        return base + more
    if isinstance(base, list) and isinstance(more, list):
        return [*base, *(each for each in more if each not in base)]
    return more


NOTHING = Grants({}, {})


class Catalogue:
    """An app's metered features and when its metrics reset, read once for many plans."""

    def __init__(self, scope: Scope) -> None:
        """Read them."""
        # The live one of a key comes last, and stands in the place of those that were archived.
        rows = Feature.objects.within(scope).order_by("archived_at", "key")
        features = {row.key: row for row in rows.only("key", "type", "metric", "archived_at")}
        self.metered = {key: row for key, row in features.items() if row.type == Feature.Type.METERED and row.metric}
        self.resets = resets_by_metric(scope)

    def grants_of(self, version: PlanVersion, quantity: int = 1) -> Grants:
        """Return what a subscriber of a version has.

        A metered feature and its metric's allowance are two spellings of one number: whichever the
        plan gives stands for both. A metric without a feature is granted under its own name, so that
        it can be asked for like one. A feature that was archived stands for what versions that name it
        still grant. Seats count once per unit bought.
        """
        entitlements = dict(version.entitlements)
        limits = {row["metric"]: self._limit(row) for row in version.usage}
        metric_of = {
            key: row.metric for key, row in self.metered.items() if row.archived_at is None or key in entitlements
        }
        for key, metric in metric_of.items():
            if metric not in limits and key in entitlements:
                allowance = {"metric": metric, "included": entitlements[key], "mode": "hard"}
                limits[metric] = self._limit(allowance)
        for key, metric in metric_of.items():
            if metric in limits:
                entitlements[key] = limits[metric]["included"]
        featured = set(metric_of.values())
        for metric, limit in limits.items():
            if metric not in featured:
                entitlements.setdefault(metric, limit["included"])
        if version.seats is not None:
            entitlements["seats"] = version.seats * quantity
        return Grants(entitlements, limits)

    def _limit(self, row: dict[str, Any]) -> dict[str, Any]:
        limit = {
            "included": row["included"],
            "mode": row["mode"],
            "resets": self.resets.get(row["metric"], DEFAULT_RESET),
        }
        if row.get("windows"):
            limit["windows"] = row["windows"]
        if row.get("rollover"):
            limit["rollover"] = row["rollover"]
        if row.get("spendCapCents") is not None:
            limit["overageCap"] = units_within(row["overage"], row["spendCapCents"])
        return limit


def with_add_ons(catalogue: Catalogue, grants: Grants, add_ons: Sequence[Subscription]) -> Grants:
    """Return what a plan grants together with its add-ons."""
    for row in add_ons:
        grants = grants.beside(catalogue.grants_of(row.plan_version), row.quantity)
    return grants


def beside_plan(
    catalogue: Catalogue, grants: Grants, plan_ends: datetime | None, add_ons: Sequence[Subscription]
) -> dict[str, Any]:
    """Return by feature what add-ons make of the plan's values, and what is left of it as one after the other ends."""
    found: dict[str, Any] = {}
    ends = {row.access_until for row in add_ons if row.access_until is not None}
    stretches = sorted(end for end in ends if plan_ends is None or end < plan_ends)
    for until in (plan_ends, *reversed(stretches)):
        running = [row for row in add_ons if row.access_until is None or (until and row.access_until >= until)]
        for feature, value in with_add_ons(catalogue, grants, running).entitlements.items():
            behind = found.get(feature)
            if behind is None and feature in grants.entitlements and grants.entitlements[feature] == value:
                continue
            if behind is None or behind["value"] != value:
                grant = {"value": value, "until": until and until.isoformat(), "source": "addon"}
                found[feature] = layered(grant, until, behind)
    return found


def layered(grant: dict[str, Any], ends: datetime | None, behind: dict[str, Any] | None) -> dict[str, Any]:
    """Return a grant with what of another counts once it has ended."""
    then = counting(behind, ends) if ends is not None else None
    return grant | ({"then": then} if then is not None else {})
