"""The list of what was erased, and bringing a restored backup up to it before it serves.

A backup holds what was erased after it was taken, keys included. The list holds ids and signed receipts, no
personal data, and is kept apart from the backups.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from accounts.erasure import erase_customer
from accounts.erasure_models import Erasure
from accounts.models import App, Customer, Organization, Tenant
from accounts.services.customers import delete_customer
from accounts.services.organizations_erasure import close, erase_organization
from accounts.services.receipts import TARGETS, receipt_of
from stackbe.archive.services.deletion import erase_tenant
from stackbe.kernel.ids import decode
from stackbe.kernel.jobs import every_tenant
from stackbe.kernel.scope import PLATFORM, system_scope
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from uuid import UUID

    from stackbe.kernel.scope import Scope


def erasure_list() -> Iterator[str]:
    """Return a line for each erasure that was done on this instance."""
    for tenant_id in every_tenant():
        if tenant_id == PLATFORM:
            continue
        scope = system_scope(tenant_id, actor_name="erasure list")
        with reading(scope):
            rows = list(Erasure.objects.within(scope).filter(done_at__isnull=False).order_by("id"))
        for row in rows:
            yield json.dumps({**(receipt_of(row) or {}), "askedBy": row.asked_by}, sort_keys=True)


def reapply_erasures(lines: Iterable[str]) -> int:
    """Erase again what the list names and this database still holds; return how many.

    Runs before anything serves, needs no network, and is harmless when run twice: what is erased is left alone.
    """
    return sum(_reapply(json.loads(line)) for line in lines if line.strip())


def _reapply(told: dict[str, Any]) -> bool:
    statement = told["statement"]
    kind = Erasure.Kind(statement["kind"])
    target_id = decode(TARGETS[kind], statement["targetId"])
    tenant_id = decode("ten", statement["tenantId"])
    app_id = decode("app", statement["appId"]) if statement["appId"] else None
    scope = system_scope(tenant_id, app_id, actor_name="restore")
    with change(scope):
        if not Tenant.unscoped.filter(pk=tenant_id).exists():
            return False
        if app_id is not None and not App.objects.within(scope).filter(pk=app_id).exists():
            return False
        held = _still_held(scope, kind, target_id)
        _put_receipt_back(scope, told, target_id)
        if held and kind == Erasure.Kind.CUSTOMER:
            row = Customer.objects.within(scope).get(pk=target_id)
            if row.deleted_at is None:
                delete_customer(scope, row.public_id)
            erase_customer(scope, target_id)
        elif held and kind == Erasure.Kind.ORGANIZATION:
            organization = Organization.objects.within(scope).locked().get(pk=target_id)
            if organization.deleted_at is None:
                close(scope, organization)
            erase_organization(scope, target_id)
    if held and kind == Erasure.Kind.TENANT:
        erase_tenant(tenant_id, again=True)
    return held


def _still_held(scope: Scope, kind: str, target_id: UUID) -> bool:
    if kind == Erasure.Kind.CUSTOMER:
        return Customer.objects.within(scope).filter(pk=target_id, erased_at__isnull=True).exists()
    if kind == Erasure.Kind.ORGANIZATION:
        return Organization.objects.within(scope).filter(pk=target_id).exists()
    return Tenant.unscoped.filter(pk=target_id, erased_at__isnull=True).exists()


def _put_receipt_back(scope: Scope, told: dict[str, Any], target_id: UUID) -> None:
    """Keep the receipt that was given out: a later one would state another time."""
    statement = told["statement"]
    rows = Erasure.objects.within(scope).filter(kind=statement["kind"], target_id=target_id)
    if rows.filter(done_at__isnull=False).exists():
        return
    rows.delete()
    Erasure(
        id=decode(Erasure.id_prefix, statement["id"]),
        tenant_id=scope.tenant_id,
        app_id=scope.app_id,
        kind=statement["kind"],
        target_id=target_id,
        asked_by=told["askedBy"],
        asked_at=datetime.fromisoformat(statement["askedAt"]),
        done_at=datetime.fromisoformat(statement["doneAt"]),
        rows=statement["rows"],
        kid=told["kid"],
        signature=told["signature"],
    ).save(force_insert=True)
