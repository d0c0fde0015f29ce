"""Organizations: finding one, who belongs to it, who was invited, and how its seats are filled."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path

from accounts.dashboard.frame import AppPage, as_the_api_takes_it
from accounts.errors import AppNotFound
from accounts.lookups import known_app
from accounts.models import Organization, OrganizationMember
from accounts.organization_shapes import InviteInput, OrganizationInput
from accounts.services.customers import customer_by_email
from accounts.services.organizations import create_organization, delete_organization, list_organizations
from accounts.services.organizations_invites import INVITE_LIVES, invite, list_invites, resend, revoke
from accounts.services.organizations_members import remove_member, update_member
from accounts.services.organizations_places import enter, places_of, seats_of
from billing.models import Subscription
from billing.services.seats import subscription_of
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.scope import Scope
from stackbe.kernel.serializers import EMAIL_LENGTH
from stackbe.kernel.transactions import current

ROLES = [("member", "Member"), ("admin", "Admin"), ("owner", "Owner")]
SHOWN = 100


class OrganizationForm(forms.Form):
    """An organization to make by hand."""

    name = forms.CharField(label="Name", max_length=120)
    owner = forms.EmailField(
        label="Owner",
        required=False,
        max_length=EMAIL_LENGTH,
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
        help_text="The address of one of your customers. Without one, add an owner later.",
    )


class InviteForm(forms.Form):
    """Somebody to invite."""

    email = forms.EmailField(
        label="E-mail", max_length=EMAIL_LENGTH, widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )
    role = forms.ChoiceField(label="Role", choices=ROLES)


class RoleForm(forms.Form):
    """A member's other role."""

    role = forms.ChoiceField(label="Role", choices=ROLES)


class Organizations(AppPage):
    """The app's organizations, newest first."""

    section = "organizations"
    resource = "organizations"
    template = "dashboard/organizations.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return a page of them with how many belong to each and what they pay for."""
        app = known_app(self.scope.app)
        if app is None or not app.settings.organizations_enabled:
            return {"is_off": True}
        found = self.page_of(list_organizations(self.scope))
        rows: list[Organization] = found["rows"]
        owned = [row.pk for row in rows]
        members: dict[Any, int] = {}
        places = OrganizationMember.objects.within(self.scope).filter(organization_id__in=owned)
        for organization_id in places.values_list("organization_id", flat=True):
            members[organization_id] = members.get(organization_id, 0) + 1
        live = Subscription.objects.within(self.scope).filter(organization_id__in=owned).exclude(status="canceled")
        plans = {row.organization_id: row for row in live.select_related("plan").order_by("id")}
        shown = [(row, members.get(row.pk, 0), plans.get(row.pk)) for row in rows]
        return {**found, "rows": shown, "form": OrganizationForm()}

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Make one."""
        form = OrganizationForm(request.POST)

        def act() -> HttpResponse:
            asked = as_the_api_takes_it(OrganizationInput, {"name": form.cleaned_data["name"]})
            made = self.perform(lambda scope: _create(scope, asked, form.cleaned_data["owner"]))
            return self.done("Organization made.", "dashboard-organization", made.public_id)

        return self.submit(form, act, {"form": form, "is_adding": True})


class OneOrganization(AppPage):
    """One organization: members, invitations, seats and its subscription."""

    section = "organizations"
    resource = "organizations"
    template = "dashboard/organization.html"

    def context(self, organization_id: str) -> dict[str, Any]:
        """Return all that is known of it; long lists are cut."""
        scope = self.scope
        organization = enter(scope, organization_id)
        members = list(places_of(scope, organization.id).order_by("id")[:SHOWN])
        current().keys.preload([member.customer_id for member in members])
        return {
            "organization": organization,
            "seats": seats_of(scope, organization),
            "members": members,
            "invites": list(list_invites(scope, organization_id).order_by("-id")[:SHOWN]),
            "subscription": subscription_of(scope, organization.id),
            "roles": ROLES,
            "now": wall_clock(),
            "form": InviteForm(),
            "days": INVITE_LIVES.days,
        }


class Form(AppPage):
    """A form on an organization's page, to which it leads back."""

    section = "organizations"
    resource = "organizations"

    def back(self) -> HttpResponse:
        """Return to the organization."""
        return redirect("dashboard-organization", self.kwargs["app_id"], self.kwargs["organization_id"])

    def did(self, sentence: str) -> HttpResponse:
        """Say there what was done."""
        return self.done(sentence, "dashboard-organization", self.kwargs["organization_id"])


class Invite(Form):
    """Inviting somebody."""

    def post(self, request: HttpRequest, app_id: str, organization_id: str) -> HttpResponse:
        """Send the invitation."""
        form = InviteForm(request.POST)
        if not form.is_valid():
            raise ValidationFailed("Give an e-mail address. Nobody was invited.")
        app = known_app(self.scope.app)
        if app is None:
            raise AppNotFound
        asked = as_the_api_takes_it(InviteInput, form.cleaned_data)
        self.perform(lambda scope: invite(scope, app, organization_id, **asked))
        return self.did("Invited. The mail is on its way.")


class Resend(Form):
    """An invitation's next mail."""

    def post(self, request: HttpRequest, app_id: str, organization_id: str, invite_id: str) -> HttpResponse:
        """Send it again; the link that went out before is dead."""
        self.perform(lambda scope: resend(scope, organization_id, invite_id))
        return self.did("Sent again. The earlier link is dead.")


class Revoke(Form):
    """Taking an invitation back."""

    def post(self, request: HttpRequest, app_id: str, organization_id: str, invite_id: str) -> HttpResponse:
        """Revoke it."""
        self.perform(lambda scope: revoke(scope, organization_id, invite_id))
        return self.did("The invitation was taken back.")


class ChangeRole(Form):
    """Giving a member another role."""

    def post(self, request: HttpRequest, app_id: str, organization_id: str, customer_id: str) -> HttpResponse:
        """Change it."""
        form = RoleForm(request.POST)
        if not form.is_valid():
            raise ValidationFailed("Choose one of the roles. Nothing was changed.")
        role = form.cleaned_data["role"]
        self.perform(lambda scope: update_member(scope, organization_id, customer_id, role=role))
        return self.did("The role was changed.")


class Remove(Form):
    """Taking a member's place."""

    def post(self, request: HttpRequest, app_id: str, organization_id: str, customer_id: str) -> HttpResponse:
        """Remove them."""
        self.perform(lambda scope: remove_member(scope, organization_id, customer_id))
        return self.did("Removed. Their access follows at once.")


class Delete(Form):
    """Deleting an organization."""

    def post(self, request: HttpRequest, app_id: str, organization_id: str) -> HttpResponse:
        """Delete it once DELETE was typed."""
        if request.POST.get("word", "").strip().upper() != "DELETE":
            raise ValidationFailed("Type DELETE to confirm. Nothing was changed.")
        self.perform(lambda scope: delete_organization(scope, organization_id))
        return self.done("The organization is gone; its subscription is being cancelled.", "dashboard-organizations")


def _create(scope: Scope, asked: dict[str, Any], owner: str) -> Organization:
    """Make an organization, owned by the customer at an address where one is given."""
    customer = customer_by_email(scope, owner) if owner else None
    if owner and customer is None:
        raise ValidationFailed(fields={"owner": ["No customer has this address."]})
    return create_organization(scope, **asked, customer_id=customer.public_id if customer else None)


APP = "dashboard/<str:app_id>/organizations"
ONE = f"{APP}/<str:organization_id>"
PAGES: list[URLPattern] = [
    path(APP, Organizations.as_view(), name="dashboard-organizations"),
    path(ONE, OneOrganization.as_view(), name="dashboard-organization"),
    path(f"{ONE}/delete", Delete.as_view(), name="dashboard-organization-delete"),
    path(f"{ONE}/invites", Invite.as_view(), name="dashboard-organization-invite"),
    path(f"{ONE}/invites/<str:invite_id>/resend", Resend.as_view(), name="dashboard-organization-resend"),
    path(f"{ONE}/invites/<str:invite_id>/revoke", Revoke.as_view(), name="dashboard-organization-revoke"),
    path(f"{ONE}/members/<str:customer_id>/role", ChangeRole.as_view(), name="dashboard-organization-role"),
    path(f"{ONE}/members/<str:customer_id>/remove", Remove.as_view(), name="dashboard-organization-remove"),
]
