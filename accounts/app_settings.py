"""What an app may be told about how it works: names, defaults, and the rules for its URLs.

Settings are stored in snake_case, and only those that were set; what is absent has its default
here, so that a default can change without touching a row. The API speaks them in camelCase.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.serializers import camel

# Whether customers have second factors: nobody, who wants to, everybody.
OFF, OPTIONAL, REQUIRED = "off", "optional", "required"
SECOND_FACTORS = (OFF, OPTIONAL, REQUIRED)
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1"})
LOCAL_CALLBACKS = ("http://localhost:3000/callback", "http://127.0.0.1:3000/callback")
LOCAL_ORIGINS = ("http://localhost:3000", "http://127.0.0.1:3000")
LARGEST_PORT = 65535
HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True, slots=True)
class AppSettings:
    """An app's settings with every default filled in."""

    auto_create_customer: bool = True
    magic_link_expiry_minutes: int = 15
    callback_urls: tuple[str, ...] = ()
    dev_callback_url: str | None = None
    verification_url: str | None = None
    organizations_enabled: bool = False
    grace_period_days: int = 7
    dunning_days: tuple[int, ...] = (0, 3, 6)
    trial_ending_days: int = 3
    trial_ending_mail: bool = True
    trial_once_per_domain: bool = False
    revoke_on_refund: bool = False
    revoke_on_dispute: bool = False
    automatic_tax: bool = False
    tax_id_collection: bool = False
    usage_retention_months: int = 25
    allowed_origins: tuple[str, ...] = ()
    session_ttl_minutes: int = 30 * 24 * 60
    session_idle_minutes: int = 14 * 24 * 60
    access_token_ttl_minutes: int = 15
    email_from_name: str | None = None
    brand_color: str | None = None
    logo_url: str | None = None
    second_factors: str = OFF

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> AppSettings:
        """Return what an app's stored settings come to."""
        given: dict[str, Any] = {}
        for name in SPOKEN:
            if name in stored:
                value = stored[name]
                given[name] = tuple(value) if isinstance(value, list) else value
        return cls(**given)

    def spoken(self) -> dict[str, Any]:
        """Return all settings as the API shows them."""
        return {
            SPOKEN[name]: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }


SPOKEN = {field.name: camel(field.name) for field in fields(AppSettings)}


def merged(stored: Mapping[str, Any], given: Mapping[str, Any], environment: str) -> dict[str, Any]:
    """Return the settings to store: those that were, overlaid with what is given.

    Raises `ValidationFailed` for a URL that the app's environment does not allow.
    """
    refuse_unsafe_urls(given, environment)
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
    return {**stored, **plain}


def first_settings(environment: str) -> dict[str, Any]:
    """Return what a new app starts with: a test app trusts the developer's own machine and may try organizations."""
    if environment != "test":
        return {}
    return {"callback_urls": LOCAL_CALLBACKS, "allowed_origins": LOCAL_ORIGINS, "organizations_enabled": True}


def refuse_unsafe_urls(given: Mapping[str, Any], environment: str) -> None:
    """Raise for plain http anywhere but on the developer's own machine, and there in test apps only."""
    urls: dict[str, Iterable[str | None]] = {
        "callback_urls": given.get("callback_urls") or (),
        "allowed_origins": given.get("allowed_origins") or (),
        "dev_callback_url": (given.get("dev_callback_url"),),
        "verification_url": (given.get("verification_url"),),
        "logo_url": (given.get("logo_url"),),
    }
    wrong: dict[str, list[str]] = {}
    for name, values in urls.items():
        for url in values:
            if url is not None and not _safe(url, environment):
                sentence = f"{url} must use https. Only test apps may use http, and only for localhost."
                wrong.setdefault(f"settings.{SPOKEN[name]}", []).append(sentence)
    if wrong:
        raise ValidationFailed(fields=wrong)


def _safe(url: str, environment: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https":
        return True
    return environment == "test" and parts.hostname in LOCAL_HOSTS


def origin_of(text: str) -> str | None:
    """Return the text if it is an origin as browsers send it (RFC 6454, section 6.2), else None.

    Lower case, no path, no trailing slash, no default port: what is registered is compared whole
    with the Origin header, so no other spelling could ever match.
    """
    match = re.fullmatch(r"(https?)://([^/:?#@\[\]\\\s]+)(?::([1-9]\d{0,4}))?", text)
    if match is None or not HOST.fullmatch(match[2]):
        return None
    default = {"http": "80", "https": "443"}[match[1]]
    if match[3] is not None and (match[3] == default or int(match[3]) > LARGEST_PORT):
        return None
    return text


def callback_fault(url: str) -> str | None:
    """Return why a URL cannot be a callback, None where it can.

    A callback is compared whole with what a request names, so it is kept as written; what could
    be read in two ways (credentials, fragments, capitals in the host, backslashes) is refused.
    """
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    plain = origin.removesuffix(":443" if parts.scheme == "https" else ":80")
    if not url.isascii() or re.search(r"[\s\\\x00-\x20\x7f*]", url):
        return "Must be plain ASCII, without spaces, backslashes or wildcards."
    if parts.fragment or url.endswith("#"):
        return "Must not have a fragment."
    if origin_of(plain) is None:
        return "Must have a plain lower-case host."
    if "/../" in f"{parts.path}/" or "/./" in f"{parts.path}/":
        return "Must not have dot segments."
    return None
