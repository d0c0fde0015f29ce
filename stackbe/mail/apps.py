"""Outgoing mail and the development inbox."""

from importlib import import_module

from django.apps import AppConfig


class MailConfig(AppConfig):
    """Writes, sends and, in development, shows mail."""

    name = "stackbe.mail"
    label = "mail"

    def ready(self) -> None:
        """Join the registry of personal data."""
        import_module("stackbe.mail.subjects")
