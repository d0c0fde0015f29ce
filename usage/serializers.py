"""Shapes of metrics, usage and checks."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.serializers import CustomerOutput
from billing.serializers.access import EntitlementsOutput
from billing.serializers.subscriptions import SubscriptionOutput
from stackbe.kernel.serializers import (
    Input,
    Integer,
    Moment,
    Output,
    Pattern,
    PublicId,
    Query,
    QueryInteger,
    Text,
    Timestamp,
)
from usage.models import Metric
from usage.services.series import GRANULARITIES

MOST_EVENTS = 1000
MOST_FEATURES = 100
MOST_CUSTOMERS = 100
MOST_THRESHOLDS = 10
FEATURE_KEY = r"^[A-Za-z0-9_.:-]{1,64}$"
METRIC_NAME = r"^[A-Za-z][A-Za-z0-9_.:-]{0,63}$"
METRIC_NAME_SENTENCE = "Begin with a letter; letters, digits and _ . : - may follow, and no space."


class Thresholds(serializers.ListField):
    """At which percents of a limit the app is told."""

    def __init__(self, **kwargs: Any) -> None:
        """Bound them."""
        super().__init__(child=Integer(min_value=1, max_value=1000), max_length=MOST_THRESHOLDS, **kwargs)

    def to_internal_value(self, data: Any) -> list[int]:
        """Return them in order, each once."""
        return sorted(set(super().to_internal_value(data)))


class MetricInput(Input):
    """A metric to define."""

    name = Pattern(METRIC_NAME, METRIC_NAME_SENTENCE, max_length=64)
    aggregation = serializers.ChoiceField(Metric.Aggregation.values, default="sum")
    unit = Text(max_length=40, required=False, default="", allow_blank=True)
    resets = serializers.ChoiceField(Metric.Resets.values, default="billing_period")
    thresholds = Thresholds(required=False)


class MetricChange(Input):
    """What of a metric may change; its name is what apps send, so it stays."""

    aggregation = serializers.ChoiceField(Metric.Aggregation.values, required=False)
    unit = Text(max_length=40, required=False, allow_blank=True)
    resets = serializers.ChoiceField(Metric.Resets.values, required=False)
    thresholds = Thresholds(required=False)


class MetricOutput(Output):
    """A metric."""

    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    aggregation = serializers.ChoiceField(Metric.Aggregation.values)
    unit = serializers.CharField()
    resets = serializers.ChoiceField(Metric.Resets.values)
    thresholds = serializers.ListField(child=serializers.IntegerField())
    created_at = Timestamp()


class Verbatim(Text):
    """A string that counts as it is, with the spaces at its ends: two that differ in them are two."""

    def __init__(self, **kwargs: Any) -> None:
        """Bound it."""
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Return it; nothing but spaces is a mistake."""
        if isinstance(data, str) and not data.strip():
            self.fail("blank")
        return super().to_internal_value(data)


class TrackInput(Input):
    """One thing that was used. There is no field for content."""

    customer_id = PublicId("cust")
    metric = Text(max_length=64)
    quantity = Integer(default=1, min_value=0, max_value=10**12)
    value = Verbatim(max_length=128, required=False)
    idempotency_key = Verbatim(max_length=255, required=False)
    timestamp = Timestamp(required=False)


class BatchInput(Input):
    """Up to 1,000 events."""

    events = TrackInput(many=True, allow_empty=False, max_length=MOST_EVENTS)  # type: ignore[call-arg]  # the list's


class Period(Output):
    """From when until when a count runs; `end` is null for a count that never resets."""

    start = Moment()
    end = Moment(allow_null=True)


class WindowStanding(Output):
    """A limit inside the period, and how much of it was used."""

    per = serializers.ChoiceField(["hour", "day"])
    limit = serializers.IntegerField()
    current_usage = serializers.IntegerField()
    remaining = serializers.IntegerField()
    resets_at = Moment(allow_null=True)


class Standing(Output):
    """Figures on one metric. A null limit means none; `held` is what reservations hold beside what was used."""

    metric = serializers.CharField()
    current_usage = serializers.IntegerField()
    limit = serializers.IntegerField(allow_null=True)
    remaining = serializers.IntegerField(allow_null=True)
    held = serializers.IntegerField()
    billing_period = Period()
    resets_at = Moment(allow_null=True)
    windows = WindowStanding(many=True, required=False)


class Refused(Standing):
    """Figures of the limit that refused: plan, spend_cap, or a window's own."""

    limited_by = serializers.ChoiceField(["plan", "spend_cap", "day", "hour"])


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
    held = serializers.IntegerField(required=False)
    billing_period = Period(required=False)
    resets_at = Moment(required=False, allow_null=True)
    windows = WindowStanding(many=True, required=False)
    code = serializers.CharField(required=False)
    message = serializers.CharField(required=False)
    usage = Refused(required=False)


class BatchOutput(Output):
    """Results in the order of the events."""

    results = BatchResult(many=True)


class SyncInput(Input):
    """What a customer used, by the app's own books."""

    customer_id = PublicId("cust")
    metric = Text(max_length=64)
    value = Integer(min_value=0)
    idempotency_key = Verbatim(max_length=255, required=False)


class SeriesQuery(Query):
    """Whose usage of what, from when until when, and how finely."""

    customer_id = PublicId("cust")
    metric = Text(max_length=64)
    granularity = serializers.ChoiceField(GRANULARITIES, default="day")
    to = Timestamp(required=False)

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which Python keeps for itself."""
        return {**super().get_fields(), "from": Timestamp(required=False)}


class PointOutput(Output):
    """What was counted from `start` until `end`."""

    start = Moment()
    end = Moment()
    value = serializers.IntegerField()


class SeriesOutput(Output):
    """A point for each hour, day or month, in order, none left out."""

    metric = serializers.CharField()
    unit = serializers.CharField(allow_blank=True)
    granularity = serializers.ChoiceField(GRANULARITIES)
    data = PointOutput(many=True)  # type: ignore[assignment]  # DRF takes it off the class


class CustomerQuery(Query):
    """Whose."""

    customer_id = PublicId("cust")


class UsageCheckQuery(CustomerQuery):
    """Whose, of what, how much."""

    metric = Text(max_length=64)
    quantity = QueryInteger(default=1, min_value=0, max_value=10**12)


class UsageCheckOutput(Output):
    """Whether so much more may be used. Null limits mean none.

    `addonCredits` are those that this period spent and those that are left; `effectiveLimit` is the plan's limit (or
    an override's), what rolled over and those credits.
    """

    allowed = serializers.BooleanField()
    current_usage = serializers.IntegerField()
    limit = serializers.IntegerField(allow_null=True)
    plan_limit = serializers.IntegerField(allow_null=True)
    addon_credits = serializers.IntegerField()
    rolled_over = serializers.IntegerField()
    effective_limit = serializers.IntegerField(allow_null=True)
    held = serializers.IntegerField()
    remaining = serializers.IntegerField(allow_null=True)
    limited_by = serializers.ChoiceField(["plan", "spend_cap", "day", "hour"], allow_null=True)
    resets_at = Moment(allow_null=True)
    windows = WindowStanding(many=True, required=False)


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


class CheckManyInput(Input):
    """Which features, for whom."""

    customers = serializers.ListField(child=PublicId("cust"), allow_empty=False, max_length=MOST_CUSTOMERS)
    features = serializers.ListField(
        child=Pattern(FEATURE_KEY, max_length=64),
        allow_empty=False,
        max_length=MOST_FEATURES,
    )


class StepOutput(Output):
    """One thing that led to an answer: what, by whom, until when."""

    step = serializers.CharField()
    detail = serializers.CharField()
    by = serializers.CharField(required=False)
    until = Moment(required=False)


class ChangeOutput(Output):
    """A change that would allow what is not: `plan`, `payment`, `resume`, `override` or `credits`."""

    change = serializers.CharField()
    detail = serializers.CharField()
    plan_id = serializers.CharField(required=False)
    feature = serializers.CharField(required=False)
    metric = serializers.CharField(required=False)


class CheckResult(Output):
    """The answer for one feature."""

    has_access = serializers.BooleanField()
    value = serializers.JSONField(allow_null=True)
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment]  # DRF takes it off the class
    explanation = StepOutput(many=True, required=False)
    would_allow = ChangeOutput(required=False, allow_null=True)


class FeatureCheckOutput(CheckResult):
    """The answer for one feature, and the code of a refusal."""

    reason = serializers.CharField(allow_null=True)


class ChecksOutput(Output):
    """The answers by feature."""

    results = serializers.DictField(child=CheckResult())


class CheckManyOutput(Output):
    """The answers by customer and feature, and the ids that name no customer of the app."""

    results = serializers.DictField(child=serializers.DictField(child=CheckResult()))
    not_found = serializers.ListField(child=serializers.CharField())


class StateOrganization(Output):
    """Whose subscription it is that serves the customer."""

    id = serializers.CharField()
    name = serializers.CharField()


class StateCredit(Output):
    """Credits that can be spent, in the order in which they will be."""

    id = serializers.CharField()
    metric = serializers.CharField()
    quantity = serializers.IntegerField()
    remaining = serializers.IntegerField()
    priority = serializers.IntegerField()
    expires_at = Moment(allow_null=True)
    created_at = Moment()


class StateOutput(Output):
    """A customer's whole state; `version` only grows, so that the newer of two copies is known."""

    customer = CustomerOutput()
    organization = StateOrganization(allow_null=True)
    subscription = SubscriptionOutput(allow_null=True)
    entitlements = EntitlementsOutput()
    usage = Standing(many=True)
    credits = StateCredit(many=True)
    version = serializers.IntegerField()
