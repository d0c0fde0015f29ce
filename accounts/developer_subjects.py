"""What is held on a developer beside their identity, how it is exported and how it is let go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.developer_models import Device, Passkey, RecoveryCode, TotpFactor
from stackbe.kernel.clock import render
from stackbe.kernel.models import BrowserSession
from stackbe.kernel.scope import PLATFORM
from stackbe.kernel.subjects import register

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope


def export_factors(scope: Scope, subject_id: UUID) -> dict[str, Any] | None:
    """Return which second factors a developer has; only the platform asks, and no secret is among them."""
    if scope.tenant_id != PLATFORM:
        return None
    app = TotpFactor.objects.filter(user_id=subject_id, confirmed_at__isnull=False).first()
    keys = Passkey.objects.filter(user_id=subject_id).order_by("id")
    return {
        "authenticatorAddedAt": render(app.confirmed_at) if app else None,
        "passkeys": [
            {"name": key.name, "createdAt": render(key.created_at), "lastUsedAt": render(key.last_used_at)}
            for key in keys
        ],
    }


def erase_factors(scope: Scope, subject_id: UUID) -> int:
    """Delete a developer's factors and recovery codes."""
    if scope.tenant_id != PLATFORM:
        return 0
    rows = (model.objects.filter(user_id=subject_id).delete()[0] for model in (TotpFactor, Passkey, RecoveryCode))
    return sum(rows)


def export_devices(scope: Scope, subject_id: UUID) -> list[dict[str, Any]]:
    """Return which browsers a developer signed in with."""
    if scope.tenant_id != PLATFORM:
        return []
    return [
        {
            "firstSeenAt": render(row.created_at),
            "signedInAt": render(row.signed_in_at),
            "lastSeenAt": render(row.last_seen_at),
            "address": row.address,
            "userAgentFamily": row.user_agent_family,
        }
        for row in Device.objects.filter(user_id=subject_id).order_by("id")
    ]


def erase_devices(scope: Scope, subject_id: UUID) -> int:
    """Delete a developer's browsers and end the sessions in them."""
    if scope.tenant_id != PLATFORM:
        return 0
    BrowserSession.objects.filter(user_id=subject_id).delete()
    return Device.objects.filter(user_id=subject_id).delete()[0]


def export_nothing(scope: Scope, subject_id: UUID) -> None:
    """Return nothing: an invitation belongs to the tenant that asks, and names nobody who has come."""


def erase_nothing(scope: Scope, subject_id: UUID) -> int:
    """Erase nothing: invitations end by themselves after a week, and are no customer's."""
    return 0


def register_holders() -> None:
    """Register with the kernel; called once when the apps are ready."""
    register(
        "developer factors",
        models=("accounts.TotpFactor", "accounts.Passkey", "accounts.RecoveryCode"),
        export=export_factors,
        erase=erase_factors,
    )
    register("developer devices", models=("accounts.Device",), export=export_devices, erase=erase_devices)
    register("member invitations", models=("accounts.MemberInvitation",), export=export_nothing, erase=erase_nothing)
