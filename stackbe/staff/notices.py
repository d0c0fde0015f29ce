"""Mail to a tenant's owners about what staff did to what is theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings

from accounts.models import App, Membership, Tenant, User
from apikeys.models import ApiKey
from stackbe.kernel.ids import decode
from stackbe.kernel.jobs import enqueue, job
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.scope import Role, platform_scope, system_scope
from stackbe.kernel.transactions import reading, require_change
from stackbe.mail.sending import send, write

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

STOPPED = (
    "API keys, sessions and sign-in links are refused since then. Nothing is lost, and payments that Stripe has already"
    " taken are still recorded."
)
# What a notice says of an act: a subject, and what it means. `what` names the thing.
NOTICES = {
    "tenant.suspended": ("{what} is suspended", STOPPED),
    "tenant.resumed": ("{what} goes on", "It works again as before."),
    "app.suspended": ("{what} is suspended", STOPPED),
    "app.resumed": ("{what} goes on", "It works again as before."),
    "api_key.suspended": ("{what} is suspended", "Requests with it are refused. Others of your keys work as before."),
    "api_key.resumed": ("{what} goes on", "It works again as before."),
    "staff.visit_began": (
        "Staff are looking through {what}",
        "You allowed it. They change nothing. The dashboard lists every page that they open: Settings, Staff access.",
    ),
    "api_key.revoked": ("{what} was revoked", "Requests with it are refused, for good. Put a new key in its place."),
}
MODELS: dict[str, Any] = {model.id_prefix: model for model in (Tenant, App, ApiKey)}


def tell_owners(scope: Scope, act: AuditEvent) -> None:
    """Queue a mail to each owner about an act that is on record. The job names the record, which holds the reason."""
    require_change()
    owners = Membership.objects.within(scope).filter(role=Role.OWNER.value)
    for user_id in owners.values_list("user_id", flat=True):
        enqueue(mail_staff_notice, user_id=str(user_id), tenant_id=str(scope.tenant_id), act_id=str(act.pk))


@job("staff.mail_notice")
def mail_staff_notice(user_id: str, tenant_id: str, act_id: str) -> None:
    """Tell one owner."""
    scope = system_scope(UUID(tenant_id), actor_name="mail")
    with reading(scope):
        act = AuditEvent.objects.within(scope).filter(pk=UUID(act_id)).first()
        what = None if act is None else _named(act)
        if act is None or what is None:
            return
        reason = str((act.detail or {}).get("reason", ""))
        subject, meaning = NOTICES[act.action]
        day = act.occurred_at
    with reading(platform_scope("mail")):
        user = User.objects.filter(pk=UUID(user_id), is_active=True).first()
        if user is None or not user.email:
            return
        context = {
            "subject": f"{subject.format(what=what)} · StackBE",
            "paragraphs": [
                f"Our staff did this on {day.day} {day:%B %Y at %H:%M} UTC. Reason given: {reason}",
                meaning,
                "It is in the audit log of your account. If you think that it is a mistake, write to us.",
            ],
            "url": f"{settings.BASE_URL}/contact",
            "action": "Write to us",
        }
        message = write("notice", user.email, context, subject_id=user.id)
    send(message)


def _named(act: AuditEvent) -> str | None:
    """Return what an act was done to, in words; None where it is gone."""
    model = MODELS[act.target.partition("_")[0]]
    row = model.unscoped.filter(pk=decode(model.id_prefix, act.target)).first()
    if row is None:
        return None
    return f"The API key {row.prefix}…" if isinstance(row, ApiKey) else str(row.name)
