"""Shapes of organizations, in and out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework import serializers

from accounts.events import invite_as_event, member_as_event, organization_as_event
from accounts.models import Organization, OrganizationMember
from accounts.organization_models import OrganizationInvite
from accounts.serializers import Name
from accounts.sign_in_shapes import TOKEN_LENGTH, VerifyOutput
from stackbe.kernel.serializers import (
    Email,
    Input,
    Integer,
    Metadata,
    Output,
    PageQuery,
    Pattern,
    Text,
    Timestamp,
    Url,
)
from stackbe.kernel.transactions import current

ID_LENGTH = 40
SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
SLUG_SENTENCE = "Must be lower-case letters and digits, in words joined by single hyphens."
ROLES = OrganizationMember.Role.choices


class OrganizationName(Name):
    """An organization's name. It stands in mails to people who never asked for them, so it holds no address."""

    def to_internal_value(self, data: Any) -> str:
        """Return the name."""
        text = super().to_internal_value(data)
        if "://" in text or "www." in text.lower():
            raise serializers.ValidationError("Must be a name, without a web address.")
        return text


class OrganizationInput(Input):
    """A new organization. `customerId` is its first owner; a session's own customer is that anyway."""

    name = OrganizationName()
    slug = Pattern(SLUG, SLUG_SENTENCE, required=False, max_length=60)
    metadata = Metadata(required=False)
    customer_id = Text(required=False, max_length=ID_LENGTH)


class OrganizationPatch(Input):
    """A change of an organization. null takes a metadata key away."""

    name = OrganizationName(required=False)
    slug = Pattern(SLUG, SLUG_SENTENCE, required=False, max_length=60)
    metadata = Metadata(required=False)


class OrganizationOutput(Output):
    """An organization as the API shows it."""

    id = Text()
    name = Text()
    slug = Text()
    metadata = Metadata()
    created_at = Timestamp()

    def to_representation(self, instance: Organization) -> dict[str, Any]:
        """Return the shape above."""
        return organization_as_event(instance)

    @staticmethod
    def prepare(rows: list[Any], context: dict[str, Any]) -> None:
        """Open all keys of a page at once."""
        identifiers: list[UUID] = [row.pk for row in rows]
        current().keys.preload(identifiers)


class SeatsShape(Output):
    """How many seats the plan holds (null: no limit) and what fills them."""

    limit = Integer(allow_null=True)
    members = Integer()
    pending_invites = Integer()

    def to_representation(self, instance: Any) -> Any:
        """Return what the service counted."""
        return instance


class OneOrganizationOutput(OrganizationOutput):
    """The same, and how its seats are filled."""

    seats = SeatsShape()

    def to_representation(self, instance: Organization) -> dict[str, Any]:
        """Return the shape above."""
        return organization_as_event(instance) | {"seats": self.context["seats"]}


class MemberInput(Input):
    """Who is to belong to an organization, and as what."""

    customer_id = Text(max_length=ID_LENGTH)
    role = serializers.ChoiceField(choices=ROLES, default="member")


class MemberPatch(Input):
    """Another role."""

    role = serializers.ChoiceField(choices=ROLES)


class MemberOutput(Output):
    """A place in an organization, and whose it is."""

    customer_id = Text()
    email = Text()
    name = Text(allow_null=True)
    role = serializers.ChoiceField(choices=ROLES)
    created_at = Timestamp()

    def to_representation(self, instance: OrganizationMember) -> dict[str, Any]:
        """Return the shape above."""
        return member_as_event(instance)

    @staticmethod
    def prepare(rows: list[Any], context: dict[str, Any]) -> None:
        """Open all keys of a page at once."""
        identifiers: list[UUID] = [row.customer_id for row in rows]
        current().keys.preload(identifiers)


class TransferInput(Input):
    """Who is to own the organization, and in whose place where a key asks and there are several owners."""

    customer_id = Text(max_length=ID_LENGTH)
    from_customer_id = Text(required=False, max_length=ID_LENGTH)


class InviteInput(Input):
    """Whom to invite, as what, and to which registered callback the invitation's page leads."""

    email = Email()
    role = serializers.ChoiceField(choices=ROLES, default="member")
    redirect_url = Url(required=False, allow_null=True)


class InviteOutput(Output):
    """An invitation that nobody has accepted yet. `sentAt` is null until the mail has gone out."""

    id = Text()
    organization_id = Text()
    email = Text()
    role = serializers.ChoiceField(choices=ROLES)
    status = serializers.ChoiceField(choices=["pending", "expired"])
    invited_by = Text()
    created_at = Timestamp()
    sent_at = Timestamp(allow_null=True)
    expires_at = Timestamp()

    def to_representation(self, instance: OrganizationInvite) -> dict[str, Any]:
        """Return the shape above."""
        return invite_as_event(instance)


class AcceptInput(Input):
    """The token of an invitation's mail: the proof that one reads mail at its address."""

    token = Text(max_length=TOKEN_LENGTH)


class MembershipShape(Output):
    """The place that was taken."""

    organization = OrganizationOutput()
    role = serializers.ChoiceField(choices=ROLES)
    created_at = Timestamp()

    def to_representation(self, instance: Any) -> Any:
        """Return what the view put together."""
        return instance


class AcceptOutput(VerifyOutput):
    """A session that acts in the organization, as verify answers it, and the place."""

    membership = MembershipShape()


class OrganizationExportOutput(Output):
    """Everything held on an organization."""

    organization_id = Text()
    exported_at = Timestamp()
    records = serializers.DictField()


class OrganizationListQuery(PageQuery):
    """What the list of organizations takes."""
