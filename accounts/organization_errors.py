"""The failures of organizations, their members and invitations."""

from __future__ import annotations

from accounts.errors import TokenAlreadyUsed, TokenExpired, TokenInvalid
from stackbe.kernel.errors import Conflict, Forbidden, NotFound


class OrganizationNotFound(NotFound):
    """Another app's organization, one that the session is no member of, and none at all look alike."""

    message = "No such organization."


class OrganizationsDisabled(Forbidden):
    """The app does not use organizations."""

    message = (
        "Organizations are off for this app. Turn them on with PATCH /v1/apps/:appId,"
        ' {"settings": {"organizationsEnabled": true}}.'
    )


class PlaceNotFound(NotFound):
    """The customer is no member of this organization, or does not exist."""

    message = "No such member."


class InviteNotFound(NotFound):
    """Never sent, accepted, revoked, or another organization's."""

    message = "No such invitation."


class PlaceTooLow(Forbidden):
    """The session's member may look, and may not do this."""

    message = "Your role in this organization does not allow that."


class SlugTaken(Conflict):
    """A slug names one organization of an app."""

    message = "An organization with this slug exists."


class AlreadyInside(Conflict):
    """One customer has one place in an organization."""

    message = "This customer is a member of the organization already."


class AlreadyInvited(Conflict):
    """One address has one invitation at a time."""

    message = "This address has an invitation that is still pending. Resend it, or revoke it first."


class LastOrganizationOwner(Conflict):
    """An organization that nobody owns could never be handed over again."""

    message = "An organization keeps at least one owner. Make another member an owner first."


class SeatsTaken(Conflict):
    """Members and pending invitations fill all seats of the plan."""

    code = "USAGE_LIMIT_EXCEEDED"
    message = "All seats of the organization's plan are taken."


class NotTheInvited(Forbidden):
    """An invitation is for whoever reads mail at its address, not for whoever holds the link."""

    message = "This invitation was sent to another address. Sign out, or sign in with the address it was sent to."


class InviteInvalid(TokenInvalid):
    """Never sent, revoked, replaced by a newer mail, or its organization is gone."""

    message = "This invitation is not valid. Ask whoever invited you for a new one."


class InviteExpired(TokenExpired):
    """Sent, and its time is over."""

    message = "This invitation has expired. Ask whoever invited you for a new one."


class InviteUsed(TokenAlreadyUsed):
    """Accepted already."""

    message = "This invitation has been accepted already. Sign in to the app instead."
