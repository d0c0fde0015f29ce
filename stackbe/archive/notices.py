"""Mail to a tenant's owners about its deletion."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings

from accounts.models import Tenant, User
from stackbe.kernel.jobs import job
from stackbe.kernel.scope import platform_scope, system_scope
from stackbe.kernel.transactions import reading
from stackbe.mail.sending import send, write

UNTIL_THEN = (
    "Until then everything goes on as before: API keys work, customers sign in, webhooks are sent."
    " Any owner can take it back in the dashboard: Settings, Your account’s data."
)
# What a notice says: a subject, and what happened. `day` is the day of the deletion.
NOTICES = {
    "asked": ("{name} will be deleted on {day}", ["An owner asked for the account to be deleted.", UNTIL_THEN]),
    "soon": ("{name} will be deleted in three days", ["The account is deleted on {day}.", UNTIL_THEN]),
    "withdrawn": ("{name} will not be deleted", ["An owner took the deletion of the account back; nothing is lost."]),
    "done": (
        "Your account was deleted",
        [
            (
                "Everything in it is gone, and its keys are destroyed. What the law keeps are the numbers, dates and"
                " totals of invoices, without a name."
            ),
            "This is the signed receipt; keep it. {receipt}",
        ],
    ),
}


@job("archive.mail_deletion_notice")
def mail_deletion_notice(user_id: str, tenant_id: str, kind: str, receipt: str = "") -> None:
    """Tell one owner. The receipt goes with the job, since it holds no personal data."""
    scope = system_scope(UUID(tenant_id), actor_name="mail")
    with reading(scope):
        tenant = Tenant.unscoped.filter(pk=scope.tenant_id).first()
    if tenant is None:
        return
    due = tenant.deletion_due_at
    day = f"{due.day} {due:%B %Y}" if due else ""
    subject, sentences = NOTICES[kind]
    with reading(platform_scope("mail")):
        user = User.objects.filter(pk=UUID(user_id), is_active=True).first()
        if user is None or not user.email:
            return
        filled = {"name": tenant.name, "day": day, "receipt": receipt}
        context = {
            "subject": f"{subject.format(**filled)} · StackBE",
            "paragraphs": [sentence.format(**filled) for sentence in sentences],
            "url": f"{settings.BASE_URL}/dashboard/",
            "action": "Open the dashboard",
        }
        message = write("notice", user.email, context, subject_id=user.id)
    send(message)
