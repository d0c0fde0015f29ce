"""The rows of organizations in the table of routes, and the pages of invitations.

`place` is the least that a session's customer must be in the organization; the services hold to it
(accounts/services/organizations_places.py) and a test walks every role over every row.
"""

from __future__ import annotations

from django.urls import URLPattern, path

from accounts.dashboard import organizations as dashboard
from accounts.pages import invites
from accounts.views import erasures, organizations
from stackbe.kernel.routes import KEYS, PUBLIC, SESSIONS, Limit, may, route
from stackbe.kernel.scope import Role

ORGANIZATION = "organizations/<str:organization_id>"
READ_ORGANIZATIONS = may("organizations:read", credentials=KEYS | SESSIONS, place="member")
ADMINISTER = may("organizations:write", credentials=KEYS | SESSIONS, place="admin")
LEAVE = may("organizations:write", credentials=KEYS | SESSIONS, place="member")
OWN = may("organizations:write", credentials=KEYS | SESSIONS, place="owner")
READ_AS_ADMIN = may("organizations:read", credentials=KEYS | SESSIONS, place="admin")
ROUTES = [
    route(
        "organizations",
        organizations.Organizations,
        "organizations",
        GET=may("organizations:read", credentials=KEYS | SESSIONS),
        POST=may("organizations:write", credentials=KEYS | SESSIONS),
    ),
    route(
        ORGANIZATION,
        organizations.OneOrganization,
        "organization",
        GET=READ_ORGANIZATIONS,
        PATCH=ADMINISTER,
        DELETE=OWN,
    ),
    route(
        f"{ORGANIZATION}/export",
        organizations.OrganizationExport,
        "organization-export",
        GET=may("organizations:read", credentials=KEYS | SESSIONS, role=Role.DEVELOPER, place="owner"),
    ),
    route(
        f"{ORGANIZATION}/archive",
        erasures.OrganizationArchive,
        "organization-archive",
        GET=may("organizations:read", credentials=KEYS | SESSIONS, role=Role.DEVELOPER, place="owner"),
    ),
    route(
        f"{ORGANIZATION}/members",
        organizations.Members,
        "organization-members",
        GET=READ_ORGANIZATIONS,
        POST=ADMINISTER,
    ),
    route(
        f"{ORGANIZATION}/members/<str:customer_id>",
        organizations.OneMember,
        "organization-member",
        PATCH=ADMINISTER,
        DELETE=LEAVE,
    ),
    route(
        f"{ORGANIZATION}/transfer-ownership",
        organizations.TransferOwnership,
        "organization-transfer-ownership",
        POST=OWN,
    ),
    route(
        f"{ORGANIZATION}/invites",
        organizations.Invites,
        "organization-invites",
        GET=READ_AS_ADMIN,
        POST=ADMINISTER,
    ),
    route(
        f"{ORGANIZATION}/invites/<str:invite_id>",
        organizations.OneInvite,
        "organization-invite",
        GET=READ_AS_ADMIN,
        DELETE=ADMINISTER,
    ),
    route(
        f"{ORGANIZATION}/invites/<str:invite_id>/resend",
        organizations.ResendInvite,
        "organization-invite-resend",
        POST=ADMINISTER,
    ),
    route(
        "invites/accept", organizations.AcceptInvite, "invite-accept", POST=may(credentials=PUBLIC, limit=Limit.AUTH)
    ),
]
PAGES: list[URLPattern] = [
    *dashboard.PAGES,
    path("auth/invite", invites.join, name="customer-invite"),
    path("auth/invite/peek", invites.peek, name="customer-invite-peek"),
]
