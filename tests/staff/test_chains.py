"""The console's list of audit chains, the pass that staff ask for, and what the tenant sees of its own chain."""

from __future__ import annotations

import re
from datetime import timedelta
from types import SimpleNamespace

import pytest

from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import encode, first_id
from stackbe.kernel.scope import PLATFORM
from stackbe.kernel.transactions import change, reading
from stackbe.staff.chain_rows import state_of
from stackbe.trust.checks.access import whole_chains
from stackbe.trust.checks.asking import as_role
from stackbe.trust.checks.shapes import Found, State
from stackbe.trust.models import Chain
from stackbe.trust.services import chains
from tests.dashboard.conftest import seated
from tests.queue import run_jobs, run_periodic, worker_rights
from tests.staff.conftest import hire, looks
from tests.staff.test_console import url_of
from tests.trust.conftest import nth


@pytest.fixture
def sealed(acme, settings, tmp_path):
    """Acme's log with rows, chained, its head kept in a folder; how its row of the list is found."""
    settings.AUDIT_HEADS = str(tmp_path / "heads")
    with change(acme.scope):
        for number in range(5):
            audit(acme.scope, "thing.done", str(number))
    run_periodic("kernel.seal_audit_rows")
    run_periodic("trust.keep_heads")
    return chain_of(acme.tenant_id)


def chain_of(tenant_id):
    with reading(chains._scope(tenant_id)):
        return Chain.objects.within(chains._scope(tenant_id)).get()


def page_of(client, chain):
    html = client.get(url_of("trust.Chain", chain.pk, page="change")).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def looked():
    found = Found()
    with as_role("staff") as staff:
        whole_chains(found, staff)
    return found.state


def test_staff_see_each_chain_and_have_one_gone_through_and_what_is_broken_is_red(acme, sealed, owner, tmp_path):
    client, desk = hire("security"), seated(acme)

    before = page_of(client, sealed)
    asked = client.post(url_of("trust.Chain", sealed.pk, "verify", page="deed"), follow=True)
    run_jobs()
    after, listed = page_of(client, sealed), client.get(url_of("trust.Chain")).content.decode()

    assert (" New " in before, "None yet" in before, str(tmp_path / "heads") in before) == (True, True, True)
    assert "Asked for" in asked.content.decode()
    assert " Holds " in after
    assert re.search(r"\d+ rows in \d\.\d\d s, compared with the kept head", after)
    assert encode("ten", acme.tenant_id) in listed
    assert looks(acme.tenant_id, "audit_chain.verification_asked") == [encode("ten", acme.tenant_id)]
    assert looks(acme.tenant_id, "audit_chain.verified") == [encode("ten", acme.tenant_id)]
    mine = desk.get("audit").content.decode()
    assert "Holds" in mine
    assert "compared with a signed head that is kept elsewhere" in mine
    assert looked() == State.NOT_RUN  # a pass that found nothing is no tick

    owner.execute(f"update kernel_auditevent set action = 'x' where id = {nth(acme.tenant_id, 3)}")
    client.post(url_of("trust.Chain", sealed.pk, "verify", page="deed"))
    run_jobs()

    broken = page_of(client, sealed)
    assert " Broken " in broken
    assert "of seal 3 is not what was sealed" in broken
    assert looked() == State.FAILED
    assert 'console-chip is-bad" href="/staff/health/"><strong>Audit' in client.get("/staff/").content.decode()
    assert "The log does not hold" in desk.get("audit").content.decode()


def test_the_worker_goes_through_each_chain_once_a_day_and_one_that_waits_is_late(acme, sealed, owner):
    client = hire("security")
    with worker_rights():
        first, again = chains.verify_due(), chains.verify_due()
    assert (first, again) == (2, 0)
    assert " Holds " in page_of(client, sealed)
    assert chain_of(PLATFORM).holds
    assert "the platform" in client.get(url_of("trust.Chain")).content.decode()
    assert looks(acme.tenant_id, "audit_chain.verified") == []  # what is as it was is no news

    def late(words, **changes):
        columns = ", ".join(f"{name} = %s" for name in changes)
        owner.execute("alter table trust_chain no force row level security")
        owner.execute(f"update trust_chain set {columns} where tenant_id = %s", [*changes.values(), acme.tenant_id])
        owner.execute("alter table trust_chain force row level security")
        assert f" {words} " in page_of(client, sealed)

    owner.execute("update kernel_auditseal set sealed_at = sealed_at - interval '11 minutes'")
    late("Head not kept", kept_sequence=1)
    late("Late", kept_sequence=100, verified_at=wall_clock() - timedelta(hours=31))
    assert looked() == State.LATE
    run_periodic("trust.verify_chains")
    assert "a head that was kept" not in page_of(client, sealed)
    assert " Holds " in page_of(client, sealed)


def test_a_chain_that_nobody_has_gone_through_is_new_until_a_pass_is_overdue():
    begun = {"holds": None, "waits": False, "seals": 0, "sealed_at": None, "kept_sequence": None, "verified_at": None}
    ages = {"New": timedelta(hours=1), "Late": timedelta(hours=31)}

    shown = [state_of(SimpleNamespace(**begun, pk=first_id(wall_clock() - age))) for age in ages.values()]

    assert shown == list(ages)
