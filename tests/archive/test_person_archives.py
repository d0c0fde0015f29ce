"""GET /v1/customers/:id/archive and /v1/organizations/:id/archive: everything held, as one signed file."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from django.core.management import CommandError, call_command

from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import reading
from tests.refusals import assert_hidden, assert_needs_credential, assert_needs_scope, never


@pytest.fixture
def ann(acme_api):
    return acme_api.post("/customers", {"email": "ann@shop.example", "name": "Ann"}).json()


def parts_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(content, **changed):
    """Return the archive with parts changed, keys spelt with a dot as `_`."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, part in parts_of(content).items():
            archive.writestr(name, changed.get(name.replace(".", "_").replace("/", "_"), part))
    return out.getvalue()


def test_a_customers_archive_holds_what_the_export_says(acme_api, ann):
    told = acme_api.get(f"/customers/{ann['id']}/export").json()["records"]

    response = acme_api.get(f"/customers/{ann['id']}/archive")

    assert (response.status_code, response["Content-Type"]) == (200, "application/zip")
    assert f'filename="{ann["id"]}.zip"' in response["Content-Disposition"]
    parts = parts_of(response.content)
    assert json.loads(parts["records/customer.jsonl"]) == told["customer"]
    lines = [json.loads(line) for line in parts["records/webhooks.jsonl"].splitlines()]
    assert [line["type"] for line in lines] == [event["type"] for event in told["webhooks"]]
    manifest = json.loads(parts["manifest.json"])
    assert (manifest["format"], manifest["kind"], manifest["subjectId"]) == ("stackbe-archive/1", "customer", ann["id"])
    assert set(manifest["parts"]) == {f"records/{name.replace(' ', '-')}.jsonl" for name in told}


def test_an_organizations_archive_holds_its_members(acme_api, ann):
    club = acme_api.post("/organizations", {"name": "Engines", "customerId": ann["id"]}).json()

    parts = parts_of(acme_api.get(f"/organizations/{club['id']}/archive").content)

    assert json.loads(parts["records/organization.jsonl"])["name"] == "Engines"
    assert json.loads(parts["records/members.jsonl"])["email"] == "ann@shop.example"


def test_the_script_and_the_command_find_it_good(acme_api, ann, stand_alone, capsys):
    content = acme_api.get(f"/customers/{ann['id']}/archive").content

    alone = stand_alone.run("verify", content)
    call_command("verify_archive", str(stand_alone.folder / "given"))

    assert alone.returncode == 0, alone.stderr
    assert ann["id"] in alone.stdout
    assert ann["id"] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"records_customer_jsonl": b'{"name":"Mallory"}\n'}, "was changed after the archive was made"),
        ({"manifest_json": b'{"format":"stackbe-archive/1","parts":{}}'}, "signature does not fit"),
        ({"manifest_sig": b'{"alg":"EdDSA","kid":"x","signature":"y"}'}, "Signed by x|signed by the key x"),
        (None, "damaged or was cut short"),
    ],
    ids=["a part", "the manifest", "the signature", "half of it"],
)
def test_what_was_changed_is_refused_by_both(acme_api, ann, stand_alone, changed, said):
    content = acme_api.get(f"/customers/{ann['id']}/archive").content
    broken = content[: len(content) // 2] if changed is None else rewritten(content, **changed)

    alone = stand_alone.run("verify", broken)

    assert alone.returncode == 1
    assert any(part in alone.stderr for part in said.split("|"))
    with pytest.raises(CommandError, match=said):
        call_command("verify_archive", str(stand_alone.folder / "given"))


def test_another_instances_archive_wants_its_keys(acme_api, ann, stand_alone, tmp_path):
    stand_alone.run("verify", acme_api.get(f"/customers/{ann['id']}/archive").content)
    foreign = tmp_path / "foreign.json"
    foreign.write_text('{"keys": []}')

    with pytest.raises(CommandError, match="none of those given"):
        call_command("verify_archive", str(tmp_path / "given"), "--key", str(foreign))
    with pytest.raises(CommandError, match="holds no keys"):
        call_command("verify_archive", str(tmp_path / "given"), "--key", str(tmp_path / "nothing"))


def test_each_archive_is_audited(acme_api, acme, ann):
    acme_api.get(f"/customers/{ann['id']}/archive")

    with reading(acme.scope):
        assert AuditEvent.objects.within(acme.scope).filter(action="customer.exported").count() == 1


def test_it_is_refused_as_the_export_is(acme, acme_api, globex_api, ann):
    path = f"/customers/{ann['id']}/archive"

    assert_needs_credential("GET", path)
    assert_needs_scope(acme.api("plans:read"), "customers:read", "GET", path)
    assert_hidden(globex_api, "GET", path, f"/customers/{never('cust')}/archive")
    refused = acme_api.get(f"/customers/{never('cust')}/archive", Accept="application/zip")
    assert (refused.status_code, refused.json()["code"]) == (404, "CUSTOMER_NOT_FOUND")
