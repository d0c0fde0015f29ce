"""Metrics, counters and limits."""

from importlib import import_module

from django.apps import AppConfig


class UsageConfig(AppConfig):
    """Usage: track, check, summarise."""

    name = "usage"

    def ready(self) -> None:
        """Account for what is held on people."""
        import_module("usage.subjects")
        import_module("usage.parts")
