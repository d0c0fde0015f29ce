"""Catalogue, checkout, subscriptions, entitlements."""

from importlib import import_module

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Plans, subscriptions and what they grant."""

    name = "billing"

    def ready(self) -> None:
        """Say what is held on a person, and declare the work on access."""
        import_module("billing.subjects").register_holders()
        import_module("billing.jobs")
        import_module("billing.reminder_mail")
        import_module("billing.stripe.endings").register_erasure()
        import_module("billing.stripe.contacts").follow_contacts()
        import_module("billing.services.copies").follow_customers()
        import_module("billing.stripe.seats").register_seller()
        import_module("billing.stripe.mirror").install()
