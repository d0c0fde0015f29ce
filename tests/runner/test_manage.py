"""manage.py itself: the only file that an old Python reads."""

from __future__ import annotations

import ast
import importlib.util
import sys

import pytest

from stackbe.runner.state import REPOSITORY

SOURCE = REPOSITORY / "manage.py"


@pytest.fixture
def manage():
    spec = importlib.util.spec_from_file_location("manage_under_test", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_parses_on_python_3_8():
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 8))

    at_the_top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [name.name for node in at_the_top for name in node.names] == ["sys"]


def test_an_older_python_gets_a_sentence(manage, monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))

    status = manage.main()

    said = capsys.readouterr().err
    assert status == 2
    assert "needs Python 3.11 or newer; this is 3.9" in said
    assert "Traceback" not in said
    assert said.count("\n") == 1
