"""The wall between tenants' URLs and our own network (server-side request forgery).

A tenant may name any URL, and whoever owns the name decides what it resolves to, again and
again. So the URL is judged when it is stored, and every address is judged when a delivery is
made: one bad address among the answers refuses all, and the connection goes to an address that
was judged, never to a second look-up.

The rule for addresses is an explicit list of the special-purpose blocks of IANA (RFC 6890 and
its successors) and not `ipaddress.is_global`, which lets 6to4, NAT64, multicast and
v4-compatible forms of inner addresses through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import SplitResult, urlsplit

import idna

MAX_URL_LENGTH = 2048
MAX_HOST_LENGTH = 253
FIRST_UNPRIVILEGED_PORT = 1024
DEFAULT_PORTS = {"https": 443, "http": 80}

# Ports of other protocols that browsers refuse as well (WHATWG Fetch, "bad port"), so that no
# delivery is taken for a line of IRC, SIP, X11 or the like.
FOREIGN_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566, 10080, 11211}
    | set(range(6665, 6670))
    | {6679, 6697}
)

_IPV4_REFUSED = {
    IPv4Network(block): reason
    for block, reason in {
        "0.0.0.0/8": "this network",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "shared carrier space",
        "127.0.0.0/8": "loopback",
        "168.63.129.16/32": "cloud metadata",
        "169.254.0.0/16": "link-local or cloud metadata",
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "protocol assignments",
        "192.0.2.0/24": "documentation",
        "192.31.196.0/24": "AS112",
        "192.52.193.0/24": "multicast relay",
        "192.88.99.0/24": "6to4 relay",
        "192.168.0.0/16": "private",
        "192.175.48.0/24": "AS112",
        "198.18.0.0/15": "benchmarking",
        "198.51.100.0/24": "documentation",
        "203.0.113.0/24": "documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved or broadcast",
    }.items()
}

# Only 2000::/3 has been given out for the public Internet. What lies outside of it (loopback,
# v4-mapped, v4-compatible, NAT64, unique local, link-local, multicast, discard, …) is refused
# as a whole; these are the blocks inside of it that lead elsewhere.
_IPV6_PUBLIC = IPv6Network("2000::/3")
_IPV6_REFUSED = {
    IPv6Network(block): reason
    for block, reason in {
        "2001::/23": "protocol assignments, Teredo, benchmarking or ORCHID",
        "2001:db8::/32": "documentation",
        "2002::/16": "6to4",
        "2620:4f:8000::/48": "AS112",
        "3ffe::/16": "the former 6bone",
        "3fff::/20": "documentation",
    }.items()
}

# What a development copy may reach besides: this machine and its private networks. Metadata
# services stay out of reach even there.
_LOCAL = (
    IPv4Network("127.0.0.0/8"),
    IPv4Network("10.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv6Network("::1/128"),
    IPv6Network("fc00::/7"),
)
_NEVER_LOCAL = (IPv6Network("fd00:ec2::/32"),)
_ISATAP = (0x00005EFE, 0x02005EFE)

_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".localdomain", ".home.arpa")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PRINTABLE = re.compile(r"[\x21-\x7e]*")
_FORBIDDEN_IN_URL = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029]")


class TargetRefused(ValueError):
    """The URL or address may not be delivered to. The text says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Target:
    """A judged URL, taken apart. `host` is lower-case ASCII; an IPv6 literal has no brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """Return the URL in the one spelling that is stored and requested."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    @property
    def is_address(self) -> bool:
        """Say whether the host is an address and no name, so that there is nothing to look up."""
        return ":" in self.host or _NUMERIC_LABEL.fullmatch(self.host.rpartition(".")[2]) is not None


def judge_url(url: str, *, live: bool, allow_local: bool = False) -> Target:
    """Return the parts of a URL that events may be sent to, or raise `TargetRefused`.

    Live apps need https. Names are not resolved here: what they resolve to today says nothing
    of tomorrow, so that is judged at each delivery. `allow_local` is the development setting
    that opens this machine and its private networks.
    """
    if len(url) > MAX_URL_LENGTH:
        raise TargetRefused(f"The URL is longer than {MAX_URL_LENGTH} characters.")
    if _FORBIDDEN_IN_URL.search(url):
        raise TargetRefused("The URL holds a space, a backslash or a control character.")
    parts = _split(url)
    scheme = _judge_scheme(parts, live=live)
    host = _judge_host(parts, allow_local=allow_local)
    port = _judge_port(parts, scheme)
    return Target(scheme=scheme, host=host, port=port, path=_path_of(parts))


def judge_address(address: str, *, allow_local: bool = False) -> str:
    """Return the address in canonical form if a delivery may connect to it.

    Raises `TargetRefused` with the reason otherwise, and for text that is no plain address:
    zones (`fe80::1%eth0`), octal and short forms.
    """
    parsed = _parse_address(address)
    if parsed is None:
        raise TargetRefused(f"{address!r} is not an address in canonical form.")
    reason = refusal_of(parsed)
    if reason and not (allow_local and _is_local(parsed)):
        raise TargetRefused(f"{parsed} is not a public address ({reason}).")
    return str(parsed)


def judge_addresses(addresses: list[str], *, allow_local: bool = False) -> list[str]:
    """Return the judged addresses of a name, in order and without repeats.

    One bad address refuses all of them: a name that mixes a public address with an inner one
    has no honest reason to, and a connection would sooner or later try the other.
    """
    if not addresses:
        raise TargetRefused("The host name has no address.")
    judged = [judge_address(address, allow_local=allow_local) for address in addresses]
    return list(dict.fromkeys(judged))


def refusal_of(address: IPv4Address | IPv6Address) -> str:
    """Return why the address is not on the public Internet, or an empty string."""
    if isinstance(address, IPv4Address):
        return next((why for block, why in _IPV4_REFUSED.items() if address in block), "")
    if address.scope_id is not None:
        return "it names a zone"
    if address not in _IPV6_PUBLIC:
        return "outside of the public unicast space"
    interface = int(address) & ((1 << 64) - 1)
    if interface >> 32 in _ISATAP:
        return "an IPv4 address in ISATAP form"
    return next((why for block, why in _IPV6_REFUSED.items() if address in block), "")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise TargetRefused("The URL could not be read. Write it as https://host/path.") from None
    return parts


def _judge_scheme(parts: SplitResult, *, live: bool) -> str:
    if parts.scheme not in DEFAULT_PORTS:
        raise TargetRefused("The URL must begin with https://.")
    if parts.scheme == "http" and live:
        raise TargetRefused("A live app's webhooks go to https:// only.")
    if "@" in parts.netloc:
        raise TargetRefused("The URL may not hold a user name or a password.")
    if parts.fragment:
        raise TargetRefused("The URL may not hold a fragment (#…).")
    return parts.scheme


def _judge_host(parts: SplitResult, *, allow_local: bool) -> str:
    written = parts.netloc
    if written.startswith("["):
        inside = written[1:].partition("]")[0]
        if ":" not in inside:
            raise TargetRefused("Only an IPv6 address is written in brackets.")
        return judge_address(inside, allow_local=allow_local)
    host = _to_ascii(written.partition(":")[0].lower())
    labels = host.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        # Resolvers read 127.1, 0177.0.0.1 and 2130706433 as addresses too; only the
        # canonical dotted form gets as far as being judged.
        return judge_address(host, allow_local=allow_local)
    if len(host) > MAX_HOST_LENGTH or not all(_LABEL.fullmatch(label) for label in labels):
        raise TargetRefused("The URL's host name is not valid.")
    if not allow_local and (len(labels) == 1 or f".{host}".endswith(_LOCAL_SUFFIXES)):
        raise TargetRefused(f"{host} is a name of a local network.")
    return host


def _to_ascii(host: str) -> str:
    if host.isascii():
        return host
    try:
        # Strict IDNA 2008: a look-alike such as ①②⑦ is refused and not translated.
        return idna.encode(host, strict=True).decode()
    except idna.IDNAError:
        raise TargetRefused("The URL's host name is not a valid international name.") from None


def _judge_port(parts: SplitResult, scheme: str) -> int:
    if parts.port is None:
        if parts.netloc.endswith(":"):
            raise TargetRefused("The URL's port is missing after the colon.")
        return DEFAULT_PORTS[scheme]
    port = parts.port
    if port not in DEFAULT_PORTS.values() and (port < FIRST_UNPRIVILEGED_PORT or port in FOREIGN_PORTS):
        raise TargetRefused("The URL's port must be 443, 80, or 1024 and up (HTTP services only).")
    return port


def _path_of(parts: SplitResult) -> str:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _PRINTABLE.fullmatch(path):
        raise TargetRefused("Write characters beyond ASCII in the path percent-encoded.")
    return path


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return IPv6Address(text) if ":" in text else IPv4Address(text)
    except ValueError:
        return None


def _is_local(address: IPv4Address | IPv6Address) -> bool:
    if any(address in block for block in _NEVER_LOCAL):
        return False
    return any(address in block for block in _LOCAL)
