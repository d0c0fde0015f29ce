"""The tables that somebody would write in an afternoon."""

# ruff: noqa: DJ008  # nobody prints these rows

from django.db import models
from rest_framework_api_key.models import AbstractAPIKey, BaseAPIKeyManager


class Company(models.Model):
    name = models.CharField(max_length=80)


class Key(models.Model):
    """What the plain view and the bare server look a key up by."""

    company = models.ForeignKey(Company, models.CASCADE)
    digest = models.BinaryField(unique=True)
    revoked = models.BooleanField(default=False)


class CompanyKeys(BaseAPIKeyManager):
    def get_usable_keys(self):
        """Return them with their companies, which spares the views a query."""
        return super().get_usable_keys().select_related("company")


class CompanyKey(AbstractAPIKey):
    """The same key as djangorestframework-api-key keeps it."""

    objects = CompanyKeys()
    company = models.ForeignKey(Company, models.CASCADE)


class Plan(models.Model):
    company = models.ForeignKey(Company, models.CASCADE)
    slug = models.CharField(max_length=40)


class Feature(models.Model):
    company = models.ForeignKey(Company, models.CASCADE)
    name = models.CharField(max_length=64)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["company", "name"], name="peer_feature"),)


class Grant(models.Model):
    plan = models.ForeignKey(Plan, models.CASCADE)
    feature = models.ForeignKey(Feature, models.CASCADE)
    limit = models.BigIntegerField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["plan", "feature"], name="peer_grant"),)


class Customer(models.Model):
    company = models.ForeignKey(Company, models.CASCADE)
    reference = models.CharField(max_length=60)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["company", "reference"], name="peer_customer"),)


class Subscription(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    plan = models.ForeignKey(Plan, models.CASCADE)
    status = models.CharField(max_length=12)
    period_start = models.DateTimeField()


class Counter(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    feature = models.ForeignKey(Feature, models.CASCADE)
    period_start = models.DateTimeField()
    used = models.BigIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["customer", "feature", "period_start"], name="peer_counter"),)


class Event(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    feature = models.ForeignKey(Feature, models.CASCADE)
    key = models.CharField(max_length=255)
    quantity = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["customer", "feature", "key"], name="peer_event"),)
