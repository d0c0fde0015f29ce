"""All settings, flat, read from the environment.

STACKBE_ENV is `production` unless it says otherwise, and production refuses to start with a
missing secret or an unsafe value. `manage.py up` and `manage.py test` set `development` and `test`
and make their own random secrets.
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import environ
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from stackbe.mail.providers import mail_settings

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent


def refuse(what: str) -> NoReturn:
    """Stop the start with one sentence."""
    raise ImproperlyConfigured(what)


def required(name: str, hint: str) -> str:
    """Return a variable that must be set, or stop and say which one is missing."""
    value: str = env.str(name, default="")
    if not value:
        refuse(f"{name} is not set. {hint}")
    return value


def proxy_networks(given: list[str]) -> list[str]:
    """Return networks as they are spelt at length, or stop at one that is none or takes in everybody."""
    try:
        networks = [ipaddress.ip_network(each.strip()) for each in given]
    except ValueError as wrong:
        refuse(
            f"TRUSTED_PROXY_ADDRESSES: {wrong}. Give addresses or networks by commas, such as 192.0.2.10,10.0.0.0/8."
        )
    if any(not network.prefixlen for network in networks):
        refuse("TRUSTED_PROXY_ADDRESSES must not take in everybody: whoever is in it is believed.")
    return [str(network) for network in networks]


# What kind of deployment this is.
STACKBE_ENV = env.str("STACKBE_ENV", default="production")
if STACKBE_ENV not in {"production", "development", "test"}:
    refuse("STACKBE_ENV must be production, development or test.")
PRODUCTION = STACKBE_ENV == "production"
DEVELOPMENT = STACKBE_ENV == "development"
TESTING = STACKBE_ENV == "test"
STACKBE_ROLE = env.str("STACKBE_ROLE", default="web")

DEBUG = False  # Also in development: error pages are ours, and DEBUG keeps every query in memory.
if env.bool("DEBUG", default=False):
    refuse("DEBUG is never on: error pages are ours. Unset it.")

# Secrets.
_MAKE_ONE = "Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(64))'"
SECRET_KEY = required("SECRET_KEY", _MAKE_ONE)
_KEEP_APART = "It is `name:base64 of 32 random bytes`; keep it apart from the database."
STACKBE_MASTER_KEY = required("STACKBE_MASTER_KEY", _KEEP_APART)
if PRODUCTION and len(SECRET_KEY) < 50:  # noqa: PLR2004  # what Django's own deploy check asks for
    refuse("SECRET_KEY is too short: use at least 50 random characters.")

# Where we are.
BASE_URL = env.str("BASE_URL", default="" if PRODUCTION else "http://localhost:8000").rstrip("/")
if not BASE_URL:
    refuse("BASE_URL is not set. It is the canonical address, such as https://billing.example.com.")
if PRODUCTION and not BASE_URL.startswith("https://"):
    refuse("BASE_URL must start with https:// in production.")
REQUIRE_HTTPS = BASE_URL.startswith("https://")
_host = urlsplit(BASE_URL).hostname or "localhost"
ALLOWED_HOSTS = [_host, *env.list("ALLOWED_HOSTS", default=[])]
if not PRODUCTION:
    ALLOWED_HOSTS += ["localhost", "127.0.0.1", "[::1]", "testserver"]
if "*" in ALLOWED_HOSTS:
    refuse("ALLOWED_HOSTS must name hosts, not `*`.")
# How many proxies stand in front, and the networks that they connect from: what anybody else forwards is dropped.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
TRUSTED_PROXY_ADDRESSES = proxy_networks(env.list("TRUSTED_PROXY_ADDRESSES", default=[]))
if TRUSTED_PROXIES < 0:
    refuse("TRUSTED_PROXIES is how many proxies stand in front: 0 for none, 1, 2 and so on.")
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
elif TRUSTED_PROXY_ADDRESSES:
    refuse("TRUSTED_PROXY_ADDRESSES names proxies, but TRUSTED_PROXIES says that there are none. Say how many.")
# The header in which the proxy tells a caller's country, such as CF-IPCountry; believed behind a proxy only.
COUNTRY_HEADER = env.str("COUNTRY_HEADER", default="")
if COUNTRY_HEADER and not TRUSTED_PROXIES:
    refuse("COUNTRY_HEADER is a proxy's to send, but TRUSTED_PROXIES says that there is none. Say how many.")
# The certificate that gunicorn speaks TLS with (stackbe/gunicorn.py); without one a proxy speaks it.
TLS_FILES = {name: env.str(name, default="") for name in ("TLS_CERT_FILE", "TLS_KEY_FILE")}
if any(TLS_FILES.values()):
    for _name, _file in TLS_FILES.items():
        if not _file:
            refuse(f"{_name} is not set. A certificate and its key go together: set both, or neither behind a proxy.")
        if STACKBE_ROLE == "web" and not os.access(_file, os.R_OK):
            refuse(f"{_name} names {_file}, which this process cannot read.")
elif PRODUCTION and STACKBE_ROLE == "web" and not TRUSTED_PROXIES:
    refuse(
        "Nothing here speaks TLS. Set TLS_CERT_FILE and TLS_KEY_FILE, or set TRUSTED_PROXIES to how many proxies"
        " stand in front and have them send X-Forwarded-Proto. See docs/production.md."
    )

# The database: one PostgreSQL, one role per kind of process.
_URLS = {
    "web": "DATABASE_URL",
    "worker": "DATABASE_WORKER_URL",
    "staff": "DATABASE_STAFF_URL",
    "owner": "DATABASE_OWNER_URL",
}
if STACKBE_ROLE not in _URLS:
    refuse("STACKBE_ROLE must be web, worker, staff or owner.")


def database(variable: str) -> dict[str, Any]:
    """Return Django's settings for the connection that a variable names."""
    required(variable, "See .env.example and `manage.py roles`.")
    config: dict[str, Any] = dict(env.db_url(variable))
    config |= {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": False, "ATOMIC_REQUESTS": False}
    options = config.setdefault("OPTIONS", {})
    options |= {"server_side_binding": True, "prepare_threshold": 2, "connect_timeout": 5}
    return config


DATABASES = {"default": database(_URLS[STACKBE_ROLE])}
if STACKBE_ROLE == "web" and env.str("DATABASE_STAFF_URL", default=""):
    DATABASES["staff"] = database("DATABASE_STAFF_URL")
# What `manage.py trust` connects as, to see whether a role can do what it must not. Empty where a process has no URL.
ROLE_URLS = {role: env.str(variable, default="") for role, variable in _URLS.items() if role != "owner"}
# Backups: of a server that lets us replicate, sealed into a folder (docs/backups.md). Without the URL the operator's
# own means stand in, and the trust page says so.
DATABASE_BACKUP_URL = env.str("DATABASE_BACKUP_URL", default="")
BACKUP_DIR = Path(env.str("BACKUP_DIR", default=str(BASE_DIR / ".stackbe" / "backups")))
BACKUP_KEEP_DAYS = env.int("BACKUP_KEEP_DAYS", default=14)
PG_BIN_DIR = env.str("PG_BIN_DIR", default="")
# How long a tenant's deletion can be taken back, and where the worker keeps the list of erasures, apart from backups.
TENANT_DELETION_DAYS = env.int("TENANT_DELETION_DAYS", default=14)
ERASURE_LIST = env.str("ERASURE_LIST", default=str(BACKUP_DIR / "erasures.jsonl") if DATABASE_BACKUP_URL else "")
# Where signed heads of the audit chains are kept every minute, elsewhere than the database: a folder, or s3://bucket/folder.
AUDIT_HEADS = env.str("AUDIT_HEADS", default="")
AUDIT_HEADS_REGION = env.str("AUDIT_HEADS_REGION", default="us-east-1")
AUDIT_HEADS_ENDPOINT = env.str("AUDIT_HEADS_ENDPOINT", default=f"https://s3.{AUDIT_HEADS_REGION}.amazonaws.com")
AUDIT_HEADS_KEY_ID = env.str("AUDIT_HEADS_KEY_ID", default="")
AUDIT_HEADS_SECRET = env.str("AUDIT_HEADS_SECRET", default="")
if AUDIT_HEADS.startswith("s3://"):
    required(
        "AUDIT_HEADS_KEY_ID", "AUDIT_HEADS names a bucket, which is asked with a key pair; see docs/production.md."
    )
    required(
        "AUDIT_HEADS_SECRET", "AUDIT_HEADS names a bucket, which is asked with a key pair; see docs/production.md."
    )
    if PRODUCTION and not AUDIT_HEADS_ENDPOINT.startswith("https://"):
        refuse("AUDIT_HEADS_ENDPOINT must start with https:// in production.")
REDIS_URL = env.str("REDIS_URL", default="")

# Apps, domain by domain, lowest first.
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "django.contrib.admin.apps.SimpleAdminConfig",  # our console registers its own; no autodiscovery
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "corsheaders",
    "csp",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "djstripe",
    "procrastinate.contrib.django",
    "stackbe.kernel",
    "stackbe.mail",
    "webhooks",
    "accounts",
    "apikeys",
    "billing",
    "usage",
    "stackbe.staff",
    "stackbe.trust",
    "stackbe.archive",
]
MIGRATION_MODULES = {"djstripe": "billing.stripe.mirror_migrations"}
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTHENTICATION_BACKENDS = ["accounts.backends.MagicLinkBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher"]

MIDDLEWARE = [
    "stackbe.kernel.middleware.RequestContext",
    "stackbe.kernel.headers.Headers",
    "stackbe.kernel.visitors.AddressLimit",
    "stackbe.kernel.middleware.NothingInClear",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "stackbe.kernel.middleware.CanonicalHost",
    "accounts.cors.AppCors",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # The rest runs for pages alone; see stackbe/kernel/middleware.py.
    "stackbe.kernel.middleware.ContentPolicy",
    "stackbe.kernel.middleware.Sessions",
    "stackbe.kernel.middleware.Csrf",
    "stackbe.kernel.middleware.Authentication",
    "stackbe.kernel.middleware.Messages",
    "stackbe.kernel.middleware.Htmx",
]
ROOT_URLCONF = "stackbe.urls"
WSGI_APPLICATION = "stackbe.wsgi.application"
APPEND_SLASH = False
FORM_RENDERER = "django.forms.renderers.DjangoTemplates"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    }
]

# Language and time.
LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

# Static files, served by whitenoise.
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(BASE_DIR / ".stackbe" / "static")))
STATICFILES_DIRS = [BASE_DIR / "stackbe" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = not PRODUCTION

# Browser sessions and cookies.
SESSION_ENGINE = "stackbe.kernel.sessions"
SESSION_COOKIE_NAME = "__Host-stackbe" if REQUIRE_HTTPS else "stackbe"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_COOKIE_SECURE = REQUIRE_HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "__Host-csrf" if REQUIRE_HTTPS else "csrftoken"
CSRF_COOKIE_SECURE = REQUIRE_HTTPS
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "stackbe.trust.pages.csrf_failure"
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/dashboard/"

# The staff console: its place, a host of its own where one is set, a session that the dashboard does not share.
CONSOLE_PATH = env.str("CONSOLE_PATH", default="staff").strip("/")
CONSOLE_HOST = env.str("CONSOLE_HOST", default="")
CONSOLE_URL = f"{urlsplit(BASE_URL).scheme}://{CONSOLE_HOST}" if CONSOLE_HOST else BASE_URL
if CONSOLE_HOST:
    ALLOWED_HOSTS.append(CONSOLE_HOST.partition(":")[0])
CONSOLE_COOKIE_NAME = "__Secure-stackbe-console" if REQUIRE_HTTPS else "stackbe-console"
CONSOLE_IDLE_MINUTES = env.int("CONSOLE_IDLE_MINUTES", default=15)
CONSOLE_HOURS = env.int("CONSOLE_HOURS", default=8)

# Headers.
SECURE_SSL_REDIRECT = REQUIRE_HTTPS
# What machines ask is answered or refused as it came (NothingInClear); the rest is a page.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if REQUIRE_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = REQUIRE_HTTPS
SECURE_HSTS_PRELOAD = REQUIRE_HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}

# The public API.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apikeys.authentication.ApiKeyAuthentication",
        "accounts.authentication.SessionTokenAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "stackbe.kernel.openapi.RouteSchema",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "StackBE API",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
# Uploads stay in memory, so that no file of customers lies readable in a temporary folder; larger ones are refused.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 6 * 1024 * 1024
# (calls, seconds) per address, for what asks for no credential.
ADDRESS_LIMITS = {
    "auth": (env.int("LIMIT_AUTH_PER_MINUTE", default=60), 60),
    "signup": (env.int("LIMIT_SIGNUP_PER_HOUR", default=10), 3600),
    "page": (env.int("LIMIT_PAGE_PER_MINUTE", default=300), 60),
    "api": (env.int("LIMIT_PAGE_PER_MINUTE", default=300), 60),
    # Per process: it is counted in memory, being no query's worth.
    "file": (env.int("LIMIT_FILE_PER_MINUTE", default=3000), 60),
}
# Developers who ask for sign-in mail from one address, an office behind one router for example.
SIGN_IN_MAIL_PER_CALLER = f"{env.int('LIMIT_SIGN_IN_MAIL_PER_15_MINUTES', default=30)}/15m"
FAILED_CREDENTIALS_PER_MINUTE = env.int("LIMIT_FAILED_CREDENTIALS_PER_MINUTE", default=20)
CORS_ALLOWED_ORIGINS: list[str] = []
CORS_ALLOW_HEADERS = ("authorization", "content-type", "idempotency-key", "x-request-id")
CORS_EXPOSE_HEADERS = (
    "x-request-id",
    "idempotency-replayed",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
)

# django-ratelimit guards the HTML forms; its counters live in the same shared table.
RATELIMIT_USE_CACHE = "default"
RATELIMIT_IP_META_KEY = "stackbe.kernel.http.client_address"
CACHES = {"default": {"BACKEND": "stackbe.kernel.cache.CounterCache"}}
if REDIS_URL:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
SILENCED_SYSTEM_CHECKS = [
    # django-ratelimit knows a list of caches by name; ours is atomic (tested under races).
    "django_ratelimit.E003",
    # Ours is a subclass, which the check does not look for (tests/architecture/test_project.py).
    "security.W003",
    "django_ratelimit.W001",
]

# Session tokens of apps' customers (accounts/tokens.py signs with a key pair per app).
SIMPLE_JWT = {"ALGORITHM": "HS256", "SIGNING_KEY": SECRET_KEY}
MAGIC_LINK_MINUTES = 15

# Mail. EMAIL_URL takes smtp+tls://user:password@host:587, or a provider such as postmark://token.
EMAIL_URL = env.str("EMAIL_URL", default="")
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=f"StackBE <no-reply@{_host}>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
EMAIL_TIMEOUT = 15
EMAIL_BACKEND = "stackbe.mail.inbox.DevelopmentInbox"
DEVELOPMENT_INBOX = not EMAIL_URL
# Which provider's bounces are listened to at /webhooks/mail/<provider>, and what proves that they are its own.
EMAIL_PROVIDER = ""
EMAIL_WEBHOOK_SECRET = env.str("EMAIL_WEBHOOK_SECRET", default="")
if EMAIL_URL:
    globals().update(mail_settings(EMAIL_URL, EMAIL_WEBHOOK_SECRET))
elif PRODUCTION:
    refuse("EMAIL_URL is not set. Sign-in goes by e-mail: smtp+tls://user:password@host:587.")

# Stripe. Without STRIPE_SECRET_KEY `manage.py up` starts the sandbox and sets these.
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
STRIPE_CLIENT_ID = env.str("STRIPE_CLIENT_ID", default="")
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="https://api.stripe.com")
STRIPE_CONNECT_BASE = env.str("STRIPE_CONNECT_BASE", default="https://connect.stripe.com")
STRIPE_API_VERSION = env.str("STRIPE_API_VERSION", default="2026-05-27.dahlia")
STRIPE_PLATFORM_ENDPOINT_ID = env.str("STRIPE_PLATFORM_ENDPOINT_ID", default="")
STRIPE_CONNECT_ENDPOINT_ID = env.str("STRIPE_CONNECT_ENDPOINT_ID", default="")
STRIPE_PLATFORM_WEBHOOK_SECRETS = env.list("STRIPE_PLATFORM_WEBHOOK_SECRETS", default=[])
STRIPE_CONNECT_WEBHOOK_SECRETS = env.list("STRIPE_CONNECT_WEBHOOK_SECRETS", default=[])
STRIPE_TIMEOUT_SECONDS = env.int("STRIPE_TIMEOUT_SECONDS", default=10)
STRIPE_LIVE_MODE = STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))
STRIPE_SANDBOX = urlsplit(STRIPE_API_BASE).hostname in {"localhost", "127.0.0.1"}
# dj-stripe is a guarded mirror (billing/stripe/mirror.py); it is never handed our secrets.
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
DJSTRIPE_USE_NATIVE_JSONFIELD = True
DJSTRIPE_SUBSCRIBER_MODEL = "accounts.User"
if PRODUCTION:
    for _name in (
        "STRIPE_SECRET_KEY",
        "STRIPE_CLIENT_ID",
        "STRIPE_PLATFORM_ENDPOINT_ID",
        "STRIPE_CONNECT_ENDPOINT_ID",
        "STRIPE_PLATFORM_WEBHOOK_SECRETS",
        "STRIPE_CONNECT_WEBHOOK_SECRETS",
    ):
        required(_name, "Production wants Stripe's keys; see docs/production.md.")
    if STRIPE_SANDBOX:
        refuse("STRIPE_API_BASE points at this machine: production does not run on the sandbox.")

# Outgoing webhooks may go to local addresses in development only.
ALLOW_LOCAL_WEBHOOKS = env.bool("STACKBE_ALLOW_LOCAL_WEBHOOKS", default=False)
if PRODUCTION and ALLOW_LOCAL_WEBHOOKS:
    refuse("STACKBE_ALLOW_LOCAL_WEBHOOKS opens the internal network; production does not load it.")

# What no program on the deployment can see, in the operator's words; the trust page shows it as stated, never as kept.
STATEMENTS = {
    name: env.str(name, default="")
    for name in (
        "STATED_VOLUME_ENCRYPTION",
        "STATED_BACKUPS",
        "STATED_REGION",
        "STATED_PROVIDERS",
        "STATED_DEPLOYMENT",
    )
}
# Who runs this and under which terms, for the privacy policy and the terms of service (stackbe/trust/operator.py).
OPERATOR = {
    name: env.str(f"OPERATOR_{name.upper()}", default="")
    for name in (
        "name", "address", "email", "since", "law", "courts", "officer", "authority", "fees", "availability",
        "liability", "transfers",
    )
}  # fmt: skip
# A folder with a privacy.md and terms.md of the operator's own, and who is asked about known vulnerabilities.
OPERATOR_TEXTS = env.str("OPERATOR_TEXTS", default="")
# Who may report API keys found in public: keys to check their signatures with, as JSON, or where the list is published.
SECRET_SCANNING_KEYS = env.str("SECRET_SCANNING_KEYS", default="")
SECRET_SCANNING_KEYS_URL = env.str(
    "SECRET_SCANNING_KEYS_URL", default="https://api.github.com/meta/public_keys/secret_scanning"
)
ADVISORY_URL = env.str("ADVISORY_URL", default="https://api.osv.dev/v1/querybatch")
SECURITY_CONTACT = env.str("SECURITY_CONTACT", default=f"mailto:security@{_host}")
if SECURITY_CONTACT and not re.fullmatch(r"(mailto:|https://|tel:)[^\s]+", SECURITY_CONTACT):
    refuse("SECURITY_CONTACT must be one address as RFC 9116 has it: mailto:…, https://… or tel:….")
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

UNFOLD = {
    "SITE_TITLE": "StackBE staff console",
    "SITE_HEADER": "Staff console",
    "SITE_SUBHEADER": "Every look is on record",
    "SITE_SYMBOL": "shield_person",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/favicon.ico"}],
    "COLORS": {
        "primary": {
            "50": "#eef8fa",
            "100": "#d7eef3",
            "200": "#b3dde6",
            "300": "#80c3d2",
            "400": "#469fb4",
            "500": "#2a8399",
            "600": "#0a6577",
            "700": "#0d5563",
            "800": "#114753",
            "900": "#133c46",
            "950": "#06262e",
        }
    },
}

# Logs: JSON lines on standard error.
LOG_REQUESTS = env.bool("LOG_REQUESTS", default=not TESTING)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "stackbe.kernel.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        # Our middleware says how each request went.
        "django.request": {"level": "CRITICAL"},
        "django.server": {"level": "CRITICAL"},
        "procrastinate": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
    },
}
os.environ.setdefault("OBJC_DISABLE_INITIALIZE_FORK_SAFETY", "YES")  # macOS: gunicorn forks
