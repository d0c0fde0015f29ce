"""A tenant's audit log as a file that it can check without us: every row, its link of the chain, a signed head.

The chain covers a row as it lies, with its detail as ciphertext; the detail in the clear stands beside it for
reading, and is null for people who were erased since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from django.db import connection

from stackbe.kernel import ids
from stackbe.kernel.audit import audit, seal_audit_rows
from stackbe.kernel.models import AuditEvent, AuditSeal
from stackbe.kernel.transactions import current, reading, require_change
from stackbe.trust.heads import signed_head

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stackbe.kernel.scope import Scope

MEDIA_TYPE = "application/jsonl"
AT_ONCE = 500
ROWS = """
select s.sequence, s.digest, a.id, to_jsonb(a)::text
from kernel_auditseal s join kernel_auditevent a on a.id = s.audit_id
where s.tenant_id = %s and s.sequence > %s and s.sequence <= %s order by s.sequence limit %s
"""


def begin_export(scope: Scope) -> dict[str, Any]:
    """Put the export on record, chain all rows up to that one, and return the chain's head, signed."""
    require_change()
    audit(scope, "audit_log.exported", ids.encode("ten", scope.tenant_id))
    while seal_audit_rows(scope.tenant_id, AT_ONCE) == AT_ONCE:
        pass
    head = AuditSeal.objects.within(scope).order_by("-sequence")[0]
    return signed_head(ids.encode("ten", scope.tenant_id), head.sequence, bytes(head.digest).hex())


def export_lines(scope: Scope, head: dict[str, Any]) -> Iterator[bytes]:
    """Yield the log up to a head, oldest first, and the head as the last line.

    Rows are never altered, so each piece may be read in a transaction of its own.
    """
    last, until = 0, int(head["statement"]["sequence"])
    while last < until:
        with reading(scope):
            with connection.cursor() as cursor:
                cursor.execute(ROWS, [scope.tenant_id, last, until, AT_ONCE])
                found = cursor.fetchall()
            details = details_of(scope, [row[2] for row in found])
        if not found:  # A chain with a gap is exported as far as it goes; whoever checks the file sees it.
            break
        lines = []
        for sequence, digest, audit_id, row in found:
            link = {"sequence": sequence, "digest": bytes(digest).hex()}
            lines.append(orjson.dumps({**link, "row": orjson.loads(row), "detail": details.get(audit_id)}))
            last = sequence
        yield b"\n".join(lines) + b"\n"
    yield orjson.dumps({"head": head}) + b"\n"


def details_of(scope: Scope, audit_ids: Iterable[UUID]) -> dict[UUID, Any]:
    """Return the details of rows in the clear. Needs an open reading."""
    rows = AuditEvent.objects.within(scope).filter(pk__in=list(audit_ids))
    people = [row.subject_id for row in rows if row.subject_id is not None]
    current().keys.preload(people)
    return {row.pk: row.detail for row in rows}
