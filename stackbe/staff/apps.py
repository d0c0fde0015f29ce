"""The staff console: Django admin with roles of our own."""

from django.apps import AppConfig


class StaffConfig(AppConfig):
    """Console site, roles, audited looks."""

    name = "stackbe.staff"
    label = "staff"
