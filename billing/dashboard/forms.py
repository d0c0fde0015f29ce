"""Forms about the catalogue. What is entered goes through the API's own checks afterwards."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms

from accounts.templatetags.pages import rhythm
from billing.models import Feature
from billing.serializers.catalogue import UsageInput
from billing.services.features import KEY
from stackbe.kernel.currencies import digits_of, in_minor_units, in_units, no_such_coin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billing.models import Plan, PlanVersion, Price
    from usage.models import Metric

CURRENCIES = ("usd", "eur", "gbp", "chf", "cad", "aud", "sek", "nok", "dkk", "pln", "jpy", "inr", "brl")
METERED = Feature.Type.METERED.value
KINDS = [
    ("boolean", "On or off"),
    ("number", "A number"),
    ("string", "A text"),
    ("list", "A list of texts"),
    (METERED, "Metered: counted by a metric"),
]
NO_LIMIT = "Empty: without limit, as it is now."
INTERVALS = [("month", "a month"), ("year", "a year"), ("week", "a week"), ("one_time", "once")]


def price_field(decimal_places: int = 2) -> forms.DecimalField:
    """Return the field of an amount that has so many digits after the point at most."""
    most = Decimal(10**9)
    note = "0 makes it a free plan."
    return forms.DecimalField(label="Price", min_value=0, max_value=most, decimal_places=decimal_places, help_text=note)


def currency_field(codes: Sequence[str] = CURRENCIES) -> forms.ChoiceField:
    """Return the field that offers currencies."""
    return forms.ChoiceField(label="Currency", choices=[(code, code.upper()) for code in codes])


def interval_field(intervals: Sequence[tuple[str, str]] = INTERVALS) -> forms.ChoiceField:
    """Return the field that offers how often a price is charged."""
    return forms.ChoiceField(label="Charged", choices=intervals)


def refuse_other_coins(form: forms.Form, field: str) -> None:
    """Refuse an amount in a field that the form's currency has no coins for: rounding it would charge another one."""
    amount, currency = form.cleaned_data.get(field), form.cleaned_data.get("currency")
    if amount is not None and currency and in_minor_units(amount, currency) is None:
        form.add_error(field, no_such_coin(currency))


class PlanForm(forms.Form):
    """A plan: its price, and a field for each of the app's features and metrics.

    `standing` is the version that is edited. What it says and the form has no field for (what overage costs, limits by
    the day, tiers, further prices, "no limit") stays as it is, and so does what nobody touched: a currency or a rhythm
    that the form does not offer for a new plan, a text of a list that has a comma of its own.
    """

    name = forms.CharField(
        label="Name", max_length=120, widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "Pro"})
    )
    price = price_field()
    currency = currency_field()
    interval = interval_field()
    trial_days = forms.IntegerField(label="Trial (days)", min_value=0, max_value=730, initial=0)
    is_default = forms.BooleanField(
        label="Default plan",
        required=False,
        help_text="What customers have without subscribing. Its price must be 0, and an app has one.",
    )

    def __init__(
        self,
        *args: Any,
        features: Sequence[Feature],
        metrics: Sequence[Metric],
        standing: PlanVersion | None = None,
        **kwargs: Any,
    ) -> None:
        """Add the fields of what this app grants and counts."""
        super().__init__(*args, **kwargs)
        self.granted = standing.entitlements if standing else {}
        self.features = [feature for feature in features if feature.type != Feature.Type.METERED]
        self.metered = [feature for feature in features if feature.type == Feature.Type.METERED]
        self.metrics = list(metrics)
        self.allowances = allowances_of(standing, self.metered) if standing else {}
        prices = standing.live_prices() if standing else []
        self.further_prices = len(prices[1:])
        self.is_tiered = bool(prices and prices[0].tiers)
        if self.is_tiered:
            for name in ("price", "currency", "interval"):
                del self.fields[name]
        elif prices:
            self._offer(prices[0])
        for feature in self.features:
            self.fields[f"feature_{feature.key}"] = feature_field(feature)
            if self.has_no_limit(feature.key):
                self.fields[f"feature_{feature.key}"].help_text = NO_LIMIT
        for metric in self.metrics:
            label = f"{metric.name} included"
            self.fields[f"metric_{metric.name}"] = forms.IntegerField(
                label=label,
                required=False,
                min_value=0,
                help_text=NO_LIMIT if self.counts_without_limit(metric.name) else "Empty: not part of this plan.",
            )
            self.fields[f"mode_{metric.name}"] = forms.ChoiceField(
                label=f"{metric.name} beyond that",
                choices=[("hard", "Refused"), ("soft", "Allowed, and told")],
                required=False,
            )

    def _offer(self, price: Price) -> None:
        """Let the fields hold what the plan costs now, also where a new plan is not offered that."""
        if price.currency not in CURRENCIES:
            self.fields["currency"] = currency_field([price.currency, *CURRENCIES])
        if digits_of(price.currency) > digits_of("usd"):
            self.fields["price"] = price_field(digits_of(price.currency))
        if (charged := interval_of(price)) not in dict(INTERVALS):
            self.fields["interval"] = interval_field([(charged, rhythm(price)), *INTERVALS])

    def clean(self) -> dict[str, Any]:
        """Refuse a price that its currency has no coins for."""
        refuse_other_coins(self, "price")
        return self.cleaned_data

    def has_no_limit(self, key: str) -> bool:
        """Say whether the plan grants a feature without limit."""
        return key in self.granted and self.granted[key] is None

    def counts_without_limit(self, metric: str) -> bool:
        """Say whether the plan allows as much of a metric as one likes."""
        return metric in self.allowances and self.allowances[metric]["included"] is None

    def price_fields(self) -> list[forms.BoundField]:
        """Return what a plan costs."""
        return [self[name] for name in ("price", "currency", "interval", "trial_days") if name in self.fields]

    def feature_fields(self) -> list[forms.BoundField]:
        """Return one field per feature."""
        return [self[f"feature_{feature.key}"] for feature in self.features]

    def metric_fields(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        """Return two fields per metric: how much, and what happens beyond."""
        return [(self[f"metric_{metric.name}"], self[f"mode_{metric.name}"]) for metric in self.metrics]

    def as_asked(self) -> dict[str, Any]:
        """Return the arguments of `create_plan` and `update_plan`."""
        entered = self.cleaned_data
        usage = [row for metric in self.metrics if (row := self._allowance(metric.name)) is not None]
        return {
            "name": entered["name"],
            **self._price(),
            "trial_days": entered["trial_days"],
            "is_default": entered["is_default"],
            "entitlements": self._entitlements(usage),
            "usage": usage,
        }

    def _price(self) -> dict[str, Any]:
        if self.is_tiered:
            return {}
        entered = self.cleaned_data
        interval, _, number = entered["interval"].partition(":")
        return {
            "price_cents": in_minor_units(entered["price"], entered["currency"]),
            "currency": entered["currency"],
            "interval": interval,
            "interval_count": int(number or 1),
        }

    def _allowance(self, metric: str) -> dict[str, Any] | None:
        """Return what the plan allows of a metric; None where that is no part of it."""
        included, mode = self.cleaned_data[f"metric_{metric}"], self.cleaned_data[f"mode_{metric}"] or "hard"
        if included is None and not self.counts_without_limit(metric):
            return None
        kept: dict[str, Any] = {}
        if metric in self.allowances:
            known = UsageInput(data=self.allowances[metric])
            known.is_valid(raise_exception=True)
            kept = dict(known.validated_data)
        if mode != "soft":
            kept = {name: value for name, value in kept.items() if name not in {"overage", "spend_cap_cents"}}
        return kept | {"metric": metric, "included": included, "mode": mode}

    def _entitlements(self, usage: Sequence[dict[str, Any]]) -> dict[str, Any]:
        granted: dict[str, Any] = {}
        for feature in self.features:
            value = self.cleaned_data[f"feature_{feature.key}"]
            if feature.key in self.granted and value == in_form(self.granted[feature.key]):
                granted[feature.key] = self.granted[feature.key]
            elif value not in (None, "", []):
                granted[feature.key] = feature_value(feature, value)
            elif self.has_no_limit(feature.key):
                granted[feature.key] = None
        included = {row["metric"]: row["included"] for row in usage}
        for feature in self.metered:
            if feature.metric in included:
                granted[feature.key] = included[feature.metric]
            elif not feature.metric and feature.key in self.granted:
                granted[feature.key] = self.granted[feature.key]
        return granted


class FeatureForm(forms.Form):
    """A key that plans may grant."""

    key = forms.RegexField(
        rf"^{KEY.pattern}\Z",
        label="Key",
        max_length=64,
        error_messages={"invalid": "Begin with a letter or digit; _ . : - may follow too, and no space."},
        help_text="What your code asks for, such as priority_support.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    type = forms.ChoiceField(
        label="Kind",
        choices=KINDS,
    )
    metric = forms.ChoiceField(label="Metric", required=False, help_text="What a metered feature is counted by.")

    def __init__(self, *args: Any, metrics: Sequence[Metric], **kwargs: Any) -> None:
        """Offer the app's metrics."""
        super().__init__(*args, **kwargs)
        self.fields["metric"].choices = [("", "None"), *((m.name, m.name) for m in metrics)]  # type: ignore[attr-defined]  # a ChoiceField

    def clean(self) -> dict[str, Any]:
        """Refuse a metered feature that nothing counts: plans could grant it, and no check would ever allow it."""
        entered = self.cleaned_data
        if entered.get("type") == METERED and not entered.get("metric"):
            self.add_error("metric", "Choose the metric that it is counted by. Metrics are made on the page Usage.")
        return entered

    def as_asked(self) -> dict[str, Any]:
        """Return the arguments of `create_feature`."""
        entered = self.cleaned_data
        metered = entered["type"] == METERED
        metric = (entered["metric"] or None) if metered else None
        return {"key": entered["key"], "type": entered["type"], "metric": metric}


def feature_field(feature: Feature) -> forms.Field:
    """Return the form field in which a plan's value of a feature is entered."""
    label = feature.name
    if feature.type == Feature.Type.BOOLEAN:
        return forms.BooleanField(label=label, required=False)
    if feature.type == Feature.Type.NUMBER:
        return forms.DecimalField(label=label, required=False, help_text="Empty: not part of this plan.")
    if feature.type == Feature.Type.LIST:
        return forms.CharField(label=label, required=False, help_text="Parted by commas.")
    return forms.CharField(label=label, required=False, max_length=255)


def feature_value(feature: Feature, entered: Any) -> Any:
    """Return what a plan grants for what was entered."""
    if feature.type == Feature.Type.NUMBER:
        return int(entered) if entered == int(entered) else float(entered)
    if feature.type == Feature.Type.LIST:
        return [part.strip() for part in entered.split(",") if part.strip()]
    return entered


def initial_of(plan: Plan, version: PlanVersion, features: Sequence[Feature]) -> dict[str, Any]:
    """Return a plan as its form shows it."""
    price = version.live_prices()[0]
    shown: dict[str, Any] = {
        "name": plan.name,
        "price": in_units(price.unit_amount_cents or 0, price.currency),
        "currency": price.currency,
        "interval": interval_of(price),
        "trial_days": version.trial_days,
        "is_default": plan.is_default,
    }
    for feature in features:
        shown[f"feature_{feature.key}"] = in_form(version.entitlements.get(feature.key))
    for metric, row in allowances_of(version, features).items():
        shown[f"metric_{metric}"] = row.get("included")
        shown[f"mode_{metric}"] = row.get("mode", "hard")
    return shown


def allowances_of(version: PlanVersion, features: Sequence[Feature]) -> dict[str, dict[str, Any]]:
    """Return what a plan allows of each metric, whether `usage` says so or the entitlement of a metered feature."""
    granted = version.entitlements
    spelled = {
        feature.metric: {"metric": feature.metric, "included": granted[feature.key], "mode": "hard"}
        for feature in features
        if feature.type == METERED and feature.metric and feature.key in granted
    }
    return spelled | {row["metric"]: row for row in version.usage}


def in_form(value: Any) -> Any:
    """Return a plan's value of a feature as its field shows it."""
    return ", ".join(value) if isinstance(value, list) else value


def interval_of(price: Price) -> str:
    """Return how often a price is charged, as the form's choice is called: `month`, `month:3`."""
    return price.interval if price.interval_count == 1 else f"{price.interval}:{price.interval_count}"
