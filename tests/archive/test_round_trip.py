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
from standardwebhooks.webhooks import Webhook as StandardWebhook

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
# What is done on the other instance, all of it by one process: it has another master key, address and database, and to
# start a process takes longer than what it does.
DO = """
import json, sys, time
from io import StringIO
from uuid import UUID
import django
django.setup()
from django.core.management import CommandError, call_command
from django.test import Client
from tests.webhooks.conftest import dispatching

def take(*words):
    try:
        call_command("import_tenant", *words, stdout=StringIO())
    except CommandError as refused:
        return str(refused)
    return "taken"

def verify(tenant):
    said = StringIO()
    call_command("verify_audit", "--tenant", tenant, stdout=said, stderr=said)
    return said.getvalue()

def ask(method, path, token, body=None):
    client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})
    content = json.dumps(body) if body else ""
    answer = client.generic(method, f"/v1{path}", content, "application/json", SERVER_NAME="localhost")
    return [answer.status_code, json.loads(answer.content) if answer.content else None]

def refresh(app, token):
    told = ask("POST", f"/apps/{app}/auth/refresh", "", {"refreshToken": token})
    return [told[0], *ask("GET", f"/apps/{app}/auth/session", told[1].get("sessionToken"))]

def members(tenant):
    from accounts.services.members import list_members
    from stackbe.kernel.scope import system_scope
    from stackbe.kernel.transactions import reading
    scope = system_scope(UUID(tenant), actor_name="test")
    with reading(scope):
        return [user.email for _, user in list_members(scope)]

def deliver(path, token):
    deadline = time.monotonic() + 30
    with dispatching():
        while time.monotonic() < deadline:
            found = ask("GET", path, token)[1]["data"]
            if found and all(each["responseStatus"] for each in found):
                return found
            time.sleep(0.1)

told = [globals()[what](*words) for what, *words in json.load(sys.stdin)]
json.dump(told, sys.stdout)
"""


class Elsewhere:
    """Another instance."""

    def __init__(self, name):
        self.name = name
        url = os.environ["STACKBE_TEST_MAINTENANCE_URL"]
        self.environment = os.environ | {
            "BASE_URL": "http://localhost:8001",
            "DATABASE_URL": as_role(url, "stackbe_web", name),
            "DATABASE_WORKER_URL": as_role(url, "stackbe_worker", name),
            "DATABASE_STAFF_URL": as_role(url, "stackbe_staff", name),
            "STACKBE_MASTER_KEY": f"other:{base64.b64encode(secrets.token_bytes(32)).decode()}",
            "DJANGO_SETTINGS_MODULE": "stackbe.settings",
            "STACKBE_ROLE": "web",
        }

    def do(self, *deeds):
        """Have `[what, *words]` done, one after the other; return what came of each."""
        done = subprocess.run(
            [sys.executable, "-c", DO],
            env=self.environment, cwd=databases.ROOT, input=json.dumps(deeds, default=str), capture_output=True,
            text=True, check=False, timeout=120,
        )  # fmt: skip
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
def lived_in(committed, receiver):
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
    hook = api.post("/webhook-endpoints", {"url": receiver.url, "events": ["*"]}).json()
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


def test_a_tenant_moves_and_goes_on_there(lived_in, elsewhere, passphrase_file, tmp_path, stand_alone, receiver):
    company, api, made = lived_in
    file = export(company, passphrase_file, tmp_path / "acme.zip")
    ann, club, session, hook = made["ann"]["id"], made["club"]["id"], made["session"], made["hook"]
    asked = [f"/customers/{ann}", f"/organizations/{club}", "/plans", "/webhook-endpoints", "/erasures",
             f"/usage?customerId={ann}", f"/apps/{company.app}/.well-known/jwks.json", "/customers?q=ann@shop.example"]  # fmt: skip
    answers = [api.get(path) for path in asked]
    here = [answer.json() for answer in answers]
    assert {answer.status_code for answer in answers} == {200}, here
    before = chain(os.environ["STACKBE_TEST_DATABASE"], company.tenant_id)
    taking = ["take", file, "--passphrase-file", passphrase_file, "--key", stand_alone.keys]
    used = ["POST", "/usage/track", company.key, {"customerId": ann, "metric": "calls", "quantity": 90}]

    told = elsewhere.do(
        taking,
        ["verify", encode("ten", company.tenant_id)],
        ["members", company.tenant_id],
        *[["ask", "GET", path, company.key] for path in asked],
        ["ask", *used],
        ["ask", *used],
        ["ask", "GET", "/me", company.key],
        ["ask", "GET", "/apps", company.tenant_key],
        ["ask", "GET", f"/apps/{company.app}/auth/session", session["sessionToken"]],
        ["refresh", company.app, session["refreshToken"]],
        ["ask", "PATCH", f"/customers/{ann}", company.key, {"name": "Ann Elsewhere"}],
        ["deliver", f"/webhook-endpoints/{hook['id']}/deliveries", company.key],
        taking,
    )

    taken, verified, members, *told = told
    assert (taken, members) == ("taken", ["ada@example.com"])
    assert "chains of 1 tenants: they hold" in verified
    assert [answer for _, answer in told[: len(asked)]] == here
    tracked, too_much, me, tenant, foreign, renewed, changed, delivered, twice = told[len(asked) :]
    assert (tracked[0], tracked[1]["currentUsage"]) == (200, 97)
    assert (too_much[0], too_much[1]["code"]) == (409, "USAGE_LIMIT_EXCEEDED")
    assert (me[0], me[1]["tenant"]["name"], tenant[0]) == (200, "Acme", 200)
    # A session's token names the instance that issued it; its holder refreshes, and is in.
    assert (foreign[0], renewed[:2], renewed[2]["customer"]["id"]) == (401, [200, 200], ann)
    assert (changed[0], changed[1]["name"]) == (200, "Ann Elsewhere")
    assert {each["responseStatus"] for each in delivered} == {200}
    events = [StandardWebhook(hook["secret"]).verify(call.body, call.headers) for call in receiver.calls]
    assert "customer.updated" in {event["type"] for event in events}
    assert chain(elsewhere.name, company.tenant_id)[: len(before)] == before
    assert "here already" in twice


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

    right, key = ["--passphrase-file", passphrase_file], ["--key", stand_alone.keys]
    foreign, locked, forged, asked = elsewhere.do(
        ["take", file, *right],
        ["take", file, "--passphrase-file", wrong, *key],
        ["take", changed, *right, *key],
        ["ask", "GET", "/me", company.key],
    )

    assert "none of those given" in foreign
    assert "passphrase is wrong" in locked
    assert "changed after the archive was made" in forged
    assert asked[0] == 401


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
