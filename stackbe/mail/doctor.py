"""Whether mail will arrive: what DNS says of the sender's domain, in sentences.

Receivers sort mail by three records: SPF (RFC 7208) names the servers that may send for a domain, DKIM
(RFC 6376) proves the signer, DMARC (RFC 7489) says what becomes of mail that neither vouches for. What
DNS alone cannot tell, such as the selector that a provider signs with, is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import dns.exception
import dns.resolver

Lookup = Callable[[str, str], list[str]]
SECONDS = 5.0
# The selectors that providers sign with unless told otherwise.
SELECTORS = (
    "default", "dkim", "mail", "s1", "s2", "k1", "k2", "k3", "selector1", "selector2", "google", "pm",
    "mailjet", "mte1", "mte2", "resend", "mlsend", "brevo1", "brevo2", "scph", "smtp", "mx",
)  # fmt: skip
MOST_SPF_LOOKUPS = 10
REVOKED = "p="
DEEPEST = 12


class Mark(StrEnum):
    """How a finding bodes."""

    GOOD = "ok"
    UNKNOWN = "unknown"
    BAD = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found out: what it is about, how it bodes, and what to do."""

    about: str
    mark: Mark
    sentence: str


class Unreachable(Exception):
    """No answer from DNS: it says nothing of the domain."""


def ask_dns(name: str, kind: str) -> list[str]:
    """Return a name's records of a kind as text; none where the name has none. Raises `Unreachable`."""
    try:
        answer = dns.resolver.resolve(name, kind, lifetime=SECONDS)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except dns.exception.DNSException as failure:
        raise Unreachable(type(failure).__name__) from failure
    if kind == "TXT":
        return [b"".join(record.strings).decode(errors="replace") for record in answer]
    return [record.to_text() for record in answer]


def examine(domain: str, selector: str = "", *, lookup: Lookup = ask_dns) -> list[Finding]:
    """Return what DNS says of the domain that mail is sent from: SPF, DKIM, DMARC, in this order."""
    checks: dict[str, Callable[[], Finding]] = {
        "SPF": lambda: _spf(domain, lookup),
        "DKIM": lambda: _dkim(domain, selector, lookup),
        "DMARC": lambda: _dmarc(domain, lookup),
    }
    return [_tried(about, check) for about, check in checks.items()]


def _tried(about: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Unreachable as failure:
        sentence = f"DNS did not answer ({failure}), so nothing is known. Try again where DNS is reachable."
        return Finding(about, Mark.UNKNOWN, sentence)


def _spf(domain: str, lookup: Lookup) -> Finding:
    found = _spf_records(domain, lookup)
    if not found:
        sentence = (
            f"{domain} has no SPF record. Add a TXT record at {domain} that names your mail server or provider,"
            ' such as "v=spf1 include:provider.example -all".'
        )
        return Finding("SPF", Mark.BAD, sentence)
    if len(found) > 1:
        sentence = f"{domain} has {len(found)} SPF records; receivers then ignore all. Merge them into one."
        return Finding("SPF", Mark.BAD, sentence)
    terms = found[0].lower().split()
    if {"+all", "all"} & set(terms):
        return Finding("SPF", Mark.BAD, f'"{found[0]}" lets anybody send for {domain}. End it with -all or ~all.')
    asked = _lookups_of(domain, lookup, DEEPEST)
    if asked > MOST_SPF_LOOKUPS:
        sentence = f"{domain}'s SPF record takes {asked} look-ups and receivers stop at 10. Remove what you do not use."
        return Finding("SPF", Mark.BAD, sentence)
    if not {"-all", "~all"} & set(terms) and not any(term.startswith("redirect=") for term in terms):
        return Finding("SPF", Mark.BAD, f'"{found[0]}" does not say what becomes of other servers. End it with -all.')
    sentence = f'{domain} says "{found[0]}". See that your mail server or provider is among those named.'
    return Finding("SPF", Mark.GOOD, sentence)


def _spf_records(domain: str, lookup: Lookup) -> list[str]:
    return [text for text in lookup(domain, "TXT") if text.lower().split(" ")[0] == "v=spf1"]


def _lookups_of(domain: str, lookup: Lookup, depth: int) -> int:
    """Return how many further DNS questions a record costs a receiver (RFC 7208, section 4.6.4)."""
    records = _spf_records(domain, lookup)
    if not records or depth == 0:
        return 0
    total = 0
    for raw in records[0].lower().split()[1:]:
        term = raw.lstrip("+-~?")
        if term.startswith(("include:", "redirect=", "exists:")) or term.split(":")[0].split("/")[0] in {
            "a",
            "mx",
            "ptr",
        }:
            total += 1
        if term.startswith(("include:", "redirect=")):
            total += _lookups_of(term.replace("=", ":", 1).partition(":")[2], lookup, depth - 1)
    return total


def _dkim(domain: str, selector: str, lookup: Lookup) -> Finding:
    for name in (selector,) if selector else SELECTORS:
        host = f"{name}._domainkey.{domain}"
        keys = [text for text in lookup(host, "TXT") if "p=" in text]
        if not keys:
            continue
        if any(part.strip() == REVOKED for part in keys[0].split(";")):
            return Finding(
                "DKIM", Mark.BAD, f"The key at {host} has been revoked (an empty p=). Publish the current one."
            )
        return Finding("DKIM", Mark.GOOD, f"A key is published at {host}.")
    if selector:
        sentence = (
            f"No key is published at {selector}._domainkey.{domain}. Add the record that your provider shows you."
        )
        return Finding("DKIM", Mark.BAD, sentence)
    sentence = (
        f"No key was found under the selectors that are common at {domain}. DNS cannot list them: say yours with"
        " --selector, or look for dkim=pass in the headers of the mail that was just sent."
    )
    return Finding("DKIM", Mark.UNKNOWN, sentence)


def _dmarc(domain: str, lookup: Lookup) -> Finding:
    labels = domain.split(".")
    # A subdomain is judged by its own record, else by that of the domain it belongs to.
    for first in range(max(1, len(labels) - 1)):
        at = ".".join(labels[first:])
        found = [text for text in lookup(f"_dmarc.{at}", "TXT") if text.replace(" ", "").lower().startswith("v=dmarc1")]
        if len(found) > 1:
            return Finding("DMARC", Mark.BAD, f"_dmarc.{at} has {len(found)} records; receivers then ignore all.")
        if found:
            return _policy(at, found[0])
    sentence = (
        f'{domain} has no DMARC record. Add a TXT record at _dmarc.{domain}: "v=DMARC1; p=none; rua=mailto:…" to'
        " begin with, p=quarantine or p=reject once its reports look right."
    )
    return Finding("DMARC", Mark.BAD, sentence)


def _policy(at: str, record: str) -> Finding:
    tags = dict(part.strip().split("=", 1) for part in record.split(";") if "=" in part)
    policy = tags.get("p", "").strip().lower()
    if policy not in {"none", "quarantine", "reject"}:
        return Finding("DMARC", Mark.BAD, f'"{record}" at _dmarc.{at} has no policy: add p=none, quarantine or reject.')
    if policy == "none":
        sentence = f"_dmarc.{at} only watches (p=none): forged mail is still delivered. Move on to p=quarantine."
        return Finding("DMARC", Mark.GOOD, sentence)
    return Finding(
        "DMARC", Mark.GOOD, f"_dmarc.{at} has mail in your name that nothing vouches for put aside (p={policy})."
    )
