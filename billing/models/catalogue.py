"""What an app sells: features, products, plans, their versions and prices."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.tenancy import AppOwned


class Feature(AppOwned):
    """A key that plans may grant, and what kind of value it takes.

    Plans are checked against these, so that a typo in a plan is an error and not a customer
    without access.
    """

    class Type(models.TextChoices):
        BOOLEAN = "boolean"
        NUMBER = "number"
        STRING = "string"
        LIST = "list"
        METERED = "metered"

    id_prefix = "feat"

    key = models.CharField(max_length=64)
    name = models.CharField(max_length=120)
    type = models.CharField(max_length=8, choices=Type)
    metric = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=wall_clock)
    updated_at = models.DateTimeField(default=wall_clock)
    archived_at = models.DateTimeField(null=True)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=["app_id", "key"],
                condition=models.Q(archived_at__isnull=True),
                name="one_feature_per_key",
            ),
            models.CheckConstraint(
                condition=models.Q(type="metered") | models.Q(metric=""),
                name="metric_of_metered_features_only",
            ),
        )


class Product(AppOwned):
    """What a plan is a plan of. Becomes a Product on the tenant's Stripe account.

    `slug` names it in the catalogue's document; one from before there were slugs goes by its id.
    """

    id_prefix = "prod"

    name = models.CharField(max_length=120)
    slug = models.CharField(max_length=80, default="", db_default="", blank=True)
    description = models.CharField(max_length=1000, blank=True)
    tax_code = models.CharField(max_length=20, default="", db_default="", blank=True)
    active = models.BooleanField(default=True)
    metadata = Sealed(as_json=True)
    created_at = models.DateTimeField(default=wall_clock)
    updated_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["tenant_id", "app_id", "id"], name="product_of_app"),
            models.UniqueConstraint(
                fields=["app_id", "slug"],
                condition=models.Q(active=True) & ~models.Q(slug=""),
                name="one_active_product_per_slug",
            ),
        )
        indexes = (models.Index(fields=["app_id", "-id"], name="product_newest"),)

    @property
    def key(self) -> str:
        """Return what it is called in the catalogue's document."""
        return self.slug or self.public_id


class Plan(AppOwned):
    """A plan by name. What it costs and grants stands in its versions; `version` is the newest.

    `push_state` says whether Stripe knows the newest version: before an account is connected it
    stays pending.
    """

    class Push(models.TextChoices):
        PENDING = "pending"
        PUSHED = "pushed"
        FAILED = "failed"

    id_prefix = "plan"

    product = models.ForeignKey(Product, models.PROTECT, related_name="+", db_constraint=False)
    name = models.CharField(max_length=120)
    slug = models.CharField(max_length=80)
    version = models.PositiveIntegerField(default=1)
    is_default = models.BooleanField(default=False)
    active = models.BooleanField(default=True)
    push_state = models.CharField(max_length=8, choices=Push, default=Push.PENDING)
    push_error = models.CharField(max_length=200, blank=True)
    pushed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=wall_clock)
    updated_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["tenant_id", "app_id", "id"], name="plan_of_app"),
            models.UniqueConstraint(
                fields=["app_id", "slug"],
                condition=models.Q(active=True),
                name="one_active_plan_per_slug",
            ),
            models.UniqueConstraint(
                fields=["app_id"],
                condition=models.Q(is_default=True),
                name="one_default_plan_per_app",
            ),
            models.CheckConstraint(
                condition=models.Q(is_default=False) | models.Q(active=True),
                name="default_plan_is_active",
            ),
        )
        indexes = (
            models.Index(fields=["app_id", "-id"], name="plan_newest"),
            models.Index(
                fields=["app_id"],
                condition=models.Q(push_state="pending"),
                name="plan_to_push",
            ),
        )

    def current_version(self) -> PlanVersion:
        """Return the newest version, from `current_versions` where a list has preloaded it."""
        preloaded: list[PlanVersion] = self.__dict__.get("current_versions", [])
        return preloaded[0] if preloaded else self.versions.get(number=self.version)


class PlanVersion(AppOwned):
    """What subscribers of one version get: entitlements, usage allowances, seats, trial.

    `usage` holds `{metric, included, mode, overage?, windows?, rollover?, spendCapCents?}` in the API's own spelling;
    `add_ons` the ids of plans that may be bought beside this one; `credits` holds `{metric, quantity, expiresInDays}`
    of a pack, which is paid once and ends in credits.
    """

    id_prefix = "planv"

    plan = models.ForeignKey(Plan, models.PROTECT, related_name="versions", db_constraint=False)
    number = models.PositiveIntegerField(default=1)
    entitlements = models.JSONField(default=dict)
    usage = models.JSONField(default=list)
    credits = models.JSONField(default=list, db_default=[])
    seats = models.PositiveIntegerField(null=True)
    trial_days = models.PositiveIntegerField(default=0)
    trial_requires_card = models.BooleanField(default=True)
    add_ons = ArrayField(models.UUIDField(), default=list)
    created_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["tenant_id", "app_id", "id"], name="version_of_app"),
            models.UniqueConstraint(fields=["app_id", "plan", "number"], name="one_version_per_number"),
            models.CheckConstraint(condition=models.Q(trial_days__lte=730), name="trial_is_what_stripe_takes"),
        )

    def live_prices(self) -> list[Price]:
        """Return the prices on offer, the short form's first."""
        live = [price for price in self.prices.all() if price.replaced_at is None]
        return sorted(live, key=lambda price: price.position)


class Price(AppOwned):
    """One way to pay for a plan version, and its Price on the tenant's Stripe account.

    A price is never altered once Stripe knows it. One that was edited away before anybody
    subscribed is kept with `replaced_at`: a checkout page may still be open on it, and the push
    deactivates it at Stripe. `position` 0 is the plan's short form.
    """

    class Interval(models.TextChoices):
        MONTH = "month"
        YEAR = "year"
        WEEK = "week"
        ONE_TIME = "one_time"

    class Scheme(models.TextChoices):
        FLAT = "flat"
        PER_UNIT = "per_unit"
        GRADUATED = "graduated"
        VOLUME = "volume"
        PACKAGE = "package"

    class TaxBehavior(models.TextChoices):
        EXCLUSIVE = "exclusive"
        INCLUSIVE = "inclusive"

    id_prefix = "price"

    plan_version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="prices", db_constraint=False)
    position = models.PositiveSmallIntegerField(default=0)
    currency = models.CharField(max_length=3)
    interval = models.CharField(max_length=8, choices=Interval, default=Interval.MONTH)
    interval_count = models.PositiveSmallIntegerField(default=1)
    scheme = models.CharField(max_length=9, choices=Scheme, default=Scheme.FLAT)
    unit_amount_cents = models.PositiveBigIntegerField(null=True)
    tiers = models.JSONField(default=list)
    package_size = models.PositiveIntegerField(null=True)
    tax_behavior = models.CharField(max_length=9, choices=TaxBehavior, default="", db_default="", blank=True)
    stripe_account = models.CharField(max_length=64, blank=True)
    stripe_price_id = models.CharField(max_length=255, blank=True)
    replaced_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["tenant_id", "app_id", "id"], name="price_of_app"),
            models.UniqueConstraint(
                fields=["app_id", "stripe_account", "stripe_price_id"],
                condition=~models.Q(stripe_price_id=""),
                name="one_price_per_stripe_price",
            ),
            models.UniqueConstraint(
                fields=["plan_version", "position"],
                condition=models.Q(replaced_at__isnull=True),
                name="one_price_per_position",
            ),
            models.CheckConstraint(
                condition=models.Q(scheme__in=["graduated", "volume"]) | models.Q(unit_amount_cents__isnull=False),
                name="price_has_an_amount_or_tiers",
            ),
            models.CheckConstraint(condition=models.Q(interval_count__gte=1), name="interval_count_is_positive"),
        )
        indexes = (models.Index(fields=["plan_version", "position"], name="price_of_version"),)

    @property
    def free(self) -> bool:
        """Say whether nothing is ever charged under this price."""
        tiered = any(t["unitAmountCents"] or t.get("flatAmountCents") for t in self.tiers)
        return not self.unit_amount_cents and not tiered
