"""Who buys: the customer that a checkout names, the organization they buy for, and their place at Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from accounts.models import Customer, Organization, OrganizationMember
from accounts.organization_errors import OrganizationNotFound
from accounts.services.customers import find_customer, get_or_create_customer
from billing.models import StripeCustomer
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope


def find_buyer(scope: Scope, asked: dict[str, Any]) -> Customer:
    """Return the customer that a request names by `customer_id`, `email` or `customer` (id, e-mail or object).

    One given by e-mail is made if need be. Raises `CustomerNotFound`, and `ValidationFailed` for a
    request that names none or several.
    """
    require_change()
    named = [name for name in ("customer_id", "email", "customer") if asked.get(name) is not None]
    if len(named) != 1:
        raise ValidationFailed(fields={"customerId": ["Give exactly one of customerId, email and customer."]})
    given = asked[named[0]]
    if isinstance(given, dict):
        return _described(scope, given)
    if named == ["customer_id"] or "@" not in given:
        return find_customer(scope, public_id=given)
    found, _ = get_or_create_customer(scope, email=given)
    return found


def _described(scope: Scope, given: dict[str, Any]) -> Customer:
    if given.get("id"):
        return find_customer(scope, public_id=given["id"])
    if given.get("email"):
        details = {name: value for name, value in given.items() if value is not None and name != "id"}
        found, _ = get_or_create_customer(scope, **details)
        return found
    if given.get("external_id"):
        return find_customer(scope, external_id=given["external_id"])
    raise ValidationFailed(fields={"customer": ["Give its id, its email or its externalId."]})


def buying_organization(scope: Scope, public_id: str | None, customer: Customer) -> UUID | None:
    """Return the organization that buys, None for none; the customer must be one of its members."""
    if public_id is None:
        return None
    # Two members who buy for it take turns here.
    rows = Organization.objects.within(scope).select_for_update(no_key=True).filter(deleted_at__isnull=True)
    found = rows.fetch(public_id, OrganizationNotFound)
    members = OrganizationMember.objects.within(scope).filter(organization=found, customer=customer)
    if not members.exists():
        raise OrganizationNotFound
    return found.pk


def forget_at_stripe(scope: Scope, customer_id: UUID, account_id: str) -> None:
    """Forget who a customer is at Stripe: somebody deleted them there, and their next checkout makes them anew."""
    require_change()
    links = StripeCustomer.objects.within(scope).filter(account_id=account_id)
    links.filter(customer_id=customer_id).delete()
