"""Mail about what signs a customer in: second factors and accounts elsewhere, in the app's name."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from accounts.lookups import KnownApp, known_app
from accounts.models import Customer
from accounts.services.logos import brand_of
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import new_id
from stackbe.kernel.jobs import enqueue, job
from stackbe.kernel.transactions import change
from stackbe.mail import outgoing
from stackbe.mail.sending import Message, write

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

# What a notice says: a subject, and what happened.
NOTICES = {
    "authenticator_added": ("An authenticator app was added", "Signing in now takes a code of that app."),
    "authenticator_removed": ("Your authenticator app was removed", "Its codes no longer sign you in."),
    "passkey_added": ("A passkey was added", "It can now be used to sign in to your account."),
    "passkey_removed": ("A passkey was removed", "It no longer signs you in."),
    "codes_renewed": ("New recovery codes were made", "Those from before no longer work."),
    "code_spent": ("A recovery code was used", "It works once; see how many are left, and make new ones in time."),
    "identity_linked": ("An account was connected", "Signing in with it, at its provider, now signs you in here."),
    "identity_unlinked": ("An account was disconnected", "Signing in with it no longer signs you in here."),
    "factors_reset": ("Your second factors were removed", "This was done for you. You can add one again."),
}


def ask_for_notice(scope: Scope, customer: Customer, kind: str) -> None:
    """Have a customer told what was changed about how they sign in."""
    index = bytes(customer.email_index)
    outgoing.record_asked(scope, mail_id := new_id(), "factor_notice", index, asked_at=wall_clock())
    enqueue(
        mail_factor_notice,
        tenant_id=str(scope.tenant_id),
        app_id=str(scope.app),
        customer_id=str(customer.id),
        mail_id=str(mail_id),
        kind=kind,
    )


@job("accounts.mail_factor_notice")
def mail_factor_notice(tenant_id: str, app_id: str, customer_id: str, mail_id: str, kind: str) -> None:
    """Tell a customer what was changed about how they sign in. Does nothing for one who is gone."""
    app = known_app(UUID(app_id))
    if app is None or app.closed or app.tenant_id != UUID(tenant_id):
        return
    scope = app.system_scope("mail")
    with change(scope):
        customer = Customer.objects.within(scope).filter(pk=UUID(customer_id), deleted_at__isnull=True).first()
        message = None if customer is None else _notice(scope, app, customer, UUID(mail_id), kind)
    if message is not None:
        outgoing.deliver(scope, UUID(mail_id), message)


def _notice(scope: Scope, app: KnownApp, customer: Customer, mail_id: UUID, kind: str) -> Message | None:
    if outgoing.bounce_of(scope, bytes(customer.email_index)) is not None:
        outgoing.settle(scope, mail_id, outgoing.Status.SKIPPED)
        return None
    brand = brand_of(app)
    subject, sentence = NOTICES[kind]
    advice = f"If that was not you, sign in to {brand['name']} and look at once, or write to them."
    context = {"subject": f"{subject} · {brand['name']}", "paragraphs": [sentence, advice], "brand": brand}
    return write("notice", customer.email, context, from_name=brand["name"], subject_id=customer.id)
