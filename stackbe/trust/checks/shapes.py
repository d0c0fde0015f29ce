"""What a check finds, and how parts of one come to a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from django.conf import settings


class State(StrEnum):
    """How a promise stands, best first."""

    OK = "ok"
    STATED = "stated"  # by the operator, for what a program cannot see; `STATEMENTS` lists where
    NOT_RUN = "not_run"
    LATE = "late"
    FAILED = "failed"

    @property
    def is_red(self) -> bool:
        """True where the promise is not kept."""
        return self in {State.LATE, State.FAILED}

    @property
    def word(self) -> str:
        """Return how it is said in a terminal."""
        return {
            State.OK: "pass",
            State.STATED: "stated by the operator",
            State.NOT_RUN: "NOT RUN",
            State.LATE: "LATE",
            State.FAILED: "FAIL",
        }[self]


# What no program on the deployment can see: the one list of rows that an operator's word may stand in for, with the
# variable that the word is given in. A test holds that no other check says `stated`.
STATEMENTS = {
    "STATED_VOLUME_ENCRYPTION": ("E3", "how the database's volume is encrypted"),
    "STATED_BACKUPS": ("D1", "the provider's backups and point-in-time recovery, where ours cannot run"),
    "STATED_REGION": ("D2", "the region that the data lies in, such as us-west"),
    "STATED_PROVIDERS": ("D2", "who runs what, and what attests it: name|what it does|attestation, by semicolons"),
    "STATED_DEPLOYMENT": ("I2", "how deployments come from protected branches"),
}
ORDER = list(State)


class NotRun(Exception):
    """A check that could not look, and why."""


@dataclass(slots=True)
class Found:
    """What a check found, part by part. The worst part is the verdict."""

    parts: list[tuple[State, str]] = field(default_factory=list)

    def need(self, holds: object, good: str, bad: str) -> None:
        """Note that something is as it must be, or that it is not."""
        self.parts.append((State.OK, good) if holds else (State.FAILED, bad))

    def failed(self, sentence: str) -> None:
        """Note what is broken."""
        self.parts.append((State.FAILED, sentence))

    def late(self, sentence: str) -> None:
        """Note what should have happened by now."""
        self.parts.append((State.LATE, sentence))

    def not_run(self, sentence: str) -> None:
        """Note what could not be looked at, and why."""
        self.parts.append((State.NOT_RUN, sentence))

    def stated(self, variable: str, missing: str, shown: str = "") -> str:
        """Take an operator's word, and return it. In production its absence is a fault, elsewhere it is not run.

        `shown` is what the page says of it where the word itself is no sentence.
        """
        said: str = settings.STATEMENTS.get(variable, "").strip()
        if said:
            self.parts.append((State.STATED, shown or said))
        elif settings.PRODUCTION:
            self.failed(f"{missing} Say it in {variable}.")
        else:
            self.not_run(f"A development start: {variable} says nothing.")
        return said

    @property
    def state(self) -> State:
        """Return the worst of all parts; nothing looked at is nothing shown."""
        return max((state for state, _ in self.parts), key=ORDER.index, default=State.NOT_RUN)

    @property
    def evidence(self) -> str:
        """Return what was found, in sentences: the parts that decide it first, the rest where all is well."""
        worst = self.state
        first = [said for state, said in self.parts if state == worst]
        rest = [] if worst.is_red else [said for state, said in self.parts if state != worst]
        return " ".join(dict.fromkeys(first + rest))


@dataclass(frozen=True, slots=True)
class Promise:
    """A row of the mission: its number, what is promised, how it is kept, and the check that looks."""

    id: str
    promise: str
    keeps: str
    look: Callable[[Found], None]


@dataclass(frozen=True, slots=True)
class Group:
    """A section of the trust page."""

    title: str
    promises: tuple[Promise, ...]
