"""What an entry of the list says: a promise, the control that keeps it, and the tests that must notice its loss."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Check:
    """One numbered promise of docs/checks.md and the tests that hold it, as `file::test` below tests/.

    `unsabotaged` says why no control of it is taken out by the runner, where none is.
    """

    number: int
    promise: str
    tests: tuple[str, ...]
    unsabotaged: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """A piece of one file's text, which stands there exactly once, and what stands there instead."""

    path: str
    text: str
    instead: str

    def applied(self, content: str) -> str:
        """Return the content with the edit made, or raise `Rotten` where its text is not there once."""
        if content.count(self.text) != 1:
            raise Rotten(f"stands {content.count(self.text)} times in {self.path}, not once:\n{self.text}")
        return content.replace(self.text, self.instead)


@dataclass(frozen=True, slots=True)
class Sabotage:
    """One control taken out, by edits of the code or by SQL that the owner runs on each database of the tests.

    Each of the tests (`file::test` below tests/) must fail for it by an assertion of its own: a crash proves
    nothing.
    """

    name: str
    check: int
    removes: str
    tests: tuple[str, ...]
    edits: tuple[Edit, ...] = ()
    sql: str = ""

    def applied(self, root: Path = ROOT) -> dict[str, str]:
        """Return each edited file's new content by its path."""
        files: dict[str, str] = {}
        for edit in self.edits:
            content = files.get(edit.path) or (root / edit.path).read_text(encoding="utf-8")
            files[edit.path] = edit.applied(content)
        return files


class Rotten(Exception):
    """An entry no longer fits the code: bring it up to date."""


def rewritten(function: str, text: str, instead: str) -> str:
    """Return the SQL that puts something else in the place of a piece of a look-up function, or fails."""
    return f"""
    set role stackbe_lookup;
    do $do$ declare found text := pg_get_functiondef('lookup.{function}'::regproc); begin
      if position('{text}' in found) = 0 then raise 'the text is not in lookup.{function}'; end if;
      execute replace(found, '{text}', '{instead}');
    end $do$;
    reset role;
    """


def weakened(function: str, *pieces: tuple[str, str]) -> str:
    """Return the SQL that puts something else in the place of pieces of a function that runs as its caller, or fails."""
    steps = "".join(
        f"""
      if position('{text}' in found) = 0 then raise 'the text is not in {function}'; end if;
      found := replace(found, '{text}', '{instead}');"""
        for text, instead in pieces
    )
    return f"""
    do $do$ declare found text := pg_get_functiondef('{function}'::regproc); begin{steps}
      execute found;
    end $do$;
    """
