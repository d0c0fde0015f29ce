"""Archives of whole tenants, their restore, and the deletion of tenants."""

from django.apps import AppConfig


class ArchiveConfig(AppConfig):
    name = "stackbe.archive"
