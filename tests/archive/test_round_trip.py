"""A whole tenant leaves one instance and arrives on another: a second database under a master key of its own."""

from __future__ import annotations

import base64
import io
import json
import os
import secrets
import subprocess
import sys
import zipfile
from datetime import timedelta

import psycopg
import pytest
from django.core.management import CommandError, call_command

from stackbe.archive.models import Archive, ArchivePart
from stackbe.archive.services import files
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import encode
from stackbe.kernel.transactions import change, reading
from tests import databases
from tests.cast import Api, found_company
from tests.dashboard.conftest import seated
from tests.plugin import as_role
from tests.queue import run_jobs, run_periodic

PASSPHRASE = "correct horse battery staple"
# What is asked of the other instance, by a process of its own: it has another master key and another database.
ASK = """
import json, sys
from django.test import Client
import django
django.setup()
calls, answers = json.load(sys.stdin), []
for method, path, token, body in calls:
    client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})
    answer = client.generic(method, f"/v1{path}", json.dumps(body) if body else "", "application/json")
    answers.append([answer.status_code, json.loads(answer.content) if answer.content else None])
json.dump(answers, sys.stdout)
"""


class Elsewhere:
    """Another instance."""

    def __init__(self, name):
        self.name = name
        url = os.environ["STACKBE_TEST_MAINTENANCE_URL"]
        self.environment = os.environ | {
            "DATABASE_URL": as_role(url, "stackbe_web", name),
            "DATABASE_WORKER_URL": as_role(url, "stackbe_worker", name),
            "STACKBE_MASTER_KEY": f"other:{base64.b64encode(secrets.token_bytes(32)).decode()}",
            "DJANGO_SETTINGS_MODULE": "stackbe.settings",
            "STACKBE_ROLE": "web",
        }

    def run(self, *arguments, given=""):
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environment, cwd=databases.ROOT, input=given, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def take(self, *arguments):
        return self.run("-m", "django", "import_tenant", *map(str, arguments))

    def ask(self, *calls):
        done = self.run("-c", ASK, given=json.dumps(calls))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def elsewhere(committed):
    name = f"{os.environ['STACKBE_TEST_DATABASE']}_elsewhere"
    databases.create(name)
    yield Elsewhere(name)
    databases.drop(name)


@pytest.fixture
def passphrase_file(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text(PASSPHRASE + "\n")
    return path


@pytest.fixture
def lived_in(committed):
    """A tenant with a life: what is made here must be there afterwards."""
    company = found_company("Acme")
    seated(company)
    api = Api(company.key)
    api.post("/metrics", {"name": "calls"})
    api.post("/features", {"key": "calls", "name": "Calls", "type": "metered", "metric": "calls"})
    api.post(
        "/plans",
        {"name": "Free", "priceCents": 0, "currency": "usd", "interval": "month", "isDefault": True,
         "usage": [{"metric": "calls", "included": 100, "mode": "hard"}]},
    )  # fmt: skip
    ann = api.post("/customers", {"email": "ann@shop.example", "name": "Ann", "metadata": {"plan": "gold"}}).json()
    gone = api.post("/customers", {"email": "gone@shop.example", "name": "Gone"}).json()
    session = api.post(f"/customers/{ann['id']}/sessions").json()
    hook = api.post("/webhook-endpoints", {"url": "https://example.com/hook", "events": ["*"]}).json()
    club = api.post("/organizations", {"name": "Engines", "customerId": ann["id"]}).json()
    track = api.post("/usage/track", {"customerId": ann["id"], "metric": "calls", "quantity": 7})
    assert track.status_code == 200, track.content
    api.delete(f"/customers/{gone['id']}")
    run_jobs()
    run_periodic("kernel.seal_audit_rows")
    return company, api, {"ann": ann, "session": session, "hook": hook, "club": club, "gone": gone}


def export(company, passphrase_file, to):
    call_command(
        "export_tenant", encode("ten", company.tenant_id), "--to", str(to), "--passphrase-file", str(passphrase_file)
    )
    return to


def test_a_tenant_moves_and_its_api_keys_go_on_working(lived_in, elsewhere, passphrase_file, tmp_path, stand_alone):
    company, api, made = lived_in
    file = export(company, passphrase_file, tmp_path / "acme.zip")
    ann, club = made["ann"]["id"], made["club"]["id"]
    asked = [f"/customers/{ann}", f"/organizations/{club}", "/plans", "/webhook-endpoints", "/erasures",
             f"/usage?customerId={ann}", f"/apps/{company.app}/.well-known/jwks.json", "/customers?q=ann@shop.example"]  # fmt: skip
    answers = [api.get(path) for path in asked]
    here = [answer.json() for answer in answers]
    assert {answer.status_code for answer in answers} == {200}, here

    taken = elsewhere.take(file, "--passphrase-file", passphrase_file, "--key", stand_alone.keys)

    assert taken.returncode == 0, taken.stderr
    there = elsewhere.ask(*[["GET", path, company.key, None] for path in asked])
    assert [answer for _, answer in there] == here
    tracked, me, tenant, again = elsewhere.ask(
        ["POST", "/usage/track", company.key, {"customerId": ann, "metric": "calls", "quantity": 90}],
        ["GET", "/me", company.key, None],
        ["GET", "/apps", company.tenant_key, None],
        ["POST", "/usage/track", company.key, {"customerId": ann, "metric": "calls", "quantity": 90}],
    )
    assert (tracked[0], tracked[1]["currentUsage"]) == (200, 97)
    assert (again[0], again[1]["code"]) == (409, "USAGE_LIMIT_EXCEEDED")
    assert (me[0], me[1]["tenant"]["name"], tenant[0]) == (200, "Acme", 200)
    secret = elsewhere.run(
        "-c",
        "import django; django.setup()\n"
        "from webhooks.models import WebhookEndpoint\nfrom stackbe.kernel.scope import system_scope\n"
        "from stackbe.kernel.transactions import reading\nfrom uuid import UUID\nfrom accounts.models import Membership\n"
        "from accounts.services.members import list_members\n"
        f"scope = system_scope(UUID('{company.tenant_id}'), UUID('{company.app_id}'), actor_name='test')\n"
        "with reading(scope):\n"
        "    print(WebhookEndpoint.objects.within(scope).get().secret, list_members(scope)[0][1].email)",
    )
    assert secret.stdout.split() == [made["hook"]["secret"], "ada@example.com"], secret.stderr
    chained = chain(elsewhere.name, company.tenant_id)
    assert chained[: len(chain(os.environ["STACKBE_TEST_DATABASE"], company.tenant_id))] == chain(
        os.environ["STACKBE_TEST_DATABASE"], company.tenant_id
    )
    twice = elsewhere.take(file, "--passphrase-file", passphrase_file, "--key", stand_alone.keys)
    assert (twice.returncode, "here already" in twice.stderr) == (1, True)


def chain(database, tenant_id):
    url = as_role(os.environ["STACKBE_TEST_MAINTENANCE_URL"], "stackbe_staff", database)
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select s.sequence, encode(s.digest, 'hex'), to_jsonb(a)::text from kernel_auditseal s"
            " join kernel_auditevent a on a.id = s.audit_id where s.tenant_id = %s order by s.sequence",
            [tenant_id],
        ).fetchall()


@pytest.mark.slow
def test_what_must_not_come_in_does_not(lived_in, elsewhere, passphrase_file, tmp_path, stand_alone):
    company, _, _ = lived_in
    file = export(company, passphrase_file, tmp_path / "acme.zip")
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("not the passphrase at all")
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'"Acme"', b'"Evil"'))

    foreign = elsewhere.take(file, "--passphrase-file", passphrase_file)
    locked = elsewhere.take(file, "--passphrase-file", wrong, "--key", stand_alone.keys)
    forged = elsewhere.take(changed, "--passphrase-file", passphrase_file, "--key", stand_alone.keys)

    assert (foreign.returncode, "none of those given" in foreign.stderr) == (1, True), foreign.stderr
    assert (locked.returncode, "passphrase is wrong" in locked.stderr) == (1, True), locked.stderr
    assert (forged.returncode, "changed after the archive was made" in forged.stderr) == (1, True), forged.stderr
    assert elsewhere.ask(["GET", "/me", company.key, None])[0][0] == 401


def test_a_newer_instances_archive_is_refused(lived_in, passphrase_file, tmp_path, monkeypatch):
    company, _, _ = lived_in
    with monkeypatch.context() as newer:
        newer.setattr("stackbe.archive.services.leaving.schema", lambda: {"accounts": "9999_from_the_future"})
        file = export(company, passphrase_file, tmp_path / "acme.zip")

    with pytest.raises(CommandError, match="newer version"):
        call_command("import_tenant", str(file), "--passphrase-file", str(passphrase_file))


def test_the_file_alone_tells_nothing_and_with_the_passphrase_everything(
    lived_in, passphrase_file, tmp_path, stand_alone
):
    company, _, made = lived_in
    file = export(company, passphrase_file, tmp_path / "acme.zip")

    with zipfile.ZipFile(file) as archive:
        parts = b"".join(archive.read(name) for name in archive.namelist())
    opened = stand_alone.run(
        "open", file.read_bytes(), "--passphrase-file", str(passphrase_file), "--to", str(tmp_path / "open")
    )

    for secret in ("ann@shop.example", "gold", "ada@example.com", made["hook"]["secret"], company.key[17:]):
        assert secret.encode() not in parts, secret
    assert opened.returncode == 0, opened.stderr
    people = {
        row["id"]: row for row in map(json.loads, (tmp_path / "open/accounts_customer.jsonl").read_text().splitlines())
    }
    assert sorted(str(row["email"]) for row in people.values()) == ["None", "ann@shop.example"]
    assert made["hook"]["secret"] in (tmp_path / "open/webhooks_webhookendpoint.jsonl").read_text()


def test_the_dashboards_archive_is_sealed_handed_out_on_record_and_dropped(committed, stand_alone, monkeypatch):
    company = found_company("Acme")
    desk = seated(company)

    told = desk.client.post(desk.url("account/archives"))
    run_jobs()

    passphrase = told.content.decode().partition('<pre id="passphrase" tabindex="0">')[2].partition("</pre>")[0]
    with reading(company.scope):
        archive = Archive.objects.within(company.scope).get()
        lying = b"".join(bytes(p.content) for p in ArchivePart.objects.within(company.scope))
    assert (archive.status, archive.wrapping, len(passphrase)) == ("done", None, 35)
    assert b"PK\x03\x04" not in lying
    given = desk.client.post(desk.url(f"account/archives/{archive.public_id}"))
    content = b"".join(given.streaming_content)
    assert len(content) == archive.size
    assert stand_alone.run("verify", content).returncode == 0
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        assert "rows/accounts_app.jsonl" in parts.namelist()
    with change(company.scope):
        Archive.objects.within(company.scope).update(created_at=wall_clock() - timedelta(hours=25))
    run_periodic("trust.purge")
    late = desk.client.post(desk.url(f"account/archives/{archive.public_id}"), follow=True)
    assert "kept for a day" in late.content.decode()


def test_a_worker_killed_half_way_begins_anew(committed, monkeypatch):
    company = found_company("Acme")
    with change(company.scope):
        archive, _ = files.begin_archive(company.scope)
    with monkeypatch.context() as dying:
        dying.setattr(files, "_store", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_jobs()

    assert run_jobs() == ["archive.write_archive"]
    with reading(company.scope):
        row = Archive.objects.within(company.scope).get(pk=archive.pk)
        assert (row.status, row.done_rows > 0) == ("done", True)
