"""What a price may be, and when an edit of a plan is an edit of its price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from billing.models import Price
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.serializers import camel

MOST_PRICES = 20
TIERED = frozenset({"graduated", "volume"})
# Stripe takes at most three years between two charges.
LONGEST = {"month": 36, "year": 3, "week": 156, "one_time": 1}
SHORT_FORM = ("price_cents", "currency", "interval", "interval_count")
_CODES = (
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd btn bwp byn bzd"
    " cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel ghs gip gmd gnf gtq"
    " gyd hkd hnl htg huf idr ils inr iqd isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd"
    " lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php"
    " pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd"
    " twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw"
)
CURRENCIES = frozenset(_CODES.split())


@dataclass(frozen=True, slots=True)
class PriceSpec:
    """What is charged, in what rhythm. Amounts are minor units; tiers are in the API's spelling."""

    currency: str
    interval: str = "month"
    interval_count: int = 1
    scheme: str = "flat"
    unit_amount_cents: int | None = None
    tiers: tuple[dict[str, Any], ...] = ()
    package_size: int | None = None
    tax_behavior: str = ""

    @property
    def free(self) -> bool:
        """Say whether nothing is ever charged."""
        tiered = any(t["unitAmountCents"] or t["flatAmountCents"] for t in self.tiers)
        return not self.unit_amount_cents and not tiered

    def columns(self) -> dict[str, Any]:
        """Return the values of a Price row."""
        return {**asdict(self), "tiers": [dict(tier) for tier in self.tiers]}


def spec_of(price: Price) -> PriceSpec:
    """Return what a row charges."""
    return PriceSpec(
        currency=price.currency,
        interval=price.interval,
        interval_count=price.interval_count,
        scheme=price.scheme,
        unit_amount_cents=price.unit_amount_cents,
        tiers=tuple(price.tiers),
        package_size=price.package_size,
        tax_behavior=price.tax_behavior,
    )


def asked_prices(asked: Mapping[str, Any], current: Sequence[PriceSpec]) -> list[PriceSpec]:
    """Return the prices that a plan shall have: those that are, with what is asked laid over.

    `prices` replaces all of them; the short form (`price_cents`, `currency`, `interval`,
    `interval_count`) changes the first. Raises `ValidationFailed`, each field named.
    """
    short = {name: asked[name] for name in SHORT_FORM if asked.get(name) is not None}
    if "prices" in asked and short:
        sentence = "Give either prices or the short form."
        raise ValidationFailed(fields={camel(name): [sentence] for name in short})
    if "prices" in asked:
        wanted = [_from_input(row, f"prices.{place}") for place, row in enumerate(asked["prices"])]
    elif short:
        wanted = [_short_form(short, current[0] if current else None), *current[1:]]
    else:
        wanted = list(current)
    if len(wanted) > MOST_PRICES:
        raise ValidationFailed(fields={"prices": [f"At most {MOST_PRICES} prices."]})
    if not wanted:
        raise ValidationFailed(fields={"priceCents": ["Give priceCents and currency, or prices."]})
    return wanted


def scheme_columns(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return `{scheme, unit_amount_cents, tiers, package_size}` if they fit together.

    Prices and overages share these rules. `where` is the path that an error names.
    """
    scheme = row.get("scheme", "flat")
    tiers = [_tier(tier) for tier in row.get("tiers") or []]
    amount, size = row.get("unit_amount_cents"), row.get("package_size")
    wrong: dict[str, list[str]] = {}
    if scheme in TIERED:
        wrong |= _wrong_tiers(tiers, f"{where}.tiers")
        if amount is not None:
            wrong[f"{where}.unitAmountCents"] = ["A tiered price has its amounts in its tiers."]
    else:
        if tiers:
            wrong[f"{where}.tiers"] = ["Only graduated and volume prices have tiers."]
        if amount is None:
            wrong[f"{where}.unitAmountCents"] = ["This field is required."]
    if (scheme == "package") != (size is not None):
        sentence = "This field is required." if size is None else "Only package prices have a size."
        wrong[f"{where}.packageSize"] = [sentence]
    if wrong:
        raise ValidationFailed(fields=wrong)
    return {"scheme": scheme, "unit_amount_cents": amount, "tiers": tiers, "package_size": size}


def _from_input(row: Mapping[str, Any], where: str) -> PriceSpec:
    shape = scheme_columns(row, where)
    spec = PriceSpec(
        currency=_currency(row["currency"], f"{where}.currency"),
        interval=row.get("interval", "month"),
        interval_count=row.get("interval_count", 1),
        tax_behavior=row.get("tax_behavior", ""),
        **(shape | {"tiers": tuple(shape["tiers"])}),
    )
    return _in_bounds(spec, where)


def _short_form(short: Mapping[str, Any], first: PriceSpec | None) -> PriceSpec:
    if first is None:
        missing = [name for name in ("price_cents", "currency") if name not in short]
        if missing:
            raise ValidationFailed(fields={camel(name): ["This field is required."] for name in missing})
        first = PriceSpec(currency=str(short["currency"]))
    if first.scheme in TIERED and "price_cents" in short:
        raise ValidationFailed(fields={"priceCents": ["This plan's price has tiers. Give prices instead."]})
    spec = replace(
        first,
        currency=_currency(short.get("currency", first.currency), "currency"),
        interval=short.get("interval", first.interval),
        interval_count=short.get("interval_count", first.interval_count),
        unit_amount_cents=short.get("price_cents", first.unit_amount_cents),
    )
    return _in_bounds(spec, "")


def _currency(text: str, where: str) -> str:
    code = text.lower()
    if code not in CURRENCIES:
        raise ValidationFailed(fields={where: ["Must be a three-letter ISO 4217 currency that Stripe takes."]})
    return code


def _in_bounds(spec: PriceSpec, where: str) -> PriceSpec:
    longest = LONGEST[spec.interval]
    if spec.interval_count > longest:
        name = f"{where}.intervalCount".lstrip(".")
        raise ValidationFailed(fields={name: [f"At most {longest} for the interval {spec.interval}."]})
    return spec


def _tier(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "upTo": row.get("up_to"),
        "unitAmountCents": row.get("unit_amount_cents", 0),
        "flatAmountCents": row.get("flat_amount_cents", 0),
    }


def _wrong_tiers(tiers: list[dict[str, Any]], where: str) -> dict[str, list[str]]:
    if not tiers:
        return {where: ["This field is required."]}
    bounds = [tier["upTo"] for tier in tiers]
    rising = all(bound is not None for bound in bounds[:-1]) and bounds[:-1] == sorted(set(bounds[:-1]))
    if not rising or bounds[-1] is not None:
        return {where: ["upTo must rise from tier to tier, and the last must be null."]}
    return {}
