"""What counts for a customer, read the ordinary way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from accounts.models import Customer
from billing.models import Access, DefaultAccess
from stackbe.kernel.clock import now
from stackbe.kernel.scope import Scope
from usage.decisions import Granted
from usage.services.summary import require_customer


def granted_to(scope: Scope, customer_id: UUID) -> Granted:
    """Return what counts for a customer now. Raises `CustomerNotFound`."""
    require_customer(scope, customer_id)
    access = Access.objects.within(scope).filter(customer_id=customer_id).first()
    moment = now(scope)
    default = None if access and _counts(access, moment) else DefaultAccess.objects.within(scope).first()
    return _granted(access, default, moment)


def granted_to_each(scope: Scope, customer_ids: Sequence[UUID]) -> dict[UUID, Granted]:
    """Return the same for those of many who are the app's customers, in the order asked for, in three queries."""
    live = Customer.objects.within(scope).filter(deleted_at__isnull=True, pk__in=customer_ids)
    known = set(live.values_list("pk", flat=True))
    rows = {row.customer_id: row for row in Access.objects.within(scope).filter(customer_id__in=known)}
    default = DefaultAccess.objects.within(scope).first()
    moment = now(scope)
    return {each: _granted(rows.get(each), default, moment) for each in customer_ids if each in known}


def _granted(access: Access | None, default: DefaultAccess | None, moment: datetime) -> Granted:
    overrides = access.overrides if access else {}
    if access and _counts(access, moment):
        return Granted("access", access.source, moment, access.entitlements, overrides)
    if default is None:
        return Granted(None, None, moment, {}, overrides)
    return Granted("default", default.source, moment, default.entitlements, overrides)


def _counts(access: Access, moment: datetime) -> bool:
    begun = access.access_from is None or access.access_from <= moment
    return access.plan_id is not None and begun and (access.access_until is None or access.access_until > moment)
