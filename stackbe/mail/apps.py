"""Outgoing mail and the development inbox."""

from django.apps import AppConfig


class MailConfig(AppConfig):
    """Writes, sends and, in development, shows mail."""

    name = "stackbe.mail"
    label = "mail"
