"""What is read off a request: its address, its id."""

from __future__ import annotations

import ipaddress
import re
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings

from stackbe.kernel import proxies
from stackbe.kernel.ids import encode, new_id

if TYPE_CHECKING:
    from django.http import HttpRequest

COUNTRY = re.compile(r"[A-Za-z]{2}")
NO_COUNTRY = frozenset({"XX", "ZZ"})  # what proxies say of an address that they cannot place
SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:=+/@-]{1,64}")

request_id: ContextVar[str] = ContextVar("stackbe_request_id", default="")
address: ContextVar[str] = ContextVar("stackbe_address", default="")


class HasMeta(Protocol):
    """A request as far as it is looked at here."""

    META: dict[str, Any]


def client_address(request: HasMeta) -> str:
    """Return the caller's IP address.

    X-Forwarded-For is believed only for as many hops as TRUSTED_PROXIES counts, and only where a proxy of
    ours wrote it (stackbe/kernel/proxies.py).
    """
    hops = settings.TRUSTED_PROXIES
    peer: str = request.META.get("REMOTE_ADDR", "")
    if hops:
        peer = proxies.forwarded_for(peer, request.META.get("HTTP_X_FORWARDED_FOR", ""), hops)
    return _canonical_address(peer)


@lru_cache(maxsize=4096)
def _canonical_address(text: str) -> str:
    """Return the one spelling of an address; a caller's next request has the same."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return "0.0.0.0"  # noqa: S104  # not a bind address: the unknown caller over a unix socket
    # A dual-stack socket spells an IPv4 caller as ::ffff:192.0.2.1.
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def network_of(ip: str) -> str:
    """Return the address to count by: an IPv6 caller owns a whole /64."""
    parsed = ipaddress.ip_address(ip)
    if parsed.version == 6:  # noqa: PLR2004  # the protocol's number
        return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
    return ip


def truncated(ip: str) -> str:
    """Return the address as it is kept with a login: /24 for IPv4, /48 for IPv6."""
    parsed = ipaddress.ip_address(ip)
    prefix = 24 if parsed.version == 4 else 48  # noqa: PLR2004  # the protocol's number
    return str(ipaddress.ip_network((parsed, prefix), strict=False).network_address)


def country_of(request: HasMeta) -> str:
    """Return the caller's country (ISO 3166-1) as the proxy in front tells it in COUNTRY_HEADER, else nothing."""
    header = f"HTTP_{settings.COUNTRY_HEADER.upper().replace('-', '_')}"
    told: str = request.META.get(header, "") if settings.COUNTRY_HEADER else ""
    return told.upper() if COUNTRY.fullmatch(told) and told.upper() not in NO_COUNTRY else ""


def chosen_request_id(request: HttpRequest) -> str:
    """Return the caller's X-Request-Id if it is sane, else a fresh one."""
    return request_id_of(request.META)


def request_id_of(meta: dict[str, Any]) -> str:
    """Return the same of a request's environment."""
    incoming = meta.get("HTTP_X_REQUEST_ID", "")
    return incoming if SANE_REQUEST_ID.fullmatch(incoming) else encode("req", new_id())
