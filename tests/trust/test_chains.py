"""A pass over the audit chains finds what was edited, deleted, swapped or cut off."""

from __future__ import annotations

import pytest

from stackbe.kernel.audit import audit, seal_audit_rows
from stackbe.kernel.chain import verify_chains
from stackbe.kernel.transactions import change
from tests.cast import found_company
from tests.trust.conftest import nth


@pytest.fixture
def acme(committed):
    return found_company("Acme")


def test_untouched_chains_hold(chain, owner):
    verdict = verify_chains(owner)

    assert verdict.holds
    assert verdict.rows >= 10
    assert chain in verdict.heads


def test_rows_that_wait_for_the_sealer_are_counted_and_no_fault(chain, owner, acme):
    with change(acme.scope):
        audit(acme.scope, "thing.done")

    assert verify_chains(owner, chain).unsealed == 1


SWAP = """
update kernel_auditseal set audit_id = case when audit_id = {third} then {fourth} else {third} end
where tenant_id = '{chain}' and sequence in (3, 4)
"""
TAMPERING = {
    "edited": ("update kernel_auditevent set action = 'x' where id = {third}", "seal 3 is not what was sealed"),
    "deleted": ("delete from kernel_auditevent where id = {third}", "of seal 3 is gone"),
    "taken out with its seal": (
        "delete from kernel_auditseal where tenant_id = '{chain}' and sequence = 3",
        "seal 3 is missing",
    ),
    "swapped": (SWAP, "seal 3 is not what was sealed"),
}


@pytest.mark.parametrize("how", TAMPERING)
def test_tampering_is_found(chain, owner, how):
    statement, sentence = TAMPERING[how]
    if how == "swapped":
        owner.execute("alter table kernel_auditseal drop constraint audit_row_sealed_once")
    owner.execute(statement.format(chain=chain, third=nth(chain, 3), fourth=nth(chain, 4)))

    verdict = verify_chains(owner)

    if how == "swapped":
        owner.execute("delete from kernel_auditseal")
        owner.execute("alter table kernel_auditseal add constraint audit_row_sealed_once unique (audit_id)")
    assert any(sentence in fault for fault in verdict.faults), verdict.faults


def test_a_tail_that_was_cut_is_found_by_the_head_that_was_kept_elsewhere(chain, owner):
    heads = verify_chains(owner).heads
    last = heads[chain][0]
    owner.execute(f"delete from kernel_auditevent where id = {nth(chain, last)}")
    owner.execute("delete from kernel_auditseal where tenant_id = %s and sequence = %s", [chain, last])

    assert verify_chains(owner).holds
    assert verify_chains(owner, heads=heads).faults == [
        f"Tenant {chain}: the chain ends at seal {last - 1}, but seal {last} was kept elsewhere."
    ]


def test_a_chain_that_was_written_anew_differs_from_the_head_that_was_kept(chain, owner, acme):
    heads = verify_chains(owner).heads
    owner.execute("delete from kernel_auditseal where tenant_id = %s", [chain])
    owner.execute(f"update kernel_auditevent set action = 'x' where tenant_id = '{chain}'")
    with change(acme.scope):
        seal_audit_rows(acme.tenant_id)

    assert verify_chains(owner).holds
    assert "differs from the head" in verify_chains(owner, heads=heads).faults[0]
