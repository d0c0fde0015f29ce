"""Tenants, their apps and members, and the apps' customers."""

from importlib import import_module

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Identity: who runs apps, and who uses them."""

    name = "accounts"

    def ready(self) -> None:
        """Say what is held on a person, and declare the job that lets go of it."""
        import_module("accounts.subjects").register_holders()
        import_module("accounts.developer_subjects").register_holders()
        import_module("accounts.factor_subjects").register_holders()
        import_module("accounts.erasure")
