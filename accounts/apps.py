"""Tenants, their apps and members, and the apps' customers."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Identity: who runs apps, and who uses them."""

    name = "accounts"
