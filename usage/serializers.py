"""Shapes of metrics, usage and checks."""

from __future__ import annotations

from rest_framework import serializers

from stackbe.kernel.serializers import (
    Input,
    Integer,
    Output,
    Pattern,
    PublicId,
    Query,
    QueryInteger,
    Text,
    Timestamp,
)
from usage.models import Metric

MOST_EVENTS = 1000
MOST_FEATURES = 100
FEATURE_KEY = r"^[A-Za-z0-9_.:-]{1,64}$"
METRIC_NAME = r"^[A-Za-z][A-Za-z0-9_.:-]{0,63}$"
METRIC_NAME_SENTENCE = "Begin with a letter; letters, digits and _ . : - may follow, and no space."


class MetricInput(Input):
    """A metric to define."""

    name = Pattern(METRIC_NAME, METRIC_NAME_SENTENCE, max_length=64)
    aggregation = serializers.ChoiceField(Metric.Aggregation.values, default="sum")
    unit = Text(max_length=40, required=False, default="", allow_blank=True)
    resets = serializers.ChoiceField(Metric.Resets.values, default="billing_period")


class MetricChange(Input):
    """What of a metric may change; its name is what apps send, so it stays."""

    aggregation = serializers.ChoiceField(Metric.Aggregation.values, required=False)
    unit = Text(max_length=40, required=False, allow_blank=True)
    resets = serializers.ChoiceField(Metric.Resets.values, required=False)


class MetricOutput(Output):
    """A metric."""

    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    aggregation = serializers.CharField()
    unit = serializers.CharField()
    resets = serializers.CharField()
    created_at = Timestamp()


class TrackInput(Input):
    """One thing that was used. There is no field for content."""

    customer_id = PublicId("cust")
    metric = Text(max_length=64)
    quantity = Integer(default=1, min_value=0, max_value=10**12)
    value = Text(max_length=128, required=False)
    idempotency_key = Text(max_length=255, required=False)
    timestamp = Timestamp(required=False)


class BatchInput(Input):
    """Up to 1,000 events."""

    events = TrackInput(many=True, allow_empty=False, max_length=MOST_EVENTS)  # type: ignore[call-arg]  # the list's


class Period(Output):
    """From when until when a count runs; `end` is null for a count that never resets."""

    start = serializers.CharField()
    end = serializers.CharField(allow_null=True)


class Standing(Output):
    """Figures on one metric. A null limit means none."""

    metric = serializers.CharField()
    current_usage = serializers.IntegerField()
    limit = serializers.IntegerField(allow_null=True)
    remaining = serializers.IntegerField(allow_null=True)
    billing_period = Period()
    resets_at = serializers.CharField(allow_null=True)


class TrackOutput(Standing):
    """The reply to a call that was counted."""

    success = serializers.BooleanField()
    allowed = serializers.BooleanField()


class BatchResult(Output):
    """What became of one event: the figures, or a code and a sentence."""

    success = serializers.BooleanField()
    allowed = serializers.BooleanField()
    metric = serializers.CharField()
    current_usage = serializers.IntegerField(required=False)
    limit = serializers.IntegerField(required=False, allow_null=True)
    remaining = serializers.IntegerField(required=False, allow_null=True)
    billing_period = Period(required=False)
    resets_at = serializers.CharField(required=False, allow_null=True)
    code = serializers.CharField(required=False)
    message = serializers.CharField(required=False)
    usage = Standing(required=False)


class BatchOutput(Output):
    """Results in the order of the events."""

    results = BatchResult(many=True)


class CustomerQuery(Query):
    """Whose."""

    customer_id = PublicId("cust")


class UsageCheckQuery(CustomerQuery):
    """Whose, of what, how much."""

    metric = Text(max_length=64)
    quantity = QueryInteger(default=1, min_value=0, max_value=10**12)


class UsageCheckOutput(Output):
    """Whether so much more may be used. Null limits mean none."""

    allowed = serializers.BooleanField()
    current_usage = serializers.IntegerField()
    limit = serializers.IntegerField(allow_null=True)
    plan_limit = serializers.IntegerField(allow_null=True)
    addon_credits = serializers.IntegerField()
    effective_limit = serializers.IntegerField(allow_null=True)
    remaining = serializers.IntegerField(allow_null=True)
    resets_at = serializers.CharField(allow_null=True)


class UsageOutput(Output):
    """A customer's figures on every metric."""

    billing_period = Period()
    metrics = Standing(many=True)


class CheckInput(Input):
    """Which features, for whom; a session token asks for its own customer."""

    customer_id = PublicId("cust", required=False)
    features = serializers.ListField(
        child=Pattern(FEATURE_KEY, max_length=64),
        allow_empty=False,
        max_length=MOST_FEATURES,
    )


class CheckResult(Output):
    """The answer for one feature."""

    has_access = serializers.BooleanField()
    value = serializers.JSONField(allow_null=True)
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment]  # DRF takes it off the class


class CheckOutput(CheckResult):
    """The answer for one feature, and the code of a refusal."""

    reason = serializers.CharField(allow_null=True)


class ChecksOutput(Output):
    """The answers by feature."""

    results = serializers.DictField(child=CheckResult())


class StateOutput(Output):
    """A customer's whole state; `version` only grows, so that the newer of two copies is known."""

    customer = serializers.JSONField()
    organization = serializers.JSONField(allow_null=True)
    subscription = serializers.JSONField(allow_null=True)
    entitlements = serializers.JSONField()
    usage = Standing(many=True)
    credits = serializers.ListField(child=serializers.JSONField())
    version = serializers.IntegerField()
