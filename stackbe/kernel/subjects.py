"""The registry of personal data: who holds any, how it is exported, how it is erased.

A model with a sealed field or a subject must be registered; an architecture test compares. Lower
apps know nothing of the higher ones that hold data on the same person, so each registers itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

Export = Callable[["Scope", UUID], Any]
Erase = Callable[["Scope", UUID], int]


@dataclass(frozen=True, slots=True)
class Holder:
    """One place that holds data on a person."""

    name: str
    models: tuple[str, ...]
    export: Export
    erase: Erase


_holders: dict[str, Holder] = {}


def register(name: str, *, models: tuple[str, ...], export: Export, erase: Erase) -> None:
    """Say what a model holds on a subject and how it is let go.

    `models` are labels such as `accounts.Customer`. `export(scope, subject_id)` answers what is
    JSON-serialisable; `erase(scope, subject_id)` deletes or pseudonymises and returns how many rows.
    """
    _holders[name] = Holder(name, models, export, erase)


def registered_models() -> frozenset[str]:
    """Return the labels of all models whose personal data is accounted for."""
    return frozenset(label for holder in _holders.values() for label in holder.models)


def export_subject(scope: Scope, subject_id: UUID) -> dict[str, Any]:
    """Return everything held on a person, by holder."""
    return {h.name: h.export(scope, subject_id) for h in _holders.values()}


def erase_subject(scope: Scope, subject_id: UUID) -> dict[str, int]:
    """Let go of a person everywhere, then destroy their key. Idempotent; returns rows by holder."""
    unit = require_change()
    counts = {h.name: h.erase(scope, subject_id) for h in reversed(_holders.values())}
    unit.keys.destroy_subject(subject_id)
    return counts
