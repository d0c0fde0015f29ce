"""`manage.py verify_audit`, and the signed heads that show it a tail that was cut."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from stackbe.kernel.audit import audit, canonical_bytes, seal_audit_rows
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import encode, first_id
from stackbe.kernel.transactions import change
from stackbe.trust.checks import access
from stackbe.trust.checks.access import kept_heads
from stackbe.trust.checks.asking import as_role, number
from stackbe.trust.checks.shapes import Found, State
from stackbe.trust.heads import read_heads
from stackbe.trust.shelves import shelf
from tests.cast import found_company
from tests.queue import run_periodic
from tests.trust.conftest import nth


@pytest.fixture
def acme(committed):
    return found_company("Acme")


@pytest.fixture
def heads(settings, tmp_path):
    """The folder of signed heads, and all lines that are in it after the worker's minute has come again."""
    settings.AUDIT_HEADS = str(tmp_path / "heads")

    def lines():
        run_periodic("trust.keep_heads")
        return [line for path in sorted((tmp_path / "heads").glob("*")) for line in path.read_text().splitlines()]

    return lines


@pytest.fixture
def verify(capsys):
    """Run the command; return its exit status and what it said."""

    def run(*words):
        status = 0
        try:
            call_command("verify_audit", *map(str, words))
        except SystemExit as ended:
            status = int(ended.code or 0)
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def test_each_head_is_kept_once_for_each_time_that_it_moves(chain, acme, heads):
    first, again = heads(), heads()
    with change(acme.scope):
        audit(acme.scope, "thing.done", detail={"secret": "canary"})
        seal_audit_rows(acme.tenant_id)
    more = heads()

    assert again == first
    assert [json.loads(line)["statement"]["tenantId"] for line in more[len(first) :]] == [encode("ten", acme.tenant_id)]
    assert more[: len(first)] == first


def test_chains_that_hold_are_said_to_hold(chain, acme, heads, verify):
    status, said = verify()
    assert status == 0
    assert "chains of 2 tenants: they hold." in said
    assert "not chained yet" not in said
    assert "No signed heads" in said
    with change(acme.scope):
        audit(acme.scope, "thing.done")
    assert "1 rows are not chained yet" in verify()[1]
    kept = heads()

    status, said = verify("--tenant", encode("ten", acme.tenant_id))

    assert status == 0
    assert "chains of 1 tenants: they hold." in said
    assert f"Compared with {len(kept)} signed heads" in said
    with pytest.raises(CommandError, match="wants an id"):
        verify("--tenant", "acme")
    with pytest.raises(CommandError, match="no heads"):
        verify("--heads", "/nowhere")


def test_a_process_of_another_role_looks_as_staff_or_not_at_all(chain, verify, settings, monkeypatch):
    """The worker's own role sees no tenant here: it would find nothing, and call that good."""
    monkeypatch.delitem(settings.DATABASES, "staff")
    settings.STACKBE_ROLE = "worker"

    status, said = verify()
    settings.ROLE_URLS = {}

    assert (status, "chains of 2 tenants: they hold." in said) == (0, True)
    with pytest.raises(CommandError, match="Only the staff role sees every chain"):
        verify()


def test_a_tail_that_was_cut_and_a_forged_head_are_found(chain, acme, owner, heads, verify, tmp_path):
    lines = heads()
    (mine,) = [line for line in lines if encode("ten", acme.tenant_id) in line]
    last = json.loads(mine)["statement"]["sequence"]
    owner.execute(f"delete from kernel_auditevent where id = {nth(chain, last)}")
    owner.execute("delete from kernel_auditseal where tenant_id = %s and sequence = %s", [chain, last])

    status, said = verify()
    assert status == 1
    assert f"the chain ends at seal {last - 1}, but seal {last} was kept elsewhere" in said

    # It grows again, past what was cut off, and its new head is kept too.
    with change(acme.scope):
        audit(acme.scope, "thing.done")
        audit(acme.scope, "thing.done")
        seal_audit_rows(acme.tenant_id)
    assert encode("ten", acme.tenant_id) in heads()[-1]
    status, said = verify()
    assert status == 1
    assert f"Tenant {chain}: seal {last} is not the head that was kept elsewhere" in said
    found = Found()
    with as_role("staff") as staff:
        kept_heads(found, staff)
    assert (found.state, found.evidence) == (State.FAILED, "1 chains were cut off.")

    forged = tmp_path / "forged.jsonl"
    claim = mine.replace(f'"sequence":{last}', f'"sequence":{last - 1}')
    forged.write_text(f'{{"torn": \n{claim}\n')
    status, said = verify("--heads", forged)
    assert status == 1
    assert "is not signed by a known key" in said
    assert "has grown again" not in said
    assert read_heads(shelf(forged), {}).heads == {}


def test_the_trust_page_compares_the_chains_with_the_heads_that_were_kept(chain, acme, owner, heads, settings):
    def looked():
        found = Found()
        with as_role("staff") as staff:
            kept_heads(found, staff)
        return found.state, found.evidence

    owner.execute("update kernel_auditseal set sealed_at = now() - interval '11 minutes'")
    assert looked()[0] == State.LATE
    heads()
    assert looked()[0] == State.OK
    owner.execute("delete from kernel_auditseal where tenant_id = %s and sequence > 3", [chain])
    assert looked() == (State.FAILED, "1 chains were cut off.")
    settings.AUDIT_HEADS = ""
    assert looked() == (State.NOT_RUN, "")


def test_what_a_power_cut_left_half_written_spoils_no_later_head(chain, acme, heads, settings, tmp_path):
    folder = tmp_path / "heads"
    (whole, *_) = heads()
    file = next(folder.iterdir())
    file.write_text(file.read_text() + whole[:50])
    with change(acme.scope):
        audit(acme.scope, "thing.done")
        seal_audit_rows(acme.tenant_id)

    *_, torn, last = heads()

    assert torn == whole[:50]
    assert json.loads(last)["statement"]["tenantId"] == encode("ten", acme.tenant_id)


@pytest.mark.parametrize("name", ["plain", 'quo"te\\', "Zoë", "del\x7f", "line\n\ttab\u2028", "𝄞"])
def test_a_row_has_one_spelling_whichever_encoder_writes_it(name):
    row = {"b": name, "a": None, "c": "\\x00ff", "ä": 1}

    spelt = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    assert canonical_bytes(row) == spelt
    del row["ä"]
    assert canonical_bytes(row) == json.dumps(row, sort_keys=True, separators=(",", ":")).encode()


def test_the_trust_page_notices_what_was_not_sealed_by_steps_of_indexes_alone(chain, acme):
    def unsealed(staff):
        due = wall_clock() + timedelta(seconds=1)
        return number(staff, access.UNSEALED, {"due": first_id(due), "since": first_id(due - timedelta(hours=2))})

    with as_role("staff") as staff:
        before = unsealed(staff)
        with change(acme.scope):
            audit(acme.scope, "thing.done")
            audit(acme.scope, "thing.done")
        assert unsealed(staff) - before == 2
        moment = wall_clock()
        staff.execute("set enable_seqscan = off")
        for query, values in (
            (access.UNSEALED, {"due": first_id(moment), "since": first_id(moment)}),
            (access.NEWEST_SEALS, {}),
            (access.UNKEPT, [first_id(moment), moment, moment]),
        ):
            plan = "\n".join(row[0] for row in staff.execute(f"explain {query}", values))
            assert "Seq Scan" not in plan, plan
            assert "Index" in plan
