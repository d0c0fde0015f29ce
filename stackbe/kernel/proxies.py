"""Whom we believe what the proxies in front of us tell: the caller's address, its country, and that it came by https.

Anybody may send `X-Forwarded-For`. It is read only off connections of the proxies that a deployment names
(`TRUSTED_PROXIES`, `TRUSTED_PROXY_ADDRESSES`), and only as many entries deep as there are proxies.
`X-Forwarded-Host` is never read: a proxy hands on the `Host` that was asked for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    from stackbe.kernel.bodies import WsgiApp

# Where the nearest proxy connects from unless the deployment says: no address that the internet reaches us from.
INTERNAL = (
    "127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
    "fc00::/7", "fe80::/10",
)  # fmt: skip
FORWARDED = (
    "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT",
    "HTTP_FORWARDED",
)  # fmt: skip


class KnownProxies:
    """Takes out of a request what only our proxies may say, unless one of them brought it."""

    def __init__(self, application: WsgiApp) -> None:
        """Take the application that is served."""
        self.application = application
        country = settings.COUNTRY_HEADER
        self.names = (*FORWARDED, *([f"HTTP_{country.upper().replace('-', '_')}"] if country else []))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        if not (settings.TRUSTED_PROXIES and is_proxy(environ.get("REMOTE_ADDR", ""))):
            for name in self.names:
                environ.pop(name, None)
        return self.application(environ, start_response)


def is_proxy(text: str) -> bool:
    """Say whether an address is one that our proxies connect from. A unix socket has none, and only they reach it."""
    return text == "" or _among(text, tuple(settings.TRUSTED_PROXY_ADDRESSES) or INTERNAL)


def forwarded_for(peer: str, header: str, proxies: int) -> str:
    """Return the address that the outermost of so many proxies was asked from.

    Each proxy appends whom it was asked by, so it is read from the right, and what stands left of the outermost
    is the caller's own. Where the deployment names its proxies, it is read no further than they wrote it: whoever
    comes past a CDN is none of its addresses. Where it does not, the nearest is known by its place and the others
    are counted.
    """
    entries = [entry.strip() for entry in header.split(",")] if header else []
    named = bool(settings.TRUSTED_PROXY_ADDRESSES)
    for depth, entry in enumerate(entries[: -proxies - 1 : -1]):
        if (named or not depth) and not is_proxy(peer):
            break
        peer = entry
    return peer


@lru_cache(maxsize=4096)
def _among(text: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in ipaddress.ip_network(network) for network in networks)
