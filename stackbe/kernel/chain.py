"""Checking the audit chain: every seal covers its row and the seal before it, without a gap.

It reads over a plain connection that sees all tenants (the owner's server under a drill, the staff role on the
running one), in one pass and in constant memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import orjson

from stackbe.kernel.audit import START_OF_CHAIN, chained

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psycopg

AT_ONCE = 5000
MOST_FAULTS = 50

SEALS = """
select s.tenant_id::text, s.sequence, s.digest, s.audit_id::text, to_jsonb(a)::text
from kernel_auditseal s left join kernel_auditevent a on a.id = s.audit_id
where %(tenant)s::uuid is null or s.tenant_id = %(tenant)s::uuid
order by s.tenant_id, s.sequence
"""
UNSEALED = """
select a.tenant_id::text, count(*) from kernel_auditevent a
where (%(tenant)s::uuid is null or a.tenant_id = %(tenant)s::uuid)
  and not exists (select from kernel_auditseal s where s.audit_id = a.id)
group by 1
"""


@dataclass
class Verdict:
    """What a pass over the chains found. `faults` are sentences; none means that every chain holds."""

    rows: int = 0
    unsealed: int = 0
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Say whether nothing was found."""
        return not self.faults

    def fault(self, sentence: str) -> None:
        """Take down a fault; a broken table could fill the memory with them."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(sentence)


def verify_chains(
    connection: psycopg.Connection[tuple[object, ...]],
    tenant_id: str | None = None,
    heads: Mapping[str, tuple[int, str]] | None = None,
) -> Verdict:
    """Go through the chains of one tenant or of all, and compare them with heads that were kept elsewhere.

    An edited row breaks the digest of its seal, a deleted one leaves a seal without a row, swapped ones break
    both, and a cut tail ends before a head that was kept (a chain alone cannot tell).
    """
    found, expected = Verdict(), dict(heads or {})
    tenant, sequence, digest = "", 0, START_OF_CHAIN
    with connection.transaction(), connection.cursor(name="chains") as cursor:
        cursor.itersize = AT_ONCE
        cursor.execute(SEALS, {"tenant": tenant_id})
        for row in cursor:
            owner, number, stored, audit_id, content = cast("tuple[str, int, bytes, str, str | None]", row)
            if owner != tenant:
                tenant, sequence, digest = owner, 0, START_OF_CHAIN
            sequence += 1
            found.rows += 1
            if number != sequence:
                found.fault(f"Tenant {owner}: seal {sequence} is missing; the next one is {number}.")
                sequence = number
            if content is None:
                found.fault(f"Tenant {owner}: the row {audit_id} of seal {number} is gone.")
            elif chained(digest, number, orjson.loads(content)) != stored:
                found.fault(f"Tenant {owner}: the row {audit_id} of seal {number} is not what was sealed.")
            digest = stored
            found.heads[owner] = (number, digest.hex())
            if owner in expected and expected[owner][0] == number and expected.pop(owner)[1] != digest.hex():
                found.fault(f"Tenant {owner}: seal {number} differs from the head that was kept elsewhere.")
    for owner, (number, _) in expected.items():
        if tenant_id in {None, owner}:
            last = found.heads.get(owner, (0, ""))[0]
            found.fault(f"Tenant {owner}: the chain ends at seal {last}, but seal {number} was kept elsewhere.")
    counted: Iterable[tuple[object, ...]] = connection.execute(UNSEALED, {"tenant": tenant_id})
    found.unsealed = sum(int(str(count)) for _, count in counted)
    return found
