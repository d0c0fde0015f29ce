"""What this software is made of, as its lock names it: packages with versions and hashes, and who wants whom.

The bill of materials is made from the lock when it is asked for. There is no second copy that could say something else.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    from pathlib import Path

LOCK = "requirements.txt"
LOCKED_ON = ".requirements/locked-on"
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^ ;\\]+)\s*(?:;\s*([^\\]*?))?\s*\\?$")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
# Who wants a package stands under it as a comment; `-r` names our own list.
WANTED_BY = re.compile(r"^    #(?: via|  )\s+(?:(-r)\s+)?(\S+)$")
OURSELVES = "stackbe"
SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
NAMESPACE = uuid.UUID("6f1cbf0e-3a57-5d0c-9a9b-5a8d3a0f4c1e")


@dataclass(frozen=True, slots=True)
class Locked:
    """A package of the lock. `marker` says on which machines it is wanted, empty for all."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    wanted_by: tuple[str, ...]

    @property
    def purl(self) -> str:
        """Return its package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def read_lock(path: Path | None = None) -> list[Locked]:
    """Return the packages that a lock names, in its order; by default those of a running copy."""
    text = (path or settings.BASE_DIR / LOCK).read_text(encoding="utf-8")
    found: list[tuple[re.Match[str], list[str], list[str]]] = []
    for line in text.splitlines():
        if pin := PIN.match(line):
            found.append((pin, [], []))
        elif found and (digest := HASH.search(line)):
            found[-1][1].append(digest[1])
        elif found and (wanted := WANTED_BY.match(line)):
            found[-1][2].append(OURSELVES if wanted[1] else wanted[2])
    return [
        Locked(pin[1].lower().replace("_", "-"), pin[2], pin[3] or "", tuple(hashes), tuple(wanted))
        for pin, hashes, wanted in found
    ]


def locked_on() -> str:
    """Return the date of the lock, YYYY-MM-DD, empty where none is told."""
    dated = settings.BASE_DIR / LOCKED_ON
    return dated.read_text(encoding="utf-8").strip() if dated.is_file() else ""


@lru_cache(maxsize=1)
def bill_of_materials() -> dict[str, Any]:
    """Return the lock as a CycloneDX 1.6 bill of materials, with the graph of who wants whom. Made once a process."""
    packages, digest = read_lock(), hashlib.sha256((settings.BASE_DIR / LOCK).read_bytes()).hexdigest()
    refs = {package.name: package.purl for package in packages} | {OURSELVES: OURSELVES}
    wants: dict[str, list[str]] = {ref: [] for ref in refs.values()}
    for package in packages:
        for name in package.wanted_by:
            if name in refs:
                wants[refs[name]].append(package.purl)
    dated = locked_on()
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, digest)}",
        "version": 1,
        "metadata": {
            **({"timestamp": f"{dated}T00:00:00Z"} if dated else {}),
            "lifecycles": [{"phase": "build"}],
            "component": {"type": "application", "bom-ref": OURSELVES, "name": OURSELVES},
        },
        "components": [_component(package) for package in packages],
        "dependencies": [{"ref": ref, "dependsOn": sorted(wanted)} for ref, wanted in sorted(wants.items())],
    }


def _component(package: Locked) -> dict[str, Any]:
    """Return a package as a component. The lock knows the hashes of all its files, of which a machine installs one."""
    return {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        "scope": "optional" if package.marker else "required",
        "externalReferences": [
            {
                "type": "distribution",
                "url": f"https://pypi.org/project/{package.name}/{package.version}/",
                "hashes": [{"alg": "SHA-256", "content": digest} for digest in package.hashes],
            }
        ],
        **({"properties": [{"name": "stackbe:marker", "value": package.marker}]} if package.marker else {}),
    }
