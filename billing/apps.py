"""Catalogue, checkout, subscriptions, entitlements."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Plans, subscriptions and what they grant."""

    name = "billing"
