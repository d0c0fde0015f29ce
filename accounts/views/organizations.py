"""An app's organizations over HTTP: for its backend with a key, for its customers with their session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts import opaque
from accounts.events import organization_as_event
from accounts.lookups import KnownApp, known_app
from accounts.organization_errors import InviteInvalid
from accounts.organization_shapes import (
    AcceptInput,
    AcceptOutput,
    InviteInput,
    InviteOutput,
    MemberInput,
    MemberOutput,
    MemberPatch,
    OneOrganizationOutput,
    OrganizationExportOutput,
    OrganizationInput,
    OrganizationListQuery,
    OrganizationOutput,
    OrganizationPatch,
    TransferInput,
)
from accounts.serializers import DeletedOutput
from accounts.services import organizations as services
from accounts.services import organizations_invites as invites
from accounts.services import organizations_members as members
from accounts.services.organizations_places import ADMIN, enter, seats_of
from accounts.views.auth import opened_as_json
from stackbe.kernel import limits
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.clock import render
from stackbe.kernel.scope import Credential, Scope
from stackbe.kernel.serializers import PageQuery
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

INVITES_AN_HOUR = {Credential.SESSION: 30}
INVITES_OF_KEYS_AN_HOUR = 5000
RESENDS_AN_HOUR = 5


class Organizations(ApiView):
    """All organizations of the app, or of the session's customer."""

    @operation(query=OrganizationListQuery, output=OrganizationOutput, many=True)
    def get(self, request: Request) -> Response:
        """List organizations, newest first; a session sees those that its customer belongs to."""
        return self.page(services.list_organizations(self.scope), self.query())

    @operation(input=OrganizationInput, output=OrganizationOutput, status=201)
    def post(self, request: Request) -> Response:
        """Make an organization.

        A session's customer becomes its owner. A key names the owner in `customerId`, or adds one later.
        """
        return self.reply(services.create_organization(self.scope, **self.parse()))


class OneOrganization(ApiView):
    """One organization."""

    @operation(output=OneOrganizationOutput)
    def get(self, request: Request, organization_id: str) -> Response:
        """Show an organization and how the seats of its plan are filled."""
        organization = enter(self.scope, organization_id)
        return self.reply(organization, seats=seats_of(self.scope, organization))

    @operation(input=OrganizationPatch, output=OrganizationOutput)
    def patch(self, request: Request, organization_id: str) -> Response:
        """Change an organization. Metadata keys merge; null takes one away."""
        return self.reply(services.update_organization(self.scope, organization_id, **self.parse()))

    @operation(output=DeletedOutput, status=202)
    def delete(self, request: Request, organization_id: str) -> Response:
        """Delete an organization: its members lose its plan now, its subscription is then cancelled at Stripe."""
        organization = services.delete_organization(self.scope, organization_id)
        return self.reply({"id": organization.public_id, "deleted": True})


class OrganizationExport(ApiView):
    """What is held on one organization."""

    @operation(output=OrganizationExportOutput, network=True)  # a reading that is audited opens its own change
    def get(self, request: Request, organization_id: str) -> Response:
        """Export everything held on an organization as one JSON document."""
        with change(self.scope):
            return self.reply(services.export_organization(self.scope, organization_id))


class Members(ApiView):
    """Who belongs to an organization."""

    @operation(query=PageQuery, output=MemberOutput, many=True)
    def get(self, request: Request, organization_id: str) -> Response:
        """List members, the newest first."""
        return self.page(members.list_members(self.scope, organization_id), self.query())

    @operation(input=MemberInput, output=MemberOutput, status=201)
    def post(self, request: Request, organization_id: str) -> Response:
        """Give a customer of the app a place."""
        return self.reply(members.add_member(self.scope, organization_id, **self.parse()))


class OneMember(ApiView):
    """One member."""

    @operation(input=MemberPatch, output=MemberOutput)
    def patch(self, request: Request, organization_id: str, customer_id: str) -> Response:
        """Give a member another role. Only owners change an admin's or an owner's; one owner always stays."""
        return self.reply(members.update_member(self.scope, organization_id, customer_id, **self.parse()))

    @operation(status=204)
    def delete(self, request: Request, organization_id: str, customer_id: str) -> Response:
        """Remove a member, or leave."""
        members.remove_member(self.scope, organization_id, customer_id)
        return self.reply()


class TransferOwnership(ApiView):
    """The handing over of an organization."""

    @operation(input=TransferInput, output=MemberOutput)
    def post(self, request: Request, organization_id: str) -> Response:
        """Make a member the owner in place of the one who owns it, who becomes an admin."""
        return self.reply(members.transfer_ownership(self.scope, organization_id, **self.parse()))


class Invites(ApiView):
    """Invitations that nobody has accepted yet."""

    @operation(query=PageQuery, output=InviteOutput, many=True)
    def get(self, request: Request, organization_id: str) -> Response:
        """List invitations, the newest first: pending ones, and for 30 days those that expired."""
        return self.page(invites.list_invites(self.scope, organization_id), self.query())

    @operation(input=InviteInput, output=InviteOutput, status=201, network=True)  # its limit counts before its change
    def post(self, request: Request, organization_id: str) -> Response:
        """Invite whoever reads mail at an address. The invitation lives for 7 days and holds a seat."""
        asked = self.parse()
        with reading(self.scope):
            enter(self.scope, organization_id, ADMIN)
        most = INVITES_AN_HOUR.get(self.scope.credential, INVITES_OF_KEYS_AN_HOUR)
        who = self.scope.customer_id or "keys"
        limits.require(f"invite:{self.scope.app}:{who}", most, limits.HOUR)
        app = known_app(self.scope.app)
        if app is None:
            raise InviteInvalid
        with change(self.scope):
            return self.reply(invites.invite(self.scope, app, organization_id, **asked))


class OneInvite(ApiView):
    """One invitation."""

    @operation(output=InviteOutput)
    def get(self, request: Request, organization_id: str, invite_id: str) -> Response:
        """Show an invitation."""
        return self.reply(invites.find_invite(self.scope, organization_id, invite_id))

    @operation(status=204)
    def delete(self, request: Request, organization_id: str, invite_id: str) -> Response:
        """Revoke an invitation: its link is dead and its seat free."""
        invites.revoke(self.scope, organization_id, invite_id)
        return self.reply()


class ResendInvite(ApiView):
    """An invitation's next mail."""

    @operation(output=InviteOutput, network=True)  # its limit counts before its change
    def post(self, request: Request, organization_id: str, invite_id: str) -> Response:
        """Mail an invitation anew: a new link for another 7 days, and the old one dead."""
        self.parse()
        with reading(self.scope):
            found = invites.find_invite(self.scope, organization_id, invite_id)
        limits.require(f"invite-resend:{found.id}", RESENDS_AN_HOUR, limits.HOUR)
        with change(self.scope):
            return self.reply(invites.resend(self.scope, organization_id, invite_id))


class AcceptInvite(ApiView):
    """The step that makes a member."""

    @operation(input=AcceptInput, output=AcceptOutput, idempotent=False)
    def post(self, request: Request) -> Response:
        """Join an organization with the token of the invitation's mail, and get a session that acts in it.

        Works once. The customer is made if need be. No credential is needed; with a session it must be
        that of the invited address.
        """
        token = self.parse()["token"]
        app = app_of_token(token)
        opened, joined = invites.accept(
            app, token, caller=self._caller(request), user_agent=request.headers.get("User-Agent", "")
        )
        scope = app.system_scope(invites.ACTOR)
        with reading(scope):
            session = opened_as_json(scope, opened, joined.redirect_url or None)
            membership = {
                "organization": organization_as_event(joined.organization),
                "role": joined.member.role,
                "createdAt": render(joined.member.created_at),
            }
            return self.reply(session | {"membership": membership})

    def _caller(self, request: Request) -> Scope | None:
        """Return who else says to be calling: the route asks for no credential, but believes none that is wrong."""
        if not request.headers.get("Authorization"):
            return None
        for each in self.get_authenticators():
            found = each.authenticate(request)
            if found is not None:
                scope: Scope = found[1]
                return scope
        return None


def app_of_token(token: str) -> KnownApp:
    """Return the app that an invitation's token names; one that is closed opens nothing."""
    parts = opaque.read(opaque.INVITE, token)
    app = None if parts is None or parts.app_id is None else known_app(parts.app_id)
    if app is None or app.closed:
        raise InviteInvalid
    return app
