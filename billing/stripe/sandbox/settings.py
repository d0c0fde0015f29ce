"""What the sandbox reads from its environment, and when it refuses to start."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

DEFAULT_API_VERSION = "2026-05-27.dahlia"
LIVE_KEYS = ("sk_live_", "rk_live_", "pk_live_")
TRUE = frozenset({"1", "true", "yes", "on"})


class RefusesToStartError(Exception):
    """The sandbox will not run in this environment; the message says why."""


@dataclass(frozen=True)
class Settings:
    """Everything that differs between two sandboxes, secrets included (they never enter the state file)."""

    secret_key: str
    client_id: str
    public_url: str
    base_url: str
    api_version: str = DEFAULT_API_VERSION
    platform_secret: str = ""
    connect_secret: str = ""
    platform_endpoint_id: str = ""
    connect_endpoint_id: str = ""
    cardlike: bool = False
    retry_seconds: tuple[float, ...] = field(default=(1, 5, 30, 120, 600, 3600))

    @property
    def redirect_origin(self) -> str:
        """The one origin that OAuth may send people back to, as a registered redirect URI would."""
        return origin(self.base_url)


def origin(url: str) -> str:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def check_loopback(host: str) -> str:
    """The host, when only this machine can reach it; anything else is refused."""
    try:
        safe = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        safe = False
    if not safe:
        message = f"The sandbox binds to loopback only, and {host} is not a loopback address."
        raise RefusesToStartError(message)
    return host


def read_settings(environment: Mapping[str, str], *, public_url: str) -> Settings:
    """Settings from environment variables.

    A live key anywhere in the environment stops the start: a process that answers in
    Stripe's name must never be mistaken for Stripe by a system that moves real money.
    """
    for name, value in environment.items():
        if any(item.strip().startswith(LIVE_KEYS) for item in value.split(",")):
            message = f"{name} holds a live Stripe key; the sandbox refuses to start beside one."
            raise RefusesToStartError(message)

    secret_key = environment.get("STRIPE_SECRET_KEY", "")
    if not secret_key.startswith("sk_test_"):
        message = "STRIPE_SECRET_KEY must be set to a test key (sk_test_…)."
        raise RefusesToStartError(message)
    client_id = environment.get("STRIPE_CLIENT_ID", "")
    if not client_id.startswith("ca_"):
        message = "STRIPE_CLIENT_ID must be set to a Connect client id (ca_…)."
        raise RefusesToStartError(message)

    return Settings(
        secret_key=secret_key,
        client_id=client_id,
        public_url=(environment.get("STRIPE_API_BASE") or public_url).rstrip("/"),
        base_url=environment.get("BASE_URL", "http://localhost:8000").rstrip("/"),
        api_version=environment.get("STRIPE_API_VERSION") or DEFAULT_API_VERSION,
        platform_secret=first(environment.get("STRIPE_PLATFORM_WEBHOOK_SECRETS", "")),
        connect_secret=first(environment.get("STRIPE_CONNECT_WEBHOOK_SECRETS", "")),
        platform_endpoint_id=environment.get("STRIPE_PLATFORM_ENDPOINT_ID", ""),
        connect_endpoint_id=environment.get("STRIPE_CONNECT_ENDPOINT_ID", ""),
        cardlike=environment.get("STACKBE_SANDBOX_CARDLIKE", "").lower() in TRUE,
    )


def first(secrets: str) -> str:
    """The secret that signs: the first of a comma-separated list (the others only verify)."""
    return secrets.split(",", maxsplit=1)[0].strip()
