"""Letting go of a customer: what must end elsewhere first, then all that is held here.

Deletion is asked for in one change (services/customers.py); this is the job that follows it.
Steps that call the network run before and outside of the change that erases; each must be
harmless when run twice, because a job that failed half-way starts again from the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from accounts.erasure_models import Erasure
from accounts.lookups import known_app
from accounts.models import Customer
from accounts.services.receipts import sign_receipt
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now, render
from stackbe.kernel.jobs import job
from stackbe.kernel.subjects import erase_subject
from stackbe.kernel.transactions import change, forbid_transaction, require_change
from webhooks.outbox import emit

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

Step = Callable[["Scope", UUID], None]
_steps: dict[str, Step] = {}


def before_erasing(name: str, step: Step) -> None:
    """Have a step run before a customer is erased: billing cancels at Stripe.

    It is called as `step(scope, customer_id)` with no transaction open, and raises to be tried
    again later; until it succeeds nothing is erased.
    """
    _steps[name] = step


@job("accounts.erase_customer")
def erase_customer_job(tenant_id: str, app_id: str, customer_id: str) -> None:
    """Erase a customer whose deletion was asked for."""
    app = known_app(UUID(app_id))
    if app is None or app.tenant_id != UUID(tenant_id):
        return
    run_erasure(app.system_scope("erasure"), UUID(customer_id))


def run_erasure(scope: Scope, customer_id: UUID) -> None:
    """Take every step, then erase in one change. Does nothing for one who is not being deleted."""
    forbid_transaction("an erasure's steps")
    for step in _steps.values():
        step(scope, customer_id)
    with change(scope):
        erase_customer(scope, customer_id)


def erase_customer(scope: Scope, customer_id: UUID) -> None:
    """Let go of all that is held on a deleted customer and announce it, once.

    The row stays as an empty stone, so that invoice references keep something to point at.
    """
    require_change()
    rows = Customer.objects.within(scope).locked().filter(pk=customer_id)
    customer = rows.filter(deleted_at__isnull=False, erased_at__isnull=True).first()
    if customer is None:
        return
    counts = erase_subject(scope, customer_id)
    customer.erased_at = now(scope)
    customer.save(update_fields=["erased_at"])
    gone = {"id": customer.public_id, "deletedAt": render(customer.deleted_at)}
    emit(scope, "customer.deleted", {"customer": gone})
    sign_receipt(scope, Erasure.Kind.CUSTOMER, customer_id, counts)
    audit(scope, "customer.erased", customer.public_id, detail={"rows": counts})
