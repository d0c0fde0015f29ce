"""Which accounts elsewhere sign a customer in: found, connected, listed, disconnected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from accounts.events import customer_as_event
from accounts.factor_mail import ask_for_notice
from accounts.models import Customer
from accounts.services.customers import customer_by_email, get_or_create_customer, index_key, live_customers
from accounts.social_errors import EmailUnverified, IdentityNotFound, NobodyHere, TakenBySomebody
from accounts.social_models import CustomerIdentity, subject_index
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change
from webhooks.outbox import emit

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.lookups import KnownApp
    from accounts.services.social_protocol import Person
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet


def identities_of(scope: Scope, customer_id: UUID) -> ScopedQuerySet[CustomerIdentity]:
    """Return the accounts elsewhere that sign a customer in."""
    return CustomerIdentity.objects.within(scope).filter(customer_id=customer_id)


def settle_person(scope: Scope, app: KnownApp, provider: str, person: Person) -> Customer:
    """Return the customer that somebody from a provider is.

    An account that was connected decides, whatever address the provider names today. Else an address that the
    provider vouches for finds its customer, or makes one where the app wants that, and is connected to it. An
    address that nobody has proven does neither: `EmailUnverified`.
    """
    require_change()
    identity = _identity(scope, person)
    if identity is not None:
        return _signed_in_by(scope, identity)
    if person.email is None:
        raise EmailUnverified
    made = False
    if app.settings.auto_create_customer:
        customer, made = get_or_create_customer(scope, email=person.email, name=person.name)
    else:
        known = customer_by_email(scope, person.email)
        if known is None:
            raise NobodyHere
        customer = known
    return _signed_in_by(scope, connect(scope, customer, provider, person, is_news=not made))


def connect(
    scope: Scope, customer: Customer, provider: str, person: Person, *, is_news: bool = True
) -> CustomerIdentity:
    """Have an account elsewhere sign a customer in, and mail them so if that `is_news`. Twice is harmless.

    Raises `TakenBySomebody` where it signs another customer in; of two racers one connects and both find it.
    """
    require_change()
    identity = CustomerIdentity(
        **owned_by(scope),
        customer_id=customer.id,
        provider=provider,
        subject_index=subject_index(index_key(scope), person.issuer, person.subject),
        subject=person.subject,
        email=person.email,
    )
    try:
        with transaction.atomic():
            identity.save(force_insert=True)
    except IntegrityError as refused:
        if "one_customer_per_identity" not in str(refused):
            raise
        found = _identity(scope, person)
        if found is None or found.customer_id != customer.id:
            raise TakenBySomebody from None
        return found
    _announce(scope, customer, identity, "linked")
    if is_news:
        ask_for_notice(scope, customer, "identity_linked")
    return identity


def disconnect(scope: Scope, customer: Customer, identity_id: str) -> None:
    """Have an account elsewhere sign the customer in no longer. Mail still does, so nobody is locked out."""
    require_change()
    identity = identities_of(scope, customer.id).locked().fetch(identity_id, IdentityNotFound)
    _announce(scope, customer, identity, "unlinked")
    ask_for_notice(scope, customer, "identity_unlinked")
    identity.delete()


def identity_as_event(identity: CustomerIdentity) -> dict[str, Any]:
    """Return a connected account as the API and the webhooks show it. Read it inside a change or reading."""
    return {
        "id": identity.public_id,
        "provider": identity.provider,
        "email": identity.email,
        "createdAt": render(identity.created_at),
        "lastUsedAt": render(identity.last_used_at),
    }


def _identity(scope: Scope, person: Person) -> CustomerIdentity | None:
    index = subject_index(index_key(scope), person.issuer, person.subject)
    return CustomerIdentity.objects.within(scope).filter(subject_index=index).first()


def _signed_in_by(scope: Scope, identity: CustomerIdentity) -> Customer:
    customer = live_customers(scope).filter(pk=identity.customer_id).first()
    if customer is None:  # Being deleted at this moment; the identities of the deleted are gone.
        raise NobodyHere
    identity.last_used_at = wall_clock()
    identity.save(update_fields=["last_used_at"])
    return customer


def _announce(scope: Scope, customer: Customer, identity: CustomerIdentity, what: str) -> None:
    shown = {"customer": customer_as_event(customer), "identity": identity_as_event(identity)}
    emit(scope, f"customer.identity_{what}", shown, subject=customer.id)
    detail = {"provider": identity.provider, "identity": identity.public_id}
    audit(scope, f"customer.identity_{what}", customer.public_id, subject_id=customer.id, detail=detail)
