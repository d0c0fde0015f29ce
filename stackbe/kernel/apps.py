"""The kernel as an installed app, so that its tables have migrations like any other's."""

from django.apps import AppConfig


class KernelConfig(AppConfig):
    """Tables for keys, audit, idempotency, limits and browser sessions."""

    name = "stackbe.kernel"
    label = "kernel"
