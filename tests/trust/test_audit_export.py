"""A tenant's audit log: looked through in the dashboard, exported, and checked without us."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from dataclasses import replace

import pytest
from django.test import Client

from stackbe.kernel.audit import audit
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.scope import Credential
from stackbe.kernel.transactions import change
from stackbe.trust import audit_export
from tests.dashboard.conftest import seated
from tests.databases import ROOT

SCRIPT = ROOT / "examples/audit_log.py"


class StandAlone:
    """The script that knows nothing of ours but the public keys, and the files that it is given."""

    def __init__(self, folder):
        self.folder, self.keys = folder, folder / "keys.json"
        keys = Client().get("/.well-known/stackbe-keys.json", headers={"Host": "localhost:8000"})
        self.keys.write_bytes(keys.content)

    def words(self, lines, earlier=()):
        file, older = self.folder / "audit.jsonl", self.folder / "older.jsonl"
        file.write_bytes(b"".join(lines))
        older.write_bytes(b"".join(earlier))
        return [str(SCRIPT), str(file), "--keys", str(self.keys), *(["--earlier", str(older)] if earlier else [])]

    def run(self, lines, earlier=()):
        """Run it as a person would; return what it said. -I: nothing of ours is on the path."""
        command = [sys.executable, "-I", *self.words(lines, earlier)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def refusal(self, monkeypatch, lines, earlier=()):
        """Return the sentence with which it refuses; in this process, since there are many."""
        monkeypatch.setattr(sys, "argv", self.words(lines, earlier))
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        return str(ended.value)


@pytest.fixture
def stand_alone(db, tmp_path):
    return StandAlone(tmp_path)


def exported(desk):
    response = desk.client.post(desk.url("audit/export"))
    assert response.status_code == 200
    assert response["Content-Type"] == "application/jsonl"
    assert response["Cache-Control"] == "no-store"
    return b"".join(response.streaming_content).splitlines(keepends=True)


def log_of(desk, rows):
    with change(desk.company.scope):
        for number in range(rows):
            audit(desk.company.scope, "thing.done", str(number), detail={"name": "Zoë", "n": number})
    return exported(desk)


def test_an_export_is_checked_by_a_script_that_knows_only_the_public_key(acme, desk, stand_alone, monkeypatch):
    monkeypatch.setattr(audit_export, "AT_ONCE", 3)  # several pieces
    first = log_of(desk, 7)
    again = exported(desk)
    rows = [json.loads(line) for line in again[:-1]]

    said = stand_alone.run(again, first)

    assert f"Good: {len(rows)} rows of {encode('ten', acme.tenant_id)}" in said
    assert f"The {len(first) - 1} rows of the earlier export are all there, unchanged." in said
    assert rows[-1]["row"]["action"] == rows[-2]["row"]["action"] == "audit_log.exported"
    assert {"name": "Zoë", "n": 6} in [row["detail"] for row in rows]
    assert {row["row"]["tenant_id"] for row in rows} == {str(acme.tenant_id)}


TAMPERING = {
    "edited": (lambda e: [*e[:3], e[3].replace(b'"thing.done"', b'"thing.gone"'), *e[4:]], "is not what was sealed"),
    "deleted": (lambda e: [*e[:3], *e[4:]], "Row 4 is missing"),
    "swapped": (lambda e: [*e[:3], e[4], e[3], *e[5:]], "Row 4 is missing"),
    "cut before the head": (lambda e: [*e[:-2], e[-1]], "and the rows end at"),
    "cut with the head": (lambda e: e[:-1], "has no head"),
    "a head that claims less": (
        lambda e: [*e[:-2], e[-1].replace(b'"sequence":%d' % (len(e) - 1), b'"sequence":%d' % (len(e) - 2))],
        "does not fit",
    ),
    "a head of somebody else's": (lambda e: [*e[:-1], e[-1].replace(b'"kid":"', b'"kid":"x')], "not among the keys"),
    "torn": (lambda e: [*e[:-1], e[-1][:40]], "damaged or was cut short"),
    "more after the head": (lambda e: [*e, e[0]], "lines after the head"),
}


def test_a_tampered_export_is_noticed(desk, stand_alone, monkeypatch):
    lines = log_of(desk, 3)
    assert b'"thing.done"' in lines[3]

    for how, (tamper, sentence) in TAMPERING.items():
        assert sentence in stand_alone.refusal(monkeypatch, tamper(lines)), how


def test_another_history_than_the_one_shown_before_is_noticed(acme, desk, globex, stand_alone, monkeypatch):
    lines, other = log_of(desk, 1), log_of(seated(globex, email="gus@example.com"), 1)

    assert "tells another history" in stand_alone.refusal(monkeypatch, lines, other)


def test_the_page_shows_the_log_and_finds_in_it(acme, desk, globex):
    staff = replace(acme.scope, credential=Credential.STAFF, credential_id=new_id(), actor_name="staff:support")
    with change(staff):
        audit(staff, "staff.revealed", "cust_1", detail={"reason": "They asked <b>why</b>."})
    with change(acme.scope):
        audit(acme.scope, "thing.done", "cust_2")
    with change(globex.scope):
        audit(globex.scope, "globex.secret", "cust_3")

    whole, found = desk.get("audit").content.decode(), desk.get("audit?about=cust_1").content.decode()
    assert "thing.done" in whole
    assert "globex.secret" not in whole
    assert "staff.revealed" in found
    assert "thing.done" not in found
    assert "They asked &lt;b&gt;why&lt;/b&gt;." in found
    assert "support" in found
    for narrowed, there in (("by=staff_", False), ("by=system", True), ("since=2999-01-01", False), ("until=x", True)):
        assert ("thing.done" in desk.get(f"audit?{narrowed}").content.decode()) == there, narrowed
    assert "Enter a valid date." in desk.get("audit?until=x").content.decode()


def test_developers_and_viewers_see_none_of_it(desk_of):
    for role, status in (("viewer", 403), ("developer", 403), ("admin", 200)):
        member = desk_of(role)
        assert member.get("audit").status_code == status
        assert member.client.post(member.url("audit/export")).status_code == status
