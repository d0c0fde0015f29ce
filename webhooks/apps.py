"""Outgoing webhooks: outbox, endpoints, deliveries."""

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    """Events and their delivery."""

    name = "webhooks"

