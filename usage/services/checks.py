"""What counts for a customer, read the ordinary way."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from billing.models import Access, DefaultAccess
from stackbe.kernel.clock import now
from stackbe.kernel.scope import Scope
from usage.decisions import Granted
from usage.services.summary import require_customer


def granted_to(scope: Scope, customer_id: UUID) -> Granted:
    """Return what counts for a customer now. Raises `CustomerNotFound`."""
    require_customer(scope, customer_id)
    moment = now(scope)
    access = Access.objects.within(scope).filter(customer_id=customer_id).first()
    overrides = access.overrides if access else {}
    if access and access.plan_id is not None and _counts(access, moment):
        return Granted("access", access.source, moment, access.entitlements, overrides)
    default = DefaultAccess.objects.within(scope).first()
    if default is None:
        return Granted(None, None, moment, {}, overrides)
    return Granted("default", default.source, moment, default.entitlements, overrides)


def _counts(access: Access, moment: datetime) -> bool:
    begun = access.access_from is None or access.access_from <= moment
    return bool(begun and (access.access_until is None or access.access_until > moment))
