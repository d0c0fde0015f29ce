"""Shapes of the catalogue, of subscriptions and of access, in and out."""

from billing.events import invoice_as_event, plan_as_event, subscription_as_event

__all__ = ["invoice_as_event", "plan_as_event", "subscription_as_event"]
