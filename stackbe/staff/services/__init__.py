"""What staff do: look, reveal, suspend, appoint. Each is one change with its audit row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from accounts.models import App, SpentToken, Tenant, User
from apikeys.models import ApiKey
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.errors import Conflict, Forbidden, NotFound, ValidationFailed
from stackbe.kernel.scope import PLATFORM, Credential, Scope
from stackbe.kernel.transactions import change, require_change
from stackbe.staff.notices import tell_owners
from stackbe.staff.roles import Power, may

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from uuid import UUID

    from django.db import models

SHORTEST_REASON, LONGEST_REASON = 10, 300


def staff_scope(user: User, tenant_id: UUID = PLATFORM, app_id: UUID | None = None) -> Scope:
    """Return a staff member's scope inside a tenant, or on the platform."""
    return Scope(
        tenant_id=tenant_id,
        app_id=app_id,
        credential=Credential.STAFF,
        credential_id=user.id,
        actor_name=f"staff:{user.staff_role}",
    )


def spend_pass(pass_id: UUID, lives: timedelta) -> bool:
    """Take a pass into the console, in the open change; of two racers one is let in."""
    require_change()
    try:
        with transaction.atomic():
            SpentToken.unscoped.create(id=pass_id, expires_at=wall_clock() + lives)
    except IntegrityError:
        return False
    return True


def record_look(user: User, action: str, target: str, row: models.Model | None = None) -> None:
    """Write down that a staff member looked: in the tenant's own log where the row has a tenant."""
    tenant_id = PLATFORM if row is None else tenant_of(row)
    app_id = None if row is None else getattr(row, "app_id", None)
    with change(staff_scope(user, tenant_id, app_id)) as unit:
        audit(unit.scope, action, target, detail={"role": user.staff_role})


def reveal(user: User, row: models.Model, names: Sequence[str], reason: str) -> dict[str, str]:
    """Return some of a row's sealed fields in the clear, once the reason is on record.

    Raises `Forbidden` for a role without the power and `ValidationFailed` for no reason worth the name.
    """
    refuse_without(user, Power.REVEAL)
    reason = worded(reason)
    with change(staff_scope(user, tenant_of(row), getattr(row, "app_id", None))) as unit:
        shown = {name: str(getattr(row, name)) for name in names}
        audit(
            unit.scope,
            "staff.revealed",
            str(row),
            subject_id=getattr(row, "subject_id", None),
            detail={"reason": reason, "fields": list(names)},
        )
    return shown


def set_suspended(user: User, row: Tenant | App | ApiKey, *, suspended: bool, reason: str) -> bool:
    """Stop a tenant, an app or a key from the next request on, or let it go on; its tenant's owners are told by mail.

    Keys, sessions and links ask the database each time, so there is nothing to wait for. Returns False where it was
    so already. Raises `ValidationFailed` for no reason worth the name, `Conflict` for a tenant that is being deleted.
    """
    refuse_without(user, Power.SUSPEND)
    reason = worded(reason)
    app_id = row.pk if isinstance(row, App) else getattr(row, "app_id", None)
    with change(staff_scope(user, tenant_of(row), app_id)) as unit:
        model = type(row)
        held = model.unscoped.select_for_update().get(pk=row.pk)
        if isinstance(held, Tenant) and held.erasing_at is not None:
            raise Conflict("This tenant is being deleted: it stays closed.")
        before = held.suspended_at
        if (before is not None) == suspended:
            return False
        held.suspended_at = wall_clock() if suspended else None
        held.save(update_fields=["suspended_at"])
        kind = {"apikey": "api_key"}.get(model._meta.model_name or "", model._meta.model_name)
        done = "suspended" if suspended else "resumed"
        detail = {"reason": reason, "before": render(before), "after": render(held.suspended_at)}
        act = audit(unit.scope, f"{kind}.{done}", held.public_id, detail=detail)
        tell_owners(unit.scope, act)
    return True


def revoke_key(user: User, row: ApiKey, reason: str) -> None:
    """Revoke a tenant's key, as when it was found in public."""
    refuse_without(user, Power.SUSPEND)
    reason = worded(reason)
    with change(staff_scope(user, row.tenant_id, row.app_id)) as unit:
        held = ApiKey.unscoped.select_for_update().get(pk=row.pk)
        if held.revoked_at is None or held.revoked_at > wall_clock():
            held.revoked_at = wall_clock()
            held.save(update_fields=["revoked_at"])
            act = audit(unit.scope, "api_key.revoked", held.public_id, detail={"reason": reason})
            tell_owners(unit.scope, act)


def appoint(user: User, person_id: UUID, role: str) -> None:
    """Give a person a staff role, or take it with an empty one. Nobody changes their own."""
    refuse_without(user, Power.APPOINT)
    if person_id == user.id:
        raise Forbidden("Nobody changes their own role. Ask another administrator.")
    if role not in User.StaffRole.values:
        raise ValidationFailed(fields={"role": ["No such role."]})
    with change(staff_scope(user)) as unit:
        person = User.objects.select_for_update().filter(pk=person_id).first()
        if person is None:
            raise NotFound
        before, person.staff_role = person.staff_role, role
        person.save(update_fields=["staff_role"])
        audit(unit.scope, "staff.appointed", person.public_id, detail={"before": before, "after": role})


def worded(reason: str) -> str:
    """Return a reason that says something. Raises `ValidationFailed` for one that does not."""
    words = " ".join(reason.split())
    if not SHORTEST_REASON <= len(words) <= LONGEST_REASON:
        raise ValidationFailed(fields={"reason": ["Say in a few words why. It goes on record."]})
    return words


def refuse_without(user: User, power: Power) -> None:
    """Raise `Forbidden` unless the role has the power."""
    if not may(user.staff_role, power):
        raise Forbidden("Your role may not do that.")


def tenant_of(row: Any) -> UUID:
    """Return whose row it is: the platform's where it names no tenant."""
    if isinstance(row, Tenant):
        return row.id
    tenant_id: UUID = getattr(row, "tenant_id", PLATFORM)
    return tenant_id
