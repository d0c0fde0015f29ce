"""The peers' Django: PEER=plain is the least a request can cost, PEER=drf what one usually writes."""

import os

PEER = os.environ["PEER"]
SECRET_KEY = "a-secret-that-guards-nothing-in-a-benchmark"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
USE_TZ = True
ROOT_URLCONF = "bench.peers.urls"
INSTALLED_APPS = ["rest_framework_api_key", "bench.peers"]
MIDDLEWARE: list[str] = []
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PEERS_DATABASE"],
        "USER": "postgres",
        "HOST": os.environ["PEERS_SOCKETS"],
        "CONN_MAX_AGE": 600,
    }
}
LOGGING_CONFIG = None
if PEER == "plain":
    # Statements are prepared: planning a join costs more than running it.
    DATABASES["default"]["OPTIONS"] = {"server_side_binding": True, "prepare_threshold": 2}
else:
    # As startproject leaves it, less what an API drops, with drivers and database options as they come.
    INSTALLED_APPS = [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "rest_framework",
        "rest_framework.authtoken",
        "rest_framework_api_key",
        "bench.peers",
    ]
    MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    REST_FRAMEWORK = {
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
    }
