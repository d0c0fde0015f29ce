"""Who works on an account: members, invitations, roles, and the way out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django_ratelimit.core import is_ratelimited

from accounts.dashboard.frame import AppPage
from accounts.errors import MemberNotFound
from accounts.models import Membership, User
from accounts.services.factors import DeveloperFactors
from accounts.services.member_invitations import (
    LIVES,
    invite_member,
    list_invitations,
    resend_invitation,
    revoke_invitation,
)
from accounts.services.members import (
    change_role,
    keys_issued_by,
    leave_tenant,
    list_members,
    remove_member,
    transfer_ownership,
)
from apikeys.models import ApiKey
from apikeys.services.keys import revoke_api_key
from stackbe.kernel import ids
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import RateLimited
from stackbe.kernel.scope import Role, Scope
from stackbe.kernel.serializers import EMAIL_LENGTH
from stackbe.kernel.transactions import change

INVITATIONS = "30/h"
SAYS = {
    Role.VIEWER: "Viewer: sees everything, changes nothing",
    Role.DEVELOPER: "Developer: works with customers, plans and webhooks",
    Role.ADMIN: "Admin: also keys, settings, Stripe and members",
    Role.OWNER: "Owner: also owners, and handing the account over",
}


class RoleForm(forms.Form):
    """A role to give; nobody is offered one above their own."""

    def __init__(self, *args: Any, most: Role, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(role.value, says) for role, says in SAYS.items() if role.rank <= most.rank]
        self.fields["role"] = forms.ChoiceField(label="Role", choices=choices)


class InviteForm(RoleForm):
    """Somebody to ask."""

    email = forms.EmailField(
        label="E-mail", max_length=EMAIL_LENGTH, widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )


class Members(AppPage):
    """The account's members and its open invitations."""

    section = "members"
    resource = "members"
    template = "dashboard/members.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return who works here, who was asked, and what the member may do about it."""
        rows = [
            {
                "place": place,
                "email": user.email or "",
                "name": user.name or "",
                "is_self": place.pk == self.scope.credential_id,
                "has_factor": DeveloperFactors(user).has_factor(),
                "may_change": self.may_write and Role(place.role).rank <= self.role.rank,
            }
            for place, user in list_members(self.scope)
        ]
        return {
            "rows": rows,
            "invitations": list_invitations(self.scope) if self.may_write else [],
            "form": InviteForm(most=self.role, initial={"role": Role.DEVELOPER.value}),
            "days": LIVES.days,
            "roles": list(SAYS.values()),
        }

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Invite somebody."""
        form = InviteForm(request.POST, most=self.role)

        def act() -> HttpResponse:
            refuse_many_mails(request, self.scope)
            asked = form.cleaned_data
            self.perform(lambda scope: invite_member(scope, email=asked["email"], role=asked["role"]))
            return self.done("Invited. The mail is on its way.", "dashboard-members")

        return self.submit(form, act, {"form": form, "is_adding": True})


class MemberForm(AppPage):
    """A form about one member or one invitation."""

    section = "members"
    resource = "members"
    home = "dashboard-members"


class ChangeRole(MemberForm):
    """Giving a member another role."""

    def post(self, request: HttpRequest, app_id: str, member_id: str) -> HttpResponse:
        """Change it; their next click counts under the new one."""
        form = RoleForm(request.POST, most=self.role)
        if form.is_valid():
            role = form.cleaned_data["role"]
            self.perform(lambda scope: change_role(scope, member_id, role=role))
            return self.done("The role was changed.", "dashboard-members")
        return self.done("Choose one of the roles. Nothing was changed.", "dashboard-members")


class OneMember(MemberForm):
    """A member: their role, and taking their place away."""

    least = Role.ADMIN
    template = "dashboard/member.html"

    def context(self, member_id: str) -> dict[str, Any]:
        """Return the member and the keys that they made and that still work."""
        place, user = member_of(self.scope, member_id)
        keys = working_keys(self.scope, member_id)
        return {
            "place_shown": place,
            "email": user.email or "",
            "is_self": place.pk == self.scope.credential_id,
            "keys": keys,
            "form": RoleForm(most=self.role, initial={"role": place.role}),
            "may_transfer": self.role is Role.OWNER and place.pk != self.scope.credential_id,
        }


class Remove(MemberForm):
    """Taking a member's place away, and their keys where that is asked for."""

    def post(self, request: HttpRequest, app_id: str, member_id: str) -> HttpResponse:
        """End what they may do from their next click on."""
        wanted = set(request.POST.getlist("keys"))
        with change(self.scope):
            keys = [key for key in working_keys(self.scope, member_id) if key.public_id in wanted]
            remove_member(self.scope, member_id)
            for key in keys:
                revoke_api_key(self.scope, key)
        ended = f" {len(keys)} of their keys too." if keys else ""
        return self.done(f"Removed, and signed out everywhere.{ended}", "dashboard-members")


class Transfer(MemberForm):
    """Handing the account over."""

    least = Role.OWNER

    def post(self, request: HttpRequest, app_id: str, member_id: str) -> HttpResponse:
        """Make somebody else the owner and oneself an admin."""
        self.perform(lambda scope: transfer_ownership(scope, member_id))
        return self.done("They own the account now. You are an admin.", "dashboard-members")


class Leave(MemberForm):
    """Giving one's own place up."""

    least = Role.VIEWER

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Leave, unless nobody would own the account then."""
        self.perform(leave_tenant)
        return redirect("dashboard")


class Resend(MemberForm):
    """Mailing an invitation again."""

    def post(self, request: HttpRequest, app_id: str, invitation_id: str) -> HttpResponse:
        """Mail it with a new link."""
        refuse_many_mails(request, self.scope)
        self.perform(lambda scope: resend_invitation(scope, invitation_id))
        return self.done("Sent again. The earlier link no longer works.", "dashboard-members")


class RevokeInvitation(MemberForm):
    """Taking an invitation back."""

    def post(self, request: HttpRequest, app_id: str, invitation_id: str) -> HttpResponse:
        """End it."""
        self.perform(lambda scope: revoke_invitation(scope, invitation_id))
        return self.done("Revoked. Its link opens nothing now.", "dashboard-members")


def member_of(scope: Scope, member_id: str) -> tuple[Membership, User]:
    """Return one of the account's members, or the API's 404. Needs an open reading."""
    found = next((row for row in list_members(scope) if row[0].public_id == member_id), None)
    if found is None:
        raise MemberNotFound
    return found


def working_keys(scope: Scope, member_id: str) -> list[ApiKey]:
    """Return the secret keys that a member made, of all apps of the account, and that still work."""
    made = {ids.decode(ApiKey.id_prefix, key) for key in keys_issued_by(scope, member_id)}
    rows = ApiKey.objects.within(scope).filter(pk__in=made, kind=ApiKey.Kind.SECRET, revoked_at__isnull=True)
    return [row for row in rows.order_by("pk") if row.expires_at is None or row.expires_at > wall_clock()]


def refuse_many_mails(request: HttpRequest, scope: Scope) -> None:
    """Count an invitation's mail. Raises `RateLimited` after thirty in an hour for one account."""
    account = str(scope.tenant_id)
    if is_ratelimited(
        request, group="invitations", key=lambda _group, _request: account, rate=INVITATIONS, increment=True
    ):
        raise RateLimited("Thirty invitations an hour are the most. Wait before you send more.")
