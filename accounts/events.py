"""What events and replies say of this app's rows."""

from __future__ import annotations

from typing import Any

from accounts.models import Customer, Organization, OrganizationMember
from accounts.organization_models import OrganizationInvite
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.ids import encode


def customer_as_event(customer: Customer) -> dict[str, Any]:
    """Return a customer as the API and the webhooks show it. Read it inside a change or reading."""
    return {
        "id": customer.public_id,
        "email": customer.email,
        "billingEmail": customer.billing_email,
        "name": customer.name,
        "externalId": customer.external_id,
        "metadata": customer.metadata or {},
        "createdAt": render(customer.created_at),
        "updatedAt": render(customer.updated_at),
    }


def organization_as_event(organization: Organization) -> dict[str, Any]:
    """Return an organization as the API and the webhooks show it. Read it inside a change or reading."""
    return {
        "id": organization.public_id,
        "name": organization.name,
        "slug": organization.slug,
        "metadata": organization.metadata or {},
        "createdAt": render(organization.created_at),
    }


def member_as_event(member: OrganizationMember) -> dict[str, Any]:
    """Return a place in an organization, and whose it is. Read it inside a change or reading."""
    return {
        "customerId": encode("cust", member.customer_id),
        "email": member.customer.email,
        "name": member.customer.name,
        "role": member.role,
        "createdAt": render(member.created_at),
    }


def invite_as_event(invite: OrganizationInvite) -> dict[str, Any]:
    """Return an invitation as those who may invite see it: never its token."""
    return {
        "id": invite.public_id,
        "organizationId": encode("org", invite.organization_id),
        "email": invite.email,
        "role": invite.role,
        "status": "pending" if invite.expires_at > wall_clock() else "expired",
        "invitedBy": invite.invited_by,
        "createdAt": render(invite.created_at),
        "sentAt": render(invite.sent_at),
        "expiresAt": render(invite.expires_at),
    }
