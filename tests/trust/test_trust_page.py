"""The trust page shows what the checks found, and nothing else: no tick without a check, no green that is old."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils import timezone

from stackbe.kernel.clock import wall_clock
from stackbe.trust import operator, retention
from stackbe.trust.checks import data, shapes, table
from stackbe.trust.checks.shapes import STATEMENTS, Found, NotRun, State
from stackbe.trust.management.commands import doctor
from stackbe.trust.models import BackupRun, TrustCheck
from stackbe.trust.services import watching
from tests.dashboard.conftest import desk  # noqa: F401  # a fixture of theirs
from tests.queue import run_periodic, worker_rights

pytestmark = pytest.mark.django_db
CHECKS = Path(table.__file__).parent


@pytest.fixture
def states(monkeypatch) -> dict[str, State]:
    """What each check is going to find; kept where nothing is said."""
    wanted: dict[str, State] = {}

    def look(promise):
        state = wanted.get(promise.id, State.OK)
        return Found([(state, f"Found {state.value} at {promise.id}.")])

    monkeypatch.setattr(watching, "look", look)
    return wanted


def page() -> str:
    response = Client(headers={"host": "localhost:8000"}).get("/security")
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def feed() -> str:
    return Client(headers={"host": "localhost:8000"}).get("/security/feed.atom").content.decode()


def badges(text: str) -> dict[str, int]:
    words = ("Kept", "Broken", "Late", "Not run", "Stated")
    return {word: text.count(f">{word}</span></td>") for word in words if f">{word}</span></td>" in text}


def test_without_a_check_there_is_no_tick():
    text = page()

    assert badges(text) == {"Not run": 25}
    assert "No check has run here yet" in text
    assert "This is a development start" in text


def test_a_broken_promise_is_red_mailed_to_owners_and_in_the_feed_and_so_is_its_mending(desk, states, mailbox):  # noqa: F811  # a fixture
    run_periodic("trust.look")
    whole = page()
    silent = (len(mailbox("ada@example.com")), feed().count("<entry>"))
    for state in (State.FAILED, State.FAILED, State.OK):
        states["A1"] = state
        run_periodic("trust.look")
        if state == State.FAILED:
            broken = page()

    owner = desk.user
    with watching.change(watching.platform_scope()):
        address = owner.email
    subjects = [mail["subject"] for mail in mailbox(address)]
    assert badges(whole) == {"Kept": 25}
    assert "25 of 25" in whole
    assert silent == (0, 0)
    assert badges(broken) == {"Kept": 24, "Broken": 1}
    assert "Not all kept" in broken
    assert subjects == ["Our security page has changed", "A promise on our security page is broken"]
    assert "A1" in mailbox(address)[1]["text"]
    assert feed().count("<entry>") == 2
    assert "kept again" in page()


def test_a_promise_that_reads_otherwise_is_told_too(desk, states, monkeypatch, mailbox):  # noqa: F811  # a fixture
    run_periodic("trust.look")
    other = {**table.PROMISES, "E2": shapes.Promise("E2", "HSTS for a day", "", table.PROMISES["E2"].look)}
    monkeypatch.setattr(table, "PROMISES", other)

    run_periodic("trust.look")

    assert "now reads “HSTS for a day”; it read “HSTS”" in mailbox.latest()["text"]


def test_what_nobody_looked_at_for_two_hours_is_late_whatever_was_found(states, monkeypatch):
    run_periodic("trust.look")
    real = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(hours=3))

    text = page()

    assert badges(text) == {"Late": 25}
    assert "Not all kept" in text


def test_a_late_backup_or_drill_and_a_failed_one_are_red(settings, monkeypatch):
    settings.DATABASE_BACKUP_URL = "postgresql://stackbe_backup@/stackbe"
    for kind in BackupRun.Kind.values:
        BackupRun.unscoped.create(kind=kind, succeeded=True, finished_at=wall_clock())
    real = timezone.now
    seen = []
    for ahead in (timedelta(hours=29), timedelta(hours=31), timedelta(days=9)):
        monkeypatch.setattr(timezone, "now", lambda ahead=ahead: real() + ahead)
        found = Found()
        data.database(found)
        seen.append((found.state, found.evidence.count("The last")))
    BackupRun.unscoped.create(kind="base", succeeded=True, finished_at=wall_clock())
    BackupRun.unscoped.create(kind="drill", succeeded=True, started_at=wall_clock(), finished_at=wall_clock())
    BackupRun.unscoped.create(
        kind="drill", started_at=wall_clock() + timedelta(minutes=1), finished_at=wall_clock() + timedelta(minutes=2)
    )
    found = Found()
    data.database(found)

    assert seen == [(State.OK, 2), (State.LATE, 1), (State.LATE, 2)]
    assert found.state == State.FAILED
    assert "The last restore drill failed" in found.evidence


def test_only_the_worker_writes_what_was_found(states):
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        TrustCheck.unscoped.create(promise_id="A1", promise="x", state="ok", evidence="")


def test_a_check_that_cannot_look_is_not_run_and_one_that_crashes_is_broken():
    def cannot(_found):
        raise NotRun("Nobody answered.")

    def crashes(_found):
        raise ZeroDivisionError

    looked = [watching.look(shapes.Promise("E1", "x", "x", each)) for each in (cannot, crashes)]

    assert [found.state for found in looked] == [State.NOT_RUN, State.FAILED]
    assert looked[0].evidence == "Nobody answered."
    assert "ZeroDivisionError" in looked[1].evidence


def test_an_operators_word_stands_in_for_what_is_on_the_list_alone(settings):
    """What is stated is stated in the check that the list names, and in no other."""
    said = {}
    for path in CHECKS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "stated":
                said[node.args[0].value] = path.name
            assert not (isinstance(node, ast.Attribute) and node.attr == "STATED" and path.name != "shapes.py"), path

    assert set(said) == set(STATEMENTS) == set(settings.STATEMENTS)
    found = Found()
    found.stated("STATED_REGION", "x")
    settings.PRODUCTION = True
    found.stated("STATED_REGION", "Nobody says where.")
    settings.STATEMENTS = {"STATED_REGION": "us-west"}
    found.stated("STATED_REGION", "x")
    assert [state for state, _ in found.parts] == [State.NOT_RUN, State.FAILED, State.STATED]


def test_the_command_prints_keeps_and_exits_with_1_where_something_is_red(states):
    states["S2"], states["E3"], states["I2"] = State.FAILED, State.STATED, State.NOT_RUN
    out = StringIO()

    with worker_rights(), pytest.raises(SystemExit) as ended:
        call_command("trust", stdout=out)
    with worker_rights():
        states.clear()
        one = StringIO()
        call_command("trust", "S2", "--json", stdout=one)
        with pytest.raises(CommandError, match="No such promise: S9"):
            call_command("trust", "S9")

    lines = out.getvalue()
    assert ended.value.code == 1
    assert "S2  FAIL" in lines
    assert "E3  stated by the operator" in lines
    assert "I2  NOT RUN" in lines
    assert "This is a development start" in lines
    assert "22 pass, 1 stated by the operator, 1 NOT RUN, 1 FAIL" in lines
    assert json.loads(one.getvalue()) == [{"id": "S2", "state": "ok", "evidence": "Found ok at S2."}]
    assert TrustCheck.unscoped.filter(promise_id="S2").count() == 2


FILLED = {
    "name": "Acme Trust Ltd",
    "address": "1 Main Street, Springfield",
    "email": "legal@acme.example",
    "since": "1 November 2026",
    "law": "The law of the State of Oregon",
    "courts": "those of Portland",
}


def test_the_texts_are_drafts_until_the_operator_has_filled_them_in(settings, monkeypatch):
    client = Client(headers={"host": "localhost:8000"})

    def texts():
        return [client.get(f"/{name}").content.decode() for name in operator.TEXTS]

    drafts, asked = texts(), {name: operator.missing(name) for name in operator.TEXTS}
    settings.OPERATOR = FILLED | {"fees": "Ten dollars | a month"}
    settings.STATEMENTS = {"STATED_REGION": "us-west", "STATED_PROVIDERS": "Stripe|Payments|PCI; Post|Mail"}
    privacy, terms = texts()
    settings.PRODUCTION = True
    said = StringIO()
    monkeypatch.setattr(doctor, "steps", list)
    call_command("doctor", stdout=said)
    settings.OPERATOR = FILLED | {"law": ""}
    with pytest.raises(CommandError, match="Put right: Terms of service"):
        call_command("doctor", stdout=said)

    assert all(operator.UNFILLED in draft for draft in drafts)
    assert "STATED_PROVIDERS" in asked["privacy"]
    assert "OPERATOR_LAW" in asked["terms"]
    assert f"[{operator.WANTED['address']}: OPERATOR_ADDRESS]" in drafts[0]
    for whole in (privacy, terms):
        assert operator.UNFILLED not in whole
        assert not re.search(r"\{\{|\}\}|OPERATOR_|STATED_", whole)
        assert "Acme Trust Ltd, 1 Main Street, Springfield" in whole
    assert all(kept.kind.replace("'", "&#39;") in privacy or kept.kind in privacy for kept in retention.TABLE)
    assert "<td>Post</td>" in privacy
    assert "Ten dollars | a month" in terms
    assert "14 days" in terms
    assert "Privacy policy: It is filled in." in said.getvalue()
    assert "It is a draft until you set OPERATOR_LAW." in said.getvalue()
    # Each link leads somewhere, and to a heading that is there.
    for path, _, anchor in re.findall(r'href="(/[\w/?=-]*)(#([\w-]+))?"', privacy + terms):
        answer = client.get(path, follow=True)
        assert answer.status_code == 200, path
        assert not anchor or f'id="{anchor}"' in answer.content.decode(), (path, anchor)


def test_a_text_of_the_operators_own_stands_in_the_place_of_ours(settings, tmp_path):
    client = Client(headers={"host": "localhost:8000"})
    (tmp_path / "privacy.md").write_text("# Ours\n\n<script>alert(1)</script> We keep little.\n\n{{ retention }}")
    settings.OPERATOR_TEXTS = str(tmp_path)

    own, still = (client.get(f"/{name}").content.decode() for name in operator.TEXTS)

    assert "We keep little." in own
    assert "<td>Refresh tokens</td>" in own
    assert operator.UNFILLED not in own
    assert "<script>alert" not in own
    assert operator.UNFILLED in still


@pytest.mark.xdist_group("live")
def test_on_a_development_copy_no_check_is_red(live_stack):
    live_stack.new_tenant()

    try:
        said = live_stack.manage("trust", "--json", role="worker")
    except subprocess.CalledProcessError as red:
        said = red.stdout
    found = {row["id"]: row for row in json.loads(said.splitlines()[-1])}

    red_ones = [row for row in found.values() if State(row["state"]).is_red]
    assert not red_ones, json.dumps(red_ones)
    assert list(found) == list(table.PROMISES)
    assert {name for name, row in found.items() if row["state"] == "not_run"} == {
        "E1",
        "E2",
        "E3",
        "C2",
        "D1",
        "D2",
        "I2",
    }
    assert {row["state"] for name, row in found.items()} == {"ok", "not_run"}
