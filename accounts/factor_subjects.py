"""What is held on a customer's second factors, how it is exported and how it is let go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.customer_factor_models import (
    CustomerPasskey,
    CustomerRecoveryCode,
    CustomerTotp,
    PendingSignIn,
    SecurityVisit,
)
from stackbe.kernel.clock import render
from stackbe.kernel.subjects import register

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope

HELD = (CustomerTotp, CustomerPasskey, CustomerRecoveryCode)
VISITS = (PendingSignIn, SecurityVisit)


def export_factors(scope: Scope, subject_id: UUID) -> dict[str, Any]:
    """Return which second factors a customer has; no secret is among them."""
    app = CustomerTotp.objects.within(scope).filter(customer_id=subject_id, confirmed_at__isnull=False).first()
    keys = CustomerPasskey.objects.within(scope).filter(customer_id=subject_id).order_by("id")
    codes = CustomerRecoveryCode.objects.within(scope).filter(customer_id=subject_id)
    return {
        "authenticatorAddedAt": render(app.confirmed_at) if app else None,
        "passkeys": [
            {"name": key.name, "createdAt": render(key.created_at), "lastUsedAt": render(key.last_used_at)}
            for key in keys
        ],
        "recoveryCodesLeft": codes.count(),
    }


def erase_factors(scope: Scope, subject_id: UUID) -> int:
    """Delete a customer's factors and recovery codes."""
    return sum(model.objects.within(scope).filter(customer_id=subject_id).delete()[0] for model in HELD)


def export_visits(scope: Scope, subject_id: UUID) -> list[dict[str, Any]]:
    """Return where a customer's sign-ins on their way, and visits to the page of factors, lead."""
    signing_in = PendingSignIn.objects.within(scope).filter(customer_id=subject_id).order_by("id")
    visits = SecurityVisit.objects.within(scope).filter(customer_id=subject_id).order_by("id")
    return [
        {"createdAt": render(row.created_at), "expiresAt": render(row.expires_at), "leadsTo": target}
        for row, target in [*((r, r.redirect_url) for r in signing_in), *((v, v.return_url) for v in visits)]
    ]


def erase_visits(scope: Scope, subject_id: UUID) -> int:
    """Delete them."""
    return sum(model.objects.within(scope).filter(customer_id=subject_id).delete()[0] for model in VISITS)


def register_holders() -> None:
    """Register with the kernel; called once when the apps are ready."""
    held = tuple(f"accounts.{model.__name__}" for model in HELD)
    register("factors", models=held, export=export_factors, erase=erase_factors)
    visits = tuple(f"accounts.{model.__name__}" for model in VISITS)
    register("visits", models=visits, export=export_visits, erase=erase_visits)
