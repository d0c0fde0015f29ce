"""All that is held on one customer or one organization as a signed file, for them to keep or to take elsewhere."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder

from accounts.services.customers import export_customer
from accounts.services.organizations import export_organization
from stackbe.kernel import attest
from stackbe.kernel.archives import ArchiveWriter
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.ids import encode
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stackbe.kernel.scope import Scope


def archive_customer(scope: Scope, customer_id: str) -> bytes:
    """Return a customer's archive; what is in it is what the export says. Raises `CustomerNotFound`."""
    told = export_customer(scope, customer_id)
    return _written(scope, "customer", told["customer_id"], told["records"])


def archive_organization(scope: Scope, organization_id: str) -> bytes:
    """Return an organization's archive; only its owners and the app's keys get one."""
    told = export_organization(scope, organization_id)
    return _written(scope, "organization", told["organization_id"], told["records"])


def facts_of(scope: Scope, kind: str, subject: str) -> dict[str, Any]:
    """Return what every archive's manifest says of itself."""
    return {
        "kind": kind,
        "subjectId": subject,
        "tenantId": encode("ten", scope.tenant_id),
        "appId": encode("app", scope.app_id) if scope.app_id else "",
        "createdAt": render(wall_clock()),
        "issuer": settings.BASE_URL,
    }


def signed(content: bytes) -> Mapping[str, str]:
    """Return this instance's signature over a manifest."""
    return attest.attest(attest.ARCHIVE, content)


def _written(scope: Scope, kind: str, subject: str, records: Mapping[str, Any]) -> bytes:
    """Write a part for each holder. One person's data fit into memory."""
    require_change()
    out = io.BytesIO()
    archive = ArchiveWriter(out, facts_of(scope, kind, subject))
    for holder, held in records.items():
        archive.add(f"records/{holder.replace(' ', '-')}.jsonl", _lines(held))
    archive.close(signed)
    return out.getvalue()


def _lines(held: Any) -> Iterator[bytes]:
    rows = held if isinstance(held, list) else [] if held is None else [held]
    for row in rows:
        yield json.dumps(row, cls=DjangoJSONEncoder, sort_keys=True).encode()
