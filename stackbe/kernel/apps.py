"""The kernel as an installed app, so that its tables have migrations like any other's."""

from importlib import import_module

from django.apps import AppConfig
from django.core.signals import request_started


class KernelConfig(AppConfig):
    """Tables for keys, audit, idempotency, limits and browser sessions."""

    name = "stackbe.kernel"
    label = "kernel"

    def ready(self) -> None:
        """Account for the stored replies, which may be about a person; look at each request's connection."""
        import_module("stackbe.kernel.replies")
        connections = import_module("stackbe.kernel.connections")
        request_started.connect(connections.drop_ended, dispatch_uid="stackbe.kernel.connections")
