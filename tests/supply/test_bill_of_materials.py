"""The bill of materials says what is installed, in the form that the scanners of others read."""

from __future__ import annotations

import json
import re
from importlib import metadata
from io import StringIO

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from django.core.management import call_command
from django.test import Client
from packageurl import PackageURL

from stackbe.runner.venv import LOCKS
from stackbe.trust.checks import infrastructure
from stackbe.trust.checks.shapes import Found, State
from stackbe.trust.lock import read_lock
from tests.databases import ROOT


@pytest.fixture
def bill(db):
    response = Client(headers={"host": "localhost:8000"}).get("/security/sbom.json")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("application/vnd.cyclonedx+json")
    return response.content.decode()


def test_the_bill_is_cyclonedx_and_names_each_package_of_the_lock_with_its_hashes(bill):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    printed = StringIO()
    call_command("sbom", stdout=printed)
    told = json.loads(bill)
    assert json.loads(printed.getvalue()) == told

    lock = (ROOT / "requirements.txt").read_text()
    pins = re.findall(r"^([a-z0-9._-]+)(?:\[.*\])?==(\S+)", lock, re.MULTILINE)
    urls = [PackageURL.from_string(each["purl"]) for each in told["components"]]
    assert [(url.name, url.version) for url in urls] == pins
    assert {url.type for url in urls} == {"pypi"}
    hashes = [each["content"] for row in told["components"] for each in row["externalReferences"][0]["hashes"]]
    assert hashes == re.findall(r"--hash=sha256:(\w+)", lock)


def test_its_graph_tells_who_wants_a_package_and_reaches_every_one(bill):
    told = json.loads(bill)
    names = {each["bom-ref"]: each["name"] for each in told["components"]} | {"stackbe": "stackbe"}
    graph = {names[row["ref"]]: {names[each] for each in row["dependsOn"]} for row in told["dependencies"]}

    reached, waiting = set(), ["stackbe"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += graph[name]
    wanted = (ROOT / ".requirements" / "runtime.in").read_text()
    asked = {each.lower() for each in re.findall(r"^([A-Za-z][\w-]*)", wanted, re.MULTILINE)}
    assert graph["stackbe"] == asked
    assert "psycopg" in graph["dj-stripe"] | graph["stackbe"]
    assert reached == set(names.values())


def test_what_is_installed_is_what_each_lock_says_and_every_file_is_hashed():
    for name, path in LOCKS.items():
        locked = read_lock(path)
        assert locked, name
        assert all(package.hashes for package in locked), name
    for package in read_lock():
        if not package.marker:
            assert metadata.version(package.name) == package.version


def test_a_lock_that_is_old_or_without_hashes_is_red(settings, tmp_path, monkeypatch):
    settings.ADVISORY_URL = ""
    settings.BASE_DIR = tmp_path
    (tmp_path / ".requirements").mkdir()
    (tmp_path / ".requirements" / "locked-on").write_text("2026-01-01\n")
    (tmp_path / "requirements.txt").write_text("django==5.2.8\n")

    found = Found()
    infrastructure.supply_chain(found)

    said = [sentence for state, sentence in found.parts if state == State.FAILED]
    assert said[0] == "The lock is without hashes."
    assert said[1].startswith("Other than locked: django") or metadata.version("django") == "5.2.8"
    assert "30 are allowed" in said[-1]
