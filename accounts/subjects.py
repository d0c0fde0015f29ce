"""What this app holds on a person, how it is exported and how it is let go."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from accounts.events import customer_as_event
from accounts.models import (
    Customer,
    CustomerSession,
    DeveloperLink,
    MagicLink,
    OneTimeCode,
    Organization,
    OrganizationMember,
    RefreshToken,
    User,
)
from accounts.organization_models import OrganizationInvite
from accounts.services.exports import drop_exports
from accounts.services.social_identities import identities_of, identity_as_event
from accounts.social_models import SocialAttempt
from stackbe.kernel.clock import render
from stackbe.kernel.ids import encode
from stackbe.kernel.scope import PLATFORM
from stackbe.kernel.subjects import register
from stackbe.mail.inbox import forget_caught
from stackbe.mail.outgoing import forget_address, latest_to

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope

INDEX_BYTES = 32


def export_customer(scope: Scope, subject_id: UUID) -> dict[str, Any] | None:
    """Return who the customer is."""
    customer = Customer.objects.within(scope).filter(pk=subject_id).first()
    if customer is None:
        return None
    return customer_as_event(customer) | {"deletedAt": render(customer.deleted_at)}


def erase_customer(scope: Scope, subject_id: UUID) -> int:
    """Take from the row all by which the customer could be found; their key goes last."""
    return (
        Customer.objects.within(scope)
        .filter(pk=subject_id)
        .update(
            external_id=None,
            email_index=secrets.token_bytes(INDEX_BYTES),
            domain_index=secrets.token_bytes(INDEX_BYTES),
        )
    )


def export_sessions(scope: Scope, subject_id: UUID) -> list[dict[str, Any]]:
    """Return where and when the customer was signed in, oldest first."""
    rows = CustomerSession.objects.within(scope).filter(customer_id=subject_id).order_by("id")
    return [
        {
            "id": row.public_id,
            "createdAt": render(row.created_at),
            "lastSeenAt": render(row.last_seen_at),
            "expiresAt": render(row.expires_at),
            "revokedAt": render(row.revoked_at),
            "address": row.address,
            "userAgentFamily": row.user_agent_family,
        }
        for row in rows
    ]


def erase_sessions(scope: Scope, subject_id: UUID) -> int:
    """Delete the customer's sessions and all that hangs on them."""
    sessions = CustomerSession.objects.within(scope).filter(customer_id=subject_id)
    tokens = RefreshToken.objects.within(scope).filter(session_id__in=sessions.values("id"))
    codes = OneTimeCode.objects.within(scope).filter(customer_id=subject_id)
    return tokens.delete()[0] + codes.delete()[0] + sessions.delete()[0]


def export_links(scope: Scope, subject_id: UUID) -> list[dict[str, Any]]:
    """Return the sign-in links that are still on their way to the customer."""
    customer = Customer.objects.within(scope).filter(pk=subject_id).first()
    if customer is None:
        return []
    rows = MagicLink.objects.within(scope).filter(email_index=customer.email_index).order_by("id")
    return [
        {
            "createdAt": render(row.created_at),
            "expiresAt": render(row.expires_at),
            "redirectUrl": row.redirect_url,
        }
        for row in rows
    ]


def export_mails(scope: Scope, subject_id: UUID) -> list[dict[str, Any]]:
    """Return which mails went to the customer's address, and what became of them."""
    customer = Customer.objects.within(scope).filter(pk=subject_id).first()
    if customer is None:
        return []
    return [
        {"kind": mail.kind, "status": mail.status, "askedAt": render(mail.asked_at), "sentAt": render(mail.sent_at)}
        for mail in latest_to(scope, bytes(customer.email_index))
    ]


def erase_mails(scope: Scope, subject_id: UUID) -> int:
    """Forget what became of mails to the address, if the row still tells which it was, and caught copies of them."""
    customer = Customer.objects.within(scope).filter(pk=subject_id).first()
    if customer is None:
        return 0
    caught = forget_caught(customer.email) if customer.email else 0
    return caught + forget_address(scope, bytes(customer.email_index))


def erase_files(scope: Scope, subject_id: UUID) -> int:
    """Drop the exported files that the customer may be in."""
    return drop_exports(scope)


def erase_links(scope: Scope, subject_id: UUID) -> int:
    """Delete links to the address, if the row still tells which it was.

    A deleted customer's links went with the request to delete, and a later link to the same
    address belongs to whoever signs up under it anew.
    """
    customer = Customer.objects.within(scope).filter(pk=subject_id).first()
    if customer is None:
        return 0
    return MagicLink.objects.within(scope).filter(email_index=customer.email_index).delete()[0]


def export_invites(scope: Scope, subject_id: UUID) -> list[dict[str, Any]]:
    """Return the organizations that wait for the customer to join."""
    customer = Customer.objects.within(scope).filter(pk=subject_id).first()
    if customer is None:
        return []
    rows = OrganizationInvite.objects.within(scope).filter(email_index=customer.email_index).order_by("id")
    return [
        {
            "organizationId": encode("org", row.organization_id),
            "role": row.role,
            "createdAt": render(row.created_at),
            "expiresAt": render(row.expires_at),
        }
        for row in rows
    ]


def erase_invites(scope: Scope, subject_id: UUID) -> int:
    """Delete invitations to the address, if the row still tells which it was; as for links."""
    customer = Customer.objects.within(scope).filter(pk=subject_id).first()
    if customer is None:
        return 0
    return OrganizationInvite.objects.within(scope).filter(email_index=customer.email_index).delete()[0]


def export_places(scope: Scope, subject_id: UUID) -> list[dict[str, Any]]:
    """Return the organizations that the customer belongs to."""
    rows = OrganizationMember.objects.within(scope).filter(customer_id=subject_id).order_by("id")
    return [
        {
            "organizationId": encode("org", row.organization_id),
            "role": row.role,
            "createdAt": render(row.created_at),
        }
        for row in rows
    ]


def erase_places(scope: Scope, subject_id: UUID) -> int:
    """Take the customer out of all organizations."""
    return OrganizationMember.objects.within(scope).filter(customer_id=subject_id).delete()[0]


def export_identities(scope: Scope, subject_id: UUID) -> list[dict[str, Any]]:
    """Return the accounts elsewhere that sign the customer in, with what their providers call them."""
    rows = identities_of(scope, subject_id).order_by("id")
    return [identity_as_event(row) | {"subject": row.subject} for row in rows]


def erase_identities(scope: Scope, subject_id: UUID) -> int:
    """Forget those accounts, and connections under way."""
    attempts = SocialAttempt.objects.within(scope).filter(customer_id=subject_id)
    return attempts.delete()[0] + identities_of(scope, subject_id).delete()[0]


def erase_organization(scope: Scope, subject_id: UUID) -> int:
    """Delete an organization that is being erased; its members left it with the request to delete."""
    rows = Organization.objects.within(scope).filter(pk=subject_id, deleted_at__isnull=False)
    return rows.delete()[0]


def export_developer(scope: Scope, subject_id: UUID) -> dict[str, Any] | None:
    """Return who a developer is; only the platform asks, tenants do not own developers."""
    user = User.objects.filter(pk=subject_id).first() if scope.tenant_id == PLATFORM else None
    if user is None:
        return None
    return {
        "id": user.public_id,
        "email": user.email,
        "name": user.name,
        "createdAt": render(user.created_at),
    }


def erase_developer(scope: Scope, subject_id: UUID) -> int:
    """Shut a developer's account and delete links on their way to it."""
    if scope.tenant_id != PLATFORM:
        return 0
    links = DeveloperLink.unscoped.filter(user_id=subject_id).delete()[0]
    return links + User.objects.filter(pk=subject_id).update(
        is_active=False, staff_role="", email_index=secrets.token_bytes(INDEX_BYTES)
    )


def _nothing(scope: Scope, subject_id: UUID) -> None:
    """Return nothing: sealed, but about no person."""


def _none(scope: Scope, subject_id: UUID) -> int:
    return 0


def register_holders() -> None:
    """Register with the kernel; called once when the apps are ready."""
    register("customer", models=("accounts.Customer",), export=export_customer, erase=erase_customer)
    register(
        "sessions",
        models=("accounts.CustomerSession", "accounts.RefreshToken", "accounts.OneTimeCode"),
        export=export_sessions,
        erase=erase_sessions,
    )
    register(
        "mails",
        models=("mail.OutgoingMail", "mail.BouncedAddress"),
        export=export_mails,
        erase=erase_mails,
    )
    register("files", models=("accounts.CustomerFile",), export=_nothing, erase=erase_files)
    register("links", models=("accounts.MagicLink",), export=export_links, erase=erase_links)
    register("invites", models=("accounts.OrganizationInvite",), export=export_invites, erase=erase_invites)
    register(
        "organizations",
        models=("accounts.OrganizationMember",),
        export=export_places,
        erase=erase_places,
    )
    register(
        "identities",
        models=("accounts.CustomerIdentity", "accounts.SocialAttempt"),
        export=export_identities,
        erase=erase_identities,
    )
    register(
        "developer",
        models=("accounts.User", "accounts.DeveloperLink"),
        export=export_developer,
        erase=erase_developer,
    )
    register("organization", models=("accounts.Organization",), export=_nothing, erase=erase_organization)
    register(
        "app",
        models=("accounts.SigningKey", "accounts.SocialProvider", "accounts.Erasure"),
        export=_nothing,
        erase=_none,
    )
