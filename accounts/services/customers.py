"""Create, find, change and delete an app's customers."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts.erasure import erase_customer_job
from accounts.erasure_models import Erasure
from accounts.errors import CustomerNotFound, EmailTaken, ExternalIdTaken
from accounts.events import customer_as_event
from accounts.models import (
    Customer,
    CustomerSession,
    MagicLink,
    OneTimeCode,
    RefreshToken,
    domain_index,
    email_index,
)
from accounts.organization_models import OrganizationInvite
from accounts.services.customer_factors import end_visits
from accounts.services.organizations_erasure import leave_every_organization
from accounts.services.receipts import note_asked
from accounts.social_models import CustomerIdentity, SocialAttempt
from stackbe.kernel import ids
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now, wall_clock
from stackbe.kernel.jobs import enqueue
from stackbe.kernel.serializers import merge_metadata, normalised_email
from stackbe.kernel.subjects import export_subject
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import current, require_change
from stackbe.mail.outgoing import forget_address, lift_bounce
from webhooks.outbox import emit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

INDEX_BYTES = 32
CONTACT = frozenset({"email", "billing_email", "name"})
LAST_CHARACTER = "\U0010ffff"


Follower = Callable[["Scope", Customer], None]
_followers: dict[str, tuple[frozenset[str] | None, Follower]] = {}


def after_contact_changes(name: str, follow: Follower) -> None:
    """Have a customer's new address or name followed elsewhere: billing tells Stripe.

    It is called as `follow(scope, customer)` in the change itself, and queues what takes the network.
    """
    _followers[name] = (CONTACT, follow)


def after_customer_changes(name: str, follow: Follower) -> None:
    """Have whatever changes of a customer followed elsewhere: billing tells of their state, which shows it."""
    _followers[name] = (None, follow)


class _Unset:
    """What an argument is when it was not given; None means "take it away"."""


UNSET = _Unset()


def live_customers(scope: Scope) -> ScopedQuerySet[Customer]:
    """Return the app's customers without those whose deletion was asked for."""
    return Customer.objects.within(scope).filter(deleted_at__isnull=True)


def index_key(scope: Scope) -> bytes:
    """Return the app's key for blind indexes."""
    return current().keys.secret("blind_index", scope.app)


def create_customer(
    scope: Scope,
    *,
    email: str,
    billing_email: str | None = None,
    name: str | None = None,
    external_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Customer:
    """Add a customer to the app. Invoices go to `billing_email` where there is one.

    Raises `EmailTaken` or `ExternalIdTaken` where the app has one already; of two racers one
    gets the row and the other the error.
    """
    require_change()
    key, moment = index_key(scope), now(scope)
    customer = Customer(
        **owned_by(scope),
        email=email,
        email_index=email_index(key, email),
        domain_index=domain_index(key, email),
        billing_email=billing_email,
        name=name,
        external_id=external_id,
        metadata=merge_metadata({}, metadata or {}),
        created_at=moment,
        updated_at=moment,
    )
    _write(customer, None)
    data = {"customer": customer_as_event(customer)}
    emit(scope, "customer.created", data, subject=customer.id)
    audit(scope, "customer.created", customer.public_id, subject_id=customer.id)
    return customer


def get_or_create_customer(scope: Scope, *, email: str, **details: Any) -> tuple[Customer, bool]:
    """Return the customer with that address and whether it was made now; `details` as in create."""
    found = customer_by_email(scope, email)
    if found is not None:
        return found, False
    try:
        return create_customer(scope, email=email, **details), True
    except EmailTaken:
        return find_customer(scope, email=email), False


def find_customer(
    scope: Scope,
    *,
    email: str | None = None,
    public_id: str | None = None,
    external_id: str | None = None,
) -> Customer:
    """Return the customer that one of the three names, or raise `CustomerNotFound`."""
    if public_id is not None:
        return live_customers(scope).fetch(public_id, CustomerNotFound)
    if email is not None:
        found = customer_by_email(scope, email)
    else:
        found = live_customers(scope).filter(external_id=external_id).first()
    if found is None:
        raise CustomerNotFound
    return found


def hold_customer(scope: Scope, customer_id: UUID) -> None:
    """Hold a customer until the change ends, so that nothing is written for one who is erased meanwhile.

    Raises `CustomerNotFound` where their deletion was asked for since they were found.
    """
    require_change()
    live_customers(scope).select_for_update(no_key=True).only("id").fetch(customer_id, CustomerNotFound)


def customer_by_email(scope: Scope, email: str) -> Customer | None:
    """Return the customer with that address, however it is capitalised."""
    index = email_index(index_key(scope), email)
    return live_customers(scope).filter(email_index=index).first()


def search_customers(
    scope: Scope,
    *,
    email: str | None = None,
    external_id: str | None = None,
    q: str | None = None,
) -> ScopedQuerySet[Customer]:
    """Return the customers that all given filters match.

    `q` finds an exact address, an address's domain, or the beginning of an id or an externalId.
    Names and addresses are encrypted, so there is nothing to search parts of.
    """
    rows = live_customers(scope)
    if email is not None:
        rows = rows.filter(email_index=email_index(index_key(scope), email))
    if external_id is not None:
        rows = rows.filter(external_id=external_id)
    return rows if q is None else rows.filter(_matches(scope, q))


def update_customer(
    scope: Scope,
    customer_id: str,
    *,
    email: str | _Unset = UNSET,
    billing_email: str | _Unset | None = UNSET,
    name: str | _Unset | None = UNSET,
    external_id: str | _Unset | None = UNSET,
    metadata: Mapping[str, Any] | _Unset = UNSET,
) -> Customer:
    """Change what is given. Metadata keys merge and one set to None goes; so does a None name.

    A change that changes nothing is not announced. Raises as `create_customer` does, and
    `ValidationFailed` where the merged metadata outgrow their 16 KiB.
    """
    require_change()
    customer = live_customers(scope).locked().fetch(customer_id, CustomerNotFound)
    before = customer_as_event(customer)
    written: list[str] = []
    if isinstance(email, str) and email != customer.email:
        written += _readdress(scope, customer, email)
    plain = {"name": name, "external_id": external_id, "billing_email": billing_email}
    for field, value in plain.items():
        if not isinstance(value, _Unset) and value != getattr(customer, field):
            setattr(customer, field, value)
            written.append(field)
    if not isinstance(metadata, _Unset):
        kept = merge_metadata(customer.metadata or {}, metadata)
        if kept != customer.metadata:
            customer.metadata = kept
            written.append("metadata")
    if written:
        customer.updated_at = now(scope)
        _write(customer, [*written, "updated_at"])
        after = customer_as_event(customer)
        emit(scope, "customer.updated", {"customer": after}, subject=customer.id)
        audit(
            scope,
            "customer.updated",
            customer.public_id,
            subject_id=customer.id,
            detail={key: {"from": before[key], "to": after[key]} for key in after if before[key] != after[key]},
        )
    for fields, follow in _followers.values() if written else ():
        if fields is None or fields & set(written):
            follow(scope, customer)
    return customer


def delete_customer(scope: Scope, customer_id: str) -> Customer:
    """Sign a customer out everywhere, for good, and hide them; a job lets go of what is held on them.

    The address is free for a new customer from now on. `customer.deleted` is emitted when the
    erasure is done, since cancelling at Stripe comes first and may take retries.
    """
    require_change()
    customer = live_customers(scope).locked().fetch(customer_id, CustomerNotFound)
    forget_address(scope, bytes(customer.email_index))
    sessions = CustomerSession.objects.within(scope).filter(customer_id=customer.id)
    RefreshToken.objects.within(scope).filter(session_id__in=sessions.values("id")).delete()
    sessions.filter(revoked_at__isnull=True).update(revoked_at=wall_clock())
    OneTimeCode.objects.within(scope).filter(customer_id=customer.id).delete()
    SocialAttempt.objects.within(scope).filter(customer_id=customer.id).delete()
    CustomerIdentity.objects.within(scope).filter(customer_id=customer.id).delete()
    end_visits(scope, customer.id)
    MagicLink.objects.within(scope).filter(email_index=customer.email_index).delete()
    OrganizationInvite.objects.within(scope).filter(email_index=customer.email_index).delete()
    customer.deleted_at = now(scope)
    customer.external_id = None
    customer.email_index = secrets.token_bytes(INDEX_BYTES)
    customer.domain_index = secrets.token_bytes(INDEX_BYTES)
    customer.save(update_fields=["deleted_at", "external_id", "email_index", "domain_index"])
    leave_every_organization(scope, customer)
    note_asked(scope, Erasure.Kind.CUSTOMER, customer.id)
    audit(scope, "customer.deleted", customer.public_id, subject_id=customer.id)
    enqueue(
        erase_customer_job,
        tenant_id=str(scope.tenant_id),
        app_id=str(scope.app),
        customer_id=str(customer.id),
    )
    return customer


def send_mail_again(scope: Scope, customer_id: str) -> Customer:
    """Forget that mail to a customer bounced; harmless where none did."""
    require_change()
    customer = find_customer(scope, public_id=customer_id)
    if lift_bounce(scope, bytes(customer.email_index)):
        audit(scope, "customer.mail_resumed", customer.public_id, subject_id=customer.id)
    return customer


def export_customer(scope: Scope, customer_id: str) -> dict[str, Any]:
    """Return everything held on a customer, by holder. Who asked for it is audited."""
    require_change()
    customer = live_customers(scope).fetch(customer_id, CustomerNotFound)
    records = export_subject(scope, customer.id)
    audit(scope, "customer.exported", customer.public_id, subject_id=customer.id)
    return {"customer_id": customer.public_id, "exported_at": wall_clock(), "records": records}


def _readdress(scope: Scope, customer: Customer, email: str) -> list[str]:
    """Give a customer another address; links that went to the old one are void."""
    key = index_key(scope)
    if normalised_email(email) != normalised_email(customer.email):
        MagicLink.objects.within(scope).filter(email_index=customer.email_index).delete()
        end_visits(scope, customer.id)
    customer.email = email
    customer.email_index = email_index(key, email)
    customer.domain_index = domain_index(key, email)
    return ["email", "email_index", "domain_index"]


def _write(customer: Customer, fields: list[str] | None) -> None:
    """Save inside a savepoint, and say which unique value was taken."""
    try:
        with transaction.atomic():
            customer.save(force_insert=fields is None, update_fields=fields)
    except IntegrityError as refused:
        if "one_customer_per_email" in str(refused):
            raise EmailTaken(fields={"email": [EmailTaken.message]}) from None
        if "one_customer_per_external_id" in str(refused):
            raise ExternalIdTaken(fields={"externalId": [ExternalIdTaken.message]}) from None
        raise


def _matches(scope: Scope, q: str) -> Q:
    found = Q(external_id__gte=q, external_id__lt=q + LAST_CHARACTER)
    local, at, domain = q.rpartition("@")
    if local:
        found |= Q(email_index=email_index(index_key(scope), q))
    if not local and "." in domain and (at or q == domain):
        found |= Q(domain_index=domain_index(index_key(scope), f"@{domain}"))
    bounds = ids.bounds(Customer.id_prefix, q)
    return found if bounds is None else found | Q(pk__range=bounds)
