"""Health, error pages, security.txt, the trust page."""

from django.apps import AppConfig


class TrustConfig(AppConfig):
    """What the service says about itself."""

    name = "stackbe.trust"
    label = "trust"
