"""CORS by app."""

from corsheaders.middleware import CorsMiddleware


class AppCors(CorsMiddleware):
    """django-cors-headers, its origins taken from the apps' settings."""
