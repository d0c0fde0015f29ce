"""API keys and what they prove."""

from django.apps import AppConfig


class ApiKeysConfig(AppConfig):
    """Keys: issue, rotate, revoke, verify."""

    name = "apikeys"
