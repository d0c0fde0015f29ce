"""Webhooks as an installed app."""

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    """Events that leave for the app, and the log of how they got there."""

    name = "webhooks"

    def ready(self) -> None:
        """Say what is held on a person."""
        from webhooks import subjects  # noqa: PLC0415  # models exist only once apps are ready

        subjects.register_holders()
