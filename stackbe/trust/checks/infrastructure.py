"""Infrastructure (I1, I2)."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from django.conf import settings

from stackbe.kernel.clock import wall_clock
from stackbe.trust.checks.asking import as_role, tls
from stackbe.trust.checks.scanning import texts
from stackbe.trust.lock import locked_on, read_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stackbe.trust.checks.shapes import Found

# Where code and texts of ours lie; what a start makes (.stackbe, .venv) is not under version control.
FOLDERS = (
    "stackbe",
    "accounts",
    "apikeys",
    "billing",
    "usage",
    "webhooks",
    "templates",
    "docs",
    "examples",
    ".requirements",
    ".ci",
    ".github",
)
KINDS = {".py", ".html", ".txt", ".md", ".js", ".json", ".yaml", ".yml", ".toml", ".in", ".css"}
SHORTEST_SECRET = 12
OLDEST_LOCK_DAYS = 30
SECONDS = 20


def secrets_kept(found: Found) -> None:
    """Look for the values of this deployment's own secrets in its code, its texts and its tables."""
    wanted = set(_secrets())
    hit = sorted({str(path.relative_to(settings.BASE_DIR)) for path in _files() if _holds(path, wanted)})
    found.need(not hit, "No secret of this deployment is in its code.", f"A secret is in {', '.join(hit)}.")
    with as_role("staff") as staff:
        tables = {table for table, text in texts(staff) if any(secret in text for secret in wanted)}
    found.need(not tables, "None is in the database.", f"A secret is in {', '.join(sorted(tables))}.")
    found.need(
        len(settings.SECRET_KEY) >= 50 and not settings.DEBUG,  # noqa: PLR2004  # what Django's deploy check asks for
        "They come from the environment and are strong.",
        "A secret is weak, or DEBUG is on.",
    )


def _secrets() -> Iterator[str]:
    """Yield every secret that this process was given."""
    given = [
        settings.SECRET_KEY,
        settings.STRIPE_SECRET_KEY,
        settings.METRICS_TOKEN,
        settings.EMAIL_WEBHOOK_SECRET,
        settings.AUDIT_HEADS_SECRET,
        *settings.STRIPE_PLATFORM_WEBHOOK_SECRETS,
        *settings.STRIPE_CONNECT_WEBHOOK_SECRETS,
        *(part.partition(":")[2] for part in settings.STACKBE_MASTER_KEY.split(",")),
        *(unquote(urlsplit(url).password or "") for url in (*settings.ROLE_URLS.values(), settings.EMAIL_URL)),
    ]
    yield from (secret for secret in given if len(secret) >= SHORTEST_SECRET)


def _files() -> Iterator[Path]:
    for name in FOLDERS:
        yield from (p for p in (settings.BASE_DIR / name).rglob("*") if p.suffix in KINDS and p.is_file())
    yield from (p for p in settings.BASE_DIR.iterdir() if p.is_file() and not p.name.startswith(".env"))


def _holds(path: Path, wanted: set[str]) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return any(secret in text for secret in wanted)


def supply_chain(found: Found) -> None:
    """Compare what is installed with the lock, read the lock's age, and ask the advisory service about each package."""
    found.stated("STATED_DEPLOYMENT", "How deployments come about is not said.")
    locked = read_lock()
    pins = {package.name: package.version for package in locked}
    found.need(
        pins and all(package.hashes for package in locked),
        f"{len(pins)} packages are locked by hash.",
        "The lock is without hashes.",
    )
    other = [name for name, version in pins.items() if _installed(name) not in {None, version}]
    found.need(not other, "What runs is what is locked.", f"Other than locked: {', '.join(sorted(other))}.")
    dated = locked_on()
    if not dated:
        found.not_run("The lock tells no date.")
    else:
        days = (wall_clock().date() - date.fromisoformat(dated)).days
        found.need(
            days <= OLDEST_LOCK_DAYS, f"The lock is {days} days old.", f"The lock is {days} days old; 30 are allowed."
        )
    _advisories(found, pins)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None  # for another platform


def _advisories(found: Found, pins: dict[str, str]) -> None:
    """Ask the service that pip-audit asks too. One that does not answer is said to be unasked, never green."""
    url = settings.ADVISORY_URL
    if not url:
        found.not_run("No advisory service is set (ADVISORY_URL).")
        return
    queries = [{"package": {"name": n, "ecosystem": "PyPI"}, "version": v} for n, v in sorted(pins.items())]
    asked = urllib.request.Request(  # noqa: S310  # the operator's own setting
        url, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=SECONDS, context=tls()) as reply:  # noqa: S310  # as above
            results: list[dict[str, Any]] = json.loads(reply.read())["results"]
    except (OSError, urllib.error.URLError, ValueError, KeyError) as failure:
        found.not_run(f"The advisory service did not answer ({type(failure).__name__}).")
        return
    known = [q["package"]["name"] for q, r in zip(queries, results, strict=False) if r.get("vulns")]  # type: ignore[index]  # our own dicts
    if len(results) != len(queries):
        found.not_run("The advisory service answered for some packages only.")
        return
    found.need(
        not known,
        f"No known vulnerability in {len(pins)} packages, asked just now.",
        f"Known vulnerabilities: {', '.join(map(str, known))}.",
    )
