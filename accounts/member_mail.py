"""Mail about a developer's own place and safety: invitations, codes for a proof, notices.

As with sign-in links, tokens and codes come into being here, in the worker; a job carries ids alone.
"""

from __future__ import annotations

from uuid import UUID

from django.conf import settings

from accounts import opaque
from accounts.developer_models import Device, MemberInvitation
from accounts.models import DeveloperLink, Tenant, User
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import Keyring, token_digest
from stackbe.kernel.jobs import job
from stackbe.kernel.scope import PLATFORM, platform_scope, system_scope
from stackbe.kernel.transactions import change, reading
from stackbe.mail.sending import Message, send, write

INVITATION = "sbv"
INVITATION_PAGE = "/auth/invitation"
SECURITY_PAGE = "/account/security"
# What a notice says: a subject, and what happened.
NOTICES = {
    "authenticator_added": ("An authenticator app was added", "Signing in now takes a code of that app."),
    "authenticator_removed": ("Your authenticator app was removed", "Its codes no longer sign you in."),
    "passkey_added": ("A passkey was added", "It can now be used to sign in to your account."),
    "passkey_removed": ("A passkey was removed", "It no longer signs you in."),
    "codes_renewed": ("New recovery codes were made", "Those from before no longer work."),
    "code_spent": ("A recovery code was used", "It works once; see how many are left, and make new ones in time."),
    "factors_reset": (
        "Your second factors were removed",
        "The operator of this installation did so on request. Add one again.",
    ),
}


@job("accounts.mail_member_invitation")
def mail_member_invitation(tenant_id: str, invitation_id: str) -> None:
    """Mint an invitation's token and mail it. Does nothing for one that was taken, revoked or has expired."""
    scope = system_scope(UUID(tenant_id), actor_name="mail")
    with change(scope):
        rows = MemberInvitation.objects.within(scope).locked().filter(pk=UUID(invitation_id))
        invitation = rows.filter(expires_at__gt=wall_clock()).first()
        message = None if invitation is None else _invitation_message(invitation)
    if message is not None:
        send(message)


@job("accounts.mail_proof_code")
def mail_proof_code(link_id: str) -> None:
    """Mint the 6 digits by which a developer without a second factor proves to be there, and mail them."""
    with change(platform_scope("mail")):
        rows = DeveloperLink.unscoped.select_for_update().filter(pk=UUID(link_id), expires_at__gt=wall_clock())
        link = rows.first()
        if link is None:
            return
        code = opaque.mint_code()
        link.code_digest = opaque.code_digest(Keyring(PLATFORM).secret("pepper"), link.id, code)
        link.tries_left = opaque.TRIES
        link.save(update_fields=["code_digest", "tries_left"])
        context = {"code": code, "minutes": settings.MAGIC_LINK_MINUTES}
        message = write("proof_code", link.email, context, code=code, subject_id=link.user_id)
    send(message)


@job("accounts.mail_security_notice")
def mail_security_notice(user_id: str, kind: str) -> None:
    """Tell a developer what was changed about how they sign in."""
    subject, sentence = NOTICES[kind]
    _notify(UUID(user_id), f"{subject} · StackBE", [sentence, "If that was not you, sign in and look at once."])


@job("accounts.mail_sign_in_alert")
def mail_sign_in_alert(device_id: str) -> None:
    """Tell a developer of a sign-in from a browser that they had not used before."""
    device = Device.objects.filter(pk=UUID(device_id)).first()
    if device is None:
        return
    moment = device.signed_in_at
    where = " near ".join(filter(None, [device.user_agent_family or "an unknown browser", device.address]))
    told = f"On {moment.day} {moment:%B %Y at %H:%M} UTC somebody signed in to your account with {where}."
    advice = "If it was you, there is nothing to do. If not, sign that browser out and tell your colleagues."
    _notify(device.user_id, "A new browser signed in · StackBE", [told, advice])


def _invitation_message(invitation: MemberInvitation) -> Message:
    token = opaque.mint(INVITATION, invitation.id)
    invitation.token_digest = token_digest(token)
    invitation.sent_at = wall_clock()
    invitation.save(update_fields=["token_digest", "sent_at"])
    tenant = Tenant.unscoped.get(pk=invitation.tenant_id)
    context = {
        "link": f"{settings.BASE_URL}{INVITATION_PAGE}#token={token}",
        "tenant": tenant.name,
        "role": invitation.role,
        "until": invitation.expires_at,
    }
    return write("member_invitation", invitation.email, context)


def _notify(user_id: UUID, subject: str, paragraphs: list[str]) -> None:
    with reading(platform_scope("mail")):
        user = User.objects.filter(pk=user_id, is_active=True).first()
        if user is None or not user.email:
            return
        context = {
            "subject": subject,
            "paragraphs": paragraphs,
            "url": f"{settings.BASE_URL}{SECURITY_PAGE}",
            "action": "Look at your security",
        }
        message = write("notice", user.email, context, subject_id=user.id)
    send(message)
