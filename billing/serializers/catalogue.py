"""Shapes of features, products and plans."""

from __future__ import annotations

import re
from typing import Any

from rest_framework import serializers

from accounts.serializers import Name
from billing.events import plan_as_event
from billing.models import Feature, Plan, Price
from billing.services.features import KEY
from stackbe.kernel.serializers import (
    Boolean,
    Input,
    Integer,
    Metadata,
    Output,
    PageQuery,
    Pattern,
    PublicId,
    QueryBoolean,
    Text,
)

LARGEST_AMOUNT = 99_999_999  # eight digits, as Stripe takes
LARGEST_INTERVAL = 156
LARGEST_PACKAGE = 1_000_000_000
LONGEST_TRIAL = 730
MOST_PRICES = 20
MOST_TIERS = 50
LARGEST_PACK = 1_000_000_000
LONGEST_CREDIT_DAYS = 3650
MOST_METRICS = 100
MOST_WINDOWS = 4
MOST_KEYS = 200
MOST_ADD_ONS = 50
KEY_LENGTH = 64
ID_LENGTH = 40
SCHEMES = Price.Scheme.choices
MODES = ("hard", "soft")
WINDOWS = ("day", "hour")


class Key(Text):
    """The key of a feature or the name of a metric: it stands in URLs and in code."""

    def __init__(self, **kwargs: Any) -> None:
        """Bound it."""
        kwargs.setdefault("max_length", KEY_LENGTH)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Return the key."""
        text = super().to_internal_value(data)
        if not KEY.fullmatch(text):
            raise serializers.ValidationError("Must be letters, digits and _ . : - without spaces.")
        return text


class Slug(Text):
    """A plan's short name in code."""

    def to_internal_value(self, data: Any) -> str:
        """Return the slug."""
        text = super().to_internal_value(data)
        if not re.fullmatch(r"[a-z0-9]+([_\-][a-z0-9]+)*", text):
            raise serializers.ValidationError("Must be lower-case letters and digits, joined by - or _.")
        return text


class Entitlements(Metadata):
    """Values by feature key. That they fit the features is the service's to say."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Return the object."""
        values = super().to_internal_value(data)
        if len(values) > MOST_KEYS:
            raise serializers.ValidationError(f"At most {MOST_KEYS} keys.")
        return values


class FeatureInput(Input):
    """A key that plans may grant."""

    key = Key()
    name = Name(required=False)
    type = serializers.ChoiceField(choices=Feature.Type.choices)
    metric = Key(required=False, allow_null=True)


class FeaturePatch(Input):
    """A change of a feature; its key and type are fixed, since plans were checked by them."""

    name = Name(required=False)
    metric = Key(required=False, allow_null=True)


class FeatureOutput(Output):
    """A feature as the API shows it. `metric` stands on metered ones that have one."""

    id = Text()
    key = Text()
    name = Text()
    type = serializers.ChoiceField(choices=Feature.Type.choices)
    metric = Text(required=False)

    def to_representation(self, instance: Feature) -> dict[str, Any]:
        """Return the shape above."""
        shown = {
            "id": instance.public_id,
            "key": instance.key,
            "name": instance.name,
            "type": instance.type,
        }
        return shown | ({"metric": instance.metric} if instance.metric else {})


class TaxCode(Pattern):
    """One of Stripe's tax codes; empty for the account's own default."""

    def __init__(self, **kwargs: Any) -> None:
        """Bound it."""
        super().__init__(
            r"^(txcd_[0-9]{8})?\Z",
            "Must be one of Stripe's tax codes, such as txcd_10103001, or empty.",
            max_length=20,
            allow_blank=True,
            **kwargs,
        )


class ProductInput(Input):
    """Something to sell."""

    name = Name()
    description = Text(required=False, allow_blank=True, max_length=1000)
    tax_code = TaxCode(required=False)
    active = Boolean(required=False)
    metadata = Metadata(required=False)


class ProductPatch(ProductInput):
    """A change of a product; metadata merges, and null deletes a key."""

    name = Name(required=False)


class ProductOutput(Output):
    """A product as the API shows it."""

    id = Text()
    name = Text()
    description = Text(allow_blank=True)
    tax_code = Text(required=False)
    active = Boolean()
    metadata = Metadata()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the shape above."""
        shown = {
            "id": instance.public_id,
            "name": instance.name,
            "description": instance.description,
            "active": instance.active,
            "metadata": instance.metadata or {},
        }
        return shown | ({"taxCode": instance.tax_code} if instance.tax_code else {})


class TierInput(Input):
    """A stretch of quantities and what a unit of it, and the stretch as a whole, cost."""

    up_to = Integer(min_value=1, allow_null=True)
    unit_amount_cents = Integer(min_value=0, max_value=LARGEST_AMOUNT, required=False)
    flat_amount_cents = Integer(min_value=0, max_value=LARGEST_AMOUNT, required=False)


class OverageInput(Input):
    """What a unit beyond the included ones costs."""

    scheme = serializers.ChoiceField(choices=SCHEMES, required=False)
    unit_amount_cents = Integer(min_value=0, max_value=LARGEST_AMOUNT, required=False)
    tiers: serializers.ListSerializer[Any] = serializers.ListSerializer(
        child=TierInput(), required=False, max_length=MOST_TIERS
    )
    package_size = Integer(min_value=1, max_value=LARGEST_PACKAGE, required=False)


class PriceInput(OverageInput):
    """One way to pay for a plan."""

    currency = Text(min_length=3, max_length=3)
    interval = serializers.ChoiceField(choices=Price.Interval.choices, required=False)
    interval_count = Integer(min_value=1, max_value=LARGEST_INTERVAL, required=False)
    tax_behavior = serializers.ChoiceField(choices=Price.TaxBehavior.choices, required=False)


class WindowInput(Input):
    """A limit inside the period: so many a day, so many an hour."""

    per = serializers.ChoiceField(choices=WINDOWS)
    limit = Integer(min_value=0)


class RolloverInput(Input):
    """Units left of a period that the next one begins with, at most so many; null is all of them."""

    max = Integer(min_value=1, allow_null=True, required=False)


class UsageInput(Input):
    """What a plan includes of a metric; null is "without limit"."""

    metric = Key()
    included = Integer(min_value=0, allow_null=True)
    mode = serializers.ChoiceField(choices=MODES, required=False)
    overage = OverageInput(required=False, allow_null=True)
    windows: serializers.ListSerializer[Any] = serializers.ListSerializer(
        child=WindowInput(), required=False, max_length=MOST_WINDOWS
    )
    rollover = RolloverInput(required=False, allow_null=True)
    spend_cap_cents = Integer(min_value=0, max_value=LARGEST_AMOUNT, required=False, allow_null=True)


class CreditsInput(Input):
    """Units of a metric that a pack ends in, and how long they are good for; null is for ever."""

    metric = Key()
    quantity = Integer(min_value=1, max_value=LARGEST_PACK)
    expires_in_days = Integer(min_value=1, max_value=LONGEST_CREDIT_DAYS, required=False, allow_null=True)


class PlanContents(Input):
    """What a plan costs, by its short price or all `prices`, and what it includes."""

    price_cents = Integer(required=False, min_value=0, max_value=LARGEST_AMOUNT)
    currency = Text(required=False, min_length=3, max_length=3)
    interval = serializers.ChoiceField(choices=Price.Interval.choices, required=False)
    interval_count = Integer(required=False, min_value=1, max_value=LARGEST_INTERVAL)
    trial_days = Integer(required=False, min_value=0, max_value=LONGEST_TRIAL)
    trial_requires_card = Boolean(required=False)
    prices: serializers.ListSerializer[Any] = serializers.ListSerializer(
        child=PriceInput(), required=False, max_length=MOST_PRICES
    )
    usage: serializers.ListSerializer[Any] = serializers.ListSerializer(
        child=UsageInput(), required=False, max_length=MOST_METRICS
    )
    credits: serializers.ListSerializer[Any] = serializers.ListSerializer(
        child=CreditsInput(), required=False, max_length=MOST_METRICS
    )
    seats = Integer(required=False, allow_null=True, min_value=1, max_value=1_000_000)
    entitlements = Entitlements(required=False)
    is_default = Boolean(required=False)


class PlanPatch(PlanContents):
    """A change of a plan: what it costs and includes, and how it is offered."""

    name = Name(required=False)
    product_id = Text(required=False, max_length=ID_LENGTH)
    slug = Slug(required=False, max_length=80)
    add_ons = serializers.ListField(child=PublicId("plan"), required=False, max_length=MOST_ADD_ONS)
    active = Boolean(required=False)


class PlanInput(PlanPatch):
    """A new plan."""

    name = Name()


class TierOutput(Output):
    """A stretch of quantities."""

    up_to = Integer(allow_null=True)
    unit_amount_cents = Integer()
    flat_amount_cents = Integer()


class OverageOutput(Output):
    """What a unit beyond the included ones costs."""

    scheme = serializers.ChoiceField(choices=SCHEMES)
    unit_amount_cents = Integer(required=False)
    tiers = TierOutput(many=True, required=False)
    package_size = Integer(required=False)


class PriceOutput(OverageOutput):
    """One way to pay for a plan."""

    id = Text()
    currency = Text()
    interval = serializers.ChoiceField(choices=Price.Interval.choices)
    interval_count = Integer()
    tax_behavior = serializers.ChoiceField(choices=Price.TaxBehavior.choices, required=False)
    stripe_price_id = Text(allow_null=True)


class WindowOutput(Output):
    """A limit inside the period."""

    per = serializers.ChoiceField(choices=WINDOWS)
    limit = Integer()


class RolloverOutput(Output):
    """Units left of a period that the next one begins with."""

    max = Integer(allow_null=True)


class UsageAllowanceOutput(Output):
    """What a plan includes of a metric."""

    metric = Text()
    included = Integer(allow_null=True)
    mode = serializers.ChoiceField(choices=MODES)
    overage = OverageOutput(required=False)
    windows = WindowOutput(many=True, required=False)
    rollover = RolloverOutput(required=False)
    spend_cap_cents = Integer(required=False)


class PackOutput(Output):
    """Units of a metric that a pack ends in."""

    metric = Text()
    quantity = Integer()
    expires_in_days = Integer(allow_null=True)


class PlanOutput(Output):
    """A plan in one of its versions; `priceCents` (null where it has tiers) is the first price's."""

    id = Text()
    product_id = Text()
    name = Text()
    slug = Text()
    price_cents = Integer(allow_null=True)
    currency = Text()
    interval = serializers.ChoiceField(choices=Price.Interval.choices)
    interval_count = Integer()
    trial_days = Integer()
    trial_requires_card = Boolean()
    prices = PriceOutput(many=True)
    usage = UsageAllowanceOutput(many=True)
    credits = PackOutput(many=True)
    seats = Integer(allow_null=True)
    add_ons = serializers.ListField(child=Text())
    entitlements = Metadata()
    is_default = Boolean()
    active = Boolean()
    stripe_price_id = Text(allow_null=True)
    version = Integer()

    def to_representation(self, instance: Plan) -> dict[str, Any]:
        """Return the shape above."""
        return plan_as_event(instance)


class PlansQuery(PageQuery):
    """What the list of plans can be narrowed by."""

    active = QueryBoolean(required=False)
    product_id = Text(required=False, max_length=ID_LENGTH)


class ProductsQuery(PageQuery):
    """What the list of products can be narrowed by."""

    active = QueryBoolean(required=False)
