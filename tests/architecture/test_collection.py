"""Nothing in a test is older than the test: a clock that is read at collection stands still until the test's turn."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.databases import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOCKS = {"localdate", "localtime", "monotonic", "now", "perf_counter", "time", "time_ns", "today", "utcnow"}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def run_by_import(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Give what of a module or class runs as it is imported: all but the bodies of functions."""
    for statement in body:
        if isinstance(statement, DEFINITIONS):
            yield from statement.decorator_list
            yield statement.args
        elif isinstance(statement, ast.ClassDef):
            yield from statement.decorator_list
            yield from run_by_import(statement.body)
        else:
            yield statement


def but_lambdas(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree past its lambdas, which run when they are called."""
    if not isinstance(node, ast.Lambda):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from but_lambdas(child)


def clocks_read_by_import(source: str) -> list[int]:
    """Return the lines where importing the source reads a clock, but for functions that it calls."""
    return [
        call.lineno
        for part in run_by_import(ast.parse(source).body)
        for call in but_lambdas(part)
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in CLOCKS
    ]


def test_no_test_reads_the_clock_when_it_is_collected():
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line in clocks_read_by_import(path.read_text())
    ]

    assert found == [], "Give an offset and add it to the clock in the test: this one may begin much later."


@pytest.mark.parametrize(
    "source",
    [
        "LATER = int(time.time()) + 600",
        "@pytest.mark.parametrize('moment', [timezone.now()])\ndef test(moment): ...",
        "def made(at=datetime.now(UTC)): ...",
        "class Case:\n    began = monotonic()",
    ],
)
def test_a_clock_read_at_collection_is_seen(source):
    assert clocks_read_by_import(source)


@pytest.mark.parametrize("source", ["def test():\n    assert time.time() > 0", "LATER = lambda: time.time() + 600"])
def test_a_clock_read_in_a_test_may_be(source):
    assert clocks_read_by_import(source) == []
