"""Metrics, counters and limits."""

from django.apps import AppConfig


class UsageConfig(AppConfig):
    """Usage: track, check, summarise."""

    name = "usage"

