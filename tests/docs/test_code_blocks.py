"""Code in README and docs/ is run as it stands, in order, against a running copy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.databases import ROOT

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
# Those of docs/webhooks.md are run by tests/webhooks/test_docs.py, which gives them something to verify.
RUN_ELSEWHERE = {"webhooks.md"}
# `text` is what a person types to start things, or sees; the runner's own tests run those commands.
LANGUAGES = {"text", "sh", "python", "json", "js", "http", "php", "java"}
pytestmark = pytest.mark.xdist_group("live")


def blocks(page, *languages):
    return [(kind, code) for kind, code in BLOCK.findall(page.read_text()) if kind in languages]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_names_its_language(page):
    assert {kind for kind, _ in BLOCK.findall(page.read_text())} <= LANGUAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [p for p in PAGES if p.name in {"README.md", "quickstart.md"}], ids=lambda p: p.name)
def test_the_examples_run(live_stack, page, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("NOT RUN: curl is not installed")
    tenant = live_stack.new_tenant()
    environment = os.environ | {
        "STACKBE_URL": tenant["baseUrl"],
        "STACKBE_KEY": tenant["apiKey"],
        "STACKBE_APP": tenant["appId"],
    }
    if page.name == "README.md":
        prepare = blocks(ROOT / "docs/quickstart.md", "sh")
        assert "post /metrics" in prepare[1][1]
        run("sh", prepare[1][1], environment, tmp_path)

    found = blocks(page, "sh", "python")

    assert found
    for kind, code in found:
        run(kind, code, environment, tmp_path)


def run(kind, code, environment, folder):
    command = [sys.executable, "-c", code] if kind == "python" else ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
