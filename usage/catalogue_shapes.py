"""Shapes of the catalogue's document, and of what putting one changes."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.serializers import Name
from billing.models import Feature, Price
from billing.serializers.catalogue import (
    ID_LENGTH,
    MOST_ADD_ONS,
    FeatureInput,
    OverageOutput,
    PackOutput,
    PlanContents,
    Slug,
    TaxCode,
    UsageAllowanceOutput,
)
from billing.services.catalogue import SLUG_LENGTH
from stackbe.kernel.serializers import Boolean, Input, Integer, Metadata, Output, Query, QueryBoolean, Text
from usage.models import Metric
from usage.serializers import MetricInput

MOST_ROWS = 1000
DESCRIPTION_LENGTH = 1000


def many(shape: type[serializers.BaseSerializer[Any]]) -> Any:
    """Return a section of the document."""
    return serializers.ListSerializer(child=shape(), required=False, max_length=MOST_ROWS)


class ProductRow(Input):
    """A product, by a slug of the developer's choosing."""

    slug = Slug(max_length=SLUG_LENGTH)
    name = Name()
    description = Text(required=False, allow_blank=True, max_length=DESCRIPTION_LENGTH)
    tax_code = TaxCode(required=False)
    metadata = Metadata(required=False)


class PlanRow(PlanContents):
    """A plan. What it leaves out is as it would be in a new one."""

    slug = Slug(max_length=SLUG_LENGTH)
    name = Name()
    product = Slug(required=False, max_length=SLUG_LENGTH)
    add_ons = serializers.ListField(child=Slug(max_length=SLUG_LENGTH), required=False, max_length=MOST_ADD_ONS)


class CatalogueInput(Input):
    """The whole catalogue, or some sections of it."""

    metrics = many(MetricInput)
    features = many(FeatureInput)
    products = many(ProductRow)
    plans = many(PlanRow)


class CatalogueQuery(Query):
    """Whether to say only what would change."""

    dry_run = QueryBoolean(required=False)


class MetricRowOutput(Output):
    """A metric."""

    name = Text()
    aggregation = serializers.ChoiceField(choices=Metric.Aggregation.choices)
    unit = Text(allow_blank=True)
    resets = serializers.ChoiceField(choices=Metric.Resets.choices)
    thresholds = serializers.ListField(child=Integer())


class FeatureRowOutput(Output):
    """A feature."""

    key = Text()
    name = Text()
    type = serializers.ChoiceField(choices=Feature.Type.choices)
    metric = Text(required=False)


class ProductRowOutput(Output):
    """A product."""

    slug = Text()
    name = Text()
    description = Text(allow_blank=True)
    tax_code = Text(required=False)
    metadata = Metadata()


class PriceRowOutput(OverageOutput):
    """One way to pay for a plan."""

    currency = Text()
    interval = serializers.ChoiceField(choices=Price.Interval.choices)
    interval_count = Integer()
    tax_behavior = serializers.ChoiceField(choices=Price.TaxBehavior.choices, required=False)


class PlanRowOutput(Output):
    """A plan in its newest version."""

    slug = Text()
    name = Text()
    product = Text(max_length=ID_LENGTH)
    prices = PriceRowOutput(many=True)
    trial_days = Integer()
    trial_requires_card = Boolean()
    usage = UsageAllowanceOutput(many=True)
    credits = PackOutput(many=True)
    seats = Integer(allow_null=True)
    add_ons = serializers.ListField(child=Text())
    entitlements = Metadata()
    is_default = Boolean()


class CatalogueOutput(Output):
    """What an app sells, by the names that its developer gave."""

    metrics = MetricRowOutput(many=True)
    features = FeatureRowOutput(many=True)
    products = ProductRowOutput(many=True)
    plans = PlanRowOutput(many=True)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the shape above, which the document has already."""
        return dict(instance)


class DocumentChangeOutput(Output):
    """One difference. `before` and `after` hold the fields that differ.

    `subscribers` is how many have the plan now; `newVersion` is the one that they do not get.
    """

    kind = serializers.ChoiceField(choices=("metric", "feature", "product", "plan"))
    key = Text()
    action = serializers.ChoiceField(choices=("create", "update", "archive"))
    before = Metadata(required=False)
    after = Metadata(required=False)
    subscribers = Integer(required=False)
    new_version = Integer(required=False)


class DifferenceOutput(Output):
    """What a document changes, or would."""

    dry_run = Boolean()
    changed = Boolean()
    changes = DocumentChangeOutput(many=True)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the shape above, which the service speaks already."""
        return dict(instance)
