"""Letting go of an organization, and of a customer's places in all of them.

Members leave in the change that asks for it; a job then ends at Stripe what the organization pays for,
and lets go of the row. It is harmless when run twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from accounts import seats
from accounts.erasure_models import Erasure
from accounts.lookups import known_app
from accounts.models import Customer, Organization, OrganizationMember
from accounts.organization_models import OrganizationInvite
from accounts.services.organizations_places import (
    ADMIN,
    OWNER,
    change_role,
    forget_in_sessions,
    live_organizations,
    places_of,
    unseat,
)
from accounts.services.receipts import note_asked, sign_receipt
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now, render
from stackbe.kernel.jobs import enqueue, job
from stackbe.kernel.subjects import erase_subject
from stackbe.kernel.transactions import change, forbid_transaction, require_change
from stackbe.mail import outgoing
from webhooks.outbox import emit, reduce_events

if TYPE_CHECKING:
    from collections.abc import Callable

    from stackbe.kernel.scope import Scope


def close(scope: Scope, organization: Organization) -> None:
    """Take everybody out of an organization that is held, hide it, and queue its end."""
    require_change()
    organization.deleted_at = now(scope)
    organization.slug = organization.public_id
    organization.save(update_fields=["deleted_at", "slug"])
    invites = OrganizationInvite.objects.within(scope).filter(organization_id=organization.id)
    for invite_id in invites.values_list("pk", flat=True):
        outgoing.settle(scope, invite_id, outgoing.Status.LATE)
    invites.delete()
    rows = OrganizationMember.objects.within(scope).filter(organization_id=organization.id)
    members = list(rows.values_list("customer_id", flat=True))
    rows.delete()
    forget_in_sessions(scope, organization.id)
    gone = {"id": organization.public_id, "deletedAt": render(organization.deleted_at)}
    emit(scope, "organization.deleted", {"organization": gone})
    audit(scope, "organization.deleted", organization.public_id, detail={"members": len(members)})
    note_asked(scope, Erasure.Kind.ORGANIZATION, organization.id)
    seats.tell_changed(scope, organization.id, members)
    enqueue(
        erase_organization_job,
        tenant_id=str(scope.tenant_id),
        app_id=str(scope.app),
        organization_id=str(organization.id),
    )


def leave_every_organization(scope: Scope, customer: Customer) -> None:
    """Take a customer who is being deleted out of all organizations.

    Where they were the last owner, the admin who has been a member for longest becomes owner, else the
    member who has; an organization without anybody else is deleted.
    """
    require_change()
    mine = OrganizationMember.objects.within(scope).filter(customer_id=customer.id)
    for identifier in sorted(mine.values_list("organization_id", flat=True)):
        organization = live_organizations(scope).locked().filter(pk=identifier).first()
        place = places_of(scope, identifier).filter(customer_id=customer.id).first()
        if organization is None or place is None:
            continue
        others = places_of(scope, identifier).exclude(pk=place.pk).order_by("id")
        if not others.exists():
            close(scope, organization)
            continue
        if place.role == OWNER and not others.filter(role=OWNER).exists():
            heir = others.filter(role=ADMIN).first() or others[0]
            change_role(scope, organization, heir, OWNER)
        unseat(scope, organization, place)


@job("accounts.erase_organization")
def erase_organization_job(tenant_id: str, app_id: str, organization_id: str) -> None:
    """End at Stripe what a deleted organization pays for, then let go of its row."""
    app = known_app(UUID(app_id))
    if app is None or app.tenant_id != UUID(tenant_id):
        return
    scope, identifier = app.system_scope("erasure"), UUID(organization_id)
    forbid_transaction("an erasure's steps")
    seats.end_at_sellers(scope, identifier)
    with change(scope):
        erase_organization(scope, identifier)


def erase_organization(scope: Scope, organization_id: UUID) -> None:
    """Let go of all that is held on a deleted organization, once, and sign the receipt of it."""
    require_change()
    rows = Organization.objects.within(scope).locked().filter(pk=organization_id, deleted_at__isnull=False)
    organization = rows.first()
    if organization is None:
        return
    shown = organization.public_id
    counts = erase_subject(scope, organization_id)
    counts["members' events"] = reduce_events(scope, "organization.", _without(shown))
    sign_receipt(scope, Erasure.Kind.ORGANIZATION, organization_id, counts)
    audit(scope, "organization.erased", shown, detail={"rows": counts})


def _without(organization: str) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    """Return what takes an organization's name out of events about its members, who are still there."""

    def reduced(data: dict[str, Any]) -> dict[str, Any] | None:
        told = data.get("organization") or {}
        return {**data, "organization": {"id": organization}} if told.get("id") == organization else None

    return reduced
