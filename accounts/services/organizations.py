"""Make, find, change and delete an app's organizations."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from accounts import seats
from accounts.events import invite_as_event, member_as_event, organization_as_event
from accounts.models import Organization, OrganizationMember
from accounts.organization_errors import OrganizationNotFound, SlugTaken
from accounts.organization_models import OrganizationInvite
from accounts.services.customers import UNSET, _Unset, find_customer, live_customers
from accounts.services.organizations_erasure import close
from accounts.services.organizations_places import (
    ADMIN,
    OWNER,
    calling_customer,
    enter,
    live_organizations,
    lock_customer,
    places_of,
    require_enabled,
    seat,
)
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now, wall_clock
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.ids import new_id
from stackbe.kernel.scope import Credential, Scope
from stackbe.kernel.serializers import merge_metadata
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change
from webhooks.outbox import emit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.models import Customer
    from stackbe.kernel.tenancy import ScopedQuerySet

SLUG_LENGTH = 60
NUMBERED = 20


def create_organization(
    scope: Scope,
    *,
    name: str,
    slug: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    customer_id: str | None = None,
) -> Organization:
    """Make an organization. A session's customer owns it; a key names the owner, or adds one later.

    The slug is made from the name unless one is given. Raises `OrganizationsDisabled`, `SlugTaken` for
    a given slug that is in use, and `CustomerNotFound`.
    """
    require_change()
    require_enabled(scope)
    owner = _first_owner(scope, customer_id)
    organization = Organization(
        **owned_by(scope), name=name, metadata=merge_metadata({}, metadata or {}), created_at=now(scope)
    )
    _insert(organization, slug, name)
    emit(scope, "organization.created", {"organization": organization_as_event(organization)}, subject=organization.id)
    audit(scope, "organization.created", organization.public_id, subject_id=organization.id)
    if owner is not None:
        lock_customer(scope, owner)
        seat(scope, organization, owner, OWNER)
    return organization


def list_organizations(scope: Scope) -> ScopedQuerySet[Organization]:
    """Return the app's organizations; to a session those of its customer."""
    require_enabled(scope)
    rows = live_organizations(scope)
    if scope.credential != Credential.SESSION:
        return rows
    places = OrganizationMember.objects.within(scope).filter(customer_id=calling_customer(scope))
    return rows.filter(pk__in=places.values("organization_id"))


def update_organization(
    scope: Scope,
    organization_id: str,
    *,
    name: str | _Unset = UNSET,
    slug: str | _Unset = UNSET,
    metadata: Mapping[str, Any] | _Unset = UNSET,
) -> Organization:
    """Change what is given; an admin may. Metadata keys merge and one set to None goes.

    The slug stays when the name changes, since links hold it. A change that changes nothing is not
    announced. Raises `SlugTaken`.
    """
    require_change()
    organization = enter(scope, organization_id, ADMIN, hold=True)
    before = organization_as_event(organization)
    written: list[str] = []
    if not isinstance(name, _Unset) and name != organization.name:
        organization.name = name
        written.append("name")
    if not isinstance(slug, _Unset) and slug != organization.slug:
        organization.slug = slug
        written.append("slug")
    if not isinstance(metadata, _Unset):
        kept = merge_metadata(organization.metadata or {}, metadata)
        if kept != organization.metadata:
            organization.metadata = kept
            written.append("metadata")
    if written:
        if not _saved(organization, written):
            raise SlugTaken(fields={"slug": [SlugTaken.message]})
        after = organization_as_event(organization)
        emit(scope, "organization.updated", {"organization": after}, subject=organization.id)
        detail = {key: {"from": before[key], "to": after[key]} for key in after if before[key] != after[key]}
        audit(scope, "organization.updated", organization.public_id, subject_id=organization.id, detail=detail)
    if "name" in written:
        seats.tell_renamed(scope, organization.id)
    return organization


def delete_organization(scope: Scope, organization_id: str) -> Organization:
    """Close an organization; only an owner may. Its members lose what its plan gave them now.

    A job then cancels its subscription at Stripe and lets go of the row.
    """
    require_change()
    organization = enter(scope, organization_id, OWNER, hold=True)
    close(scope, organization)
    return organization


def export_organization(scope: Scope, organization_id: str) -> dict[str, Any]:
    """Return everything held on an organization. Who asked for it is audited."""
    require_change()
    organization = enter(scope, organization_id, OWNER)
    members = list(places_of(scope, organization.id).order_by("id"))
    invites = OrganizationInvite.objects.within(scope).filter(organization_id=organization.id).order_by("id")
    records = {
        "organization": organization_as_event(organization),
        "members": [member_as_event(member) for member in members],
        "invites": [invite_as_event(invite) for invite in invites],
        **seats.export_of_sellers(scope, organization.id),
    }
    audit(scope, "organization.exported", organization.public_id)
    return {"organization_id": organization.public_id, "exported_at": wall_clock(), "records": records}


def slug_from(name: str) -> str:
    """Return a name in lower-case ASCII words joined by hyphens; `organization` where nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return words[:SLUG_LENGTH].strip("-") or "organization"


def _first_owner(scope: Scope, customer_id: str | None) -> Customer | None:
    if scope.credential == Credential.SESSION:
        own = live_customers(scope).filter(pk=calling_customer(scope)).first()
        if customer_id is not None and (own is None or own.public_id != customer_id):
            sentence = "A session's own customer becomes the owner. Leave it out, or use an API key."
            raise ValidationFailed(fields={"customerId": [sentence]})
        if own is None:
            raise OrganizationNotFound
        return own
    return None if customer_id is None else find_customer(scope, public_id=customer_id)


def _insert(organization: Organization, slug: str | None, name: str) -> None:
    """Save a new organization under the slug given, or under the first free one of its name."""
    if slug is not None:
        organization.slug = slug
        if not _saved(organization, None):
            raise SlugTaken(fields={"slug": [SlugTaken.message]})
        return
    base = slug_from(name)
    for number in range(1, NUMBERED):
        organization.slug = base if number == 1 else f"{base}-{number}"
        if _saved(organization, None):
            return
    # Random bits of an id: nobody else can come up with the same.
    organization.slug = f"{base}-{new_id().hex[-10:]}"
    organization.save(force_insert=True)


def _saved(organization: Organization, fields: list[str] | None) -> bool:
    """Save inside a savepoint; say False where the slug is taken."""
    try:
        with transaction.atomic():
            organization.save(force_insert=fields is None, update_fields=fields)
    except IntegrityError as refused:
        if "one_organization_per_slug" in str(refused):
            return False
        raise
    return True
