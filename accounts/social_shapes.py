"""Shapes of sign-in providers and connected accounts, in and out."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.serializers import Name
from accounts.services.social_identities import identity_as_event
from accounts.services.social_providers import redirect_uri
from accounts.social_models import CustomerIdentity
from stackbe.kernel.clock import render
from stackbe.kernel.serializers import Boolean, Input, Output, PageQuery, Pattern, Text, Timestamp, Url
from stackbe.kernel.transactions import current

VISIBLE = r"^[\x21-\x7e]+$"
NO_SPACES = "Must be printable ASCII without spaces, as the provider shows it."
SCOPE = r"^[\x21\x23-\x5b\x5d-\x7e]+$"  # RFC 6749, section 3.3
MOST_SCOPES = 20


class ProviderInput(Input):
    """A provider's whole configuration. `clientSecret` may be left out of one that has it already."""

    client_id = Pattern(VISIBLE, NO_SPACES)
    client_secret = Pattern(VISIBLE, NO_SPACES, max_length=2048, required=False)
    issuer = Url(required=False, allow_null=True)
    name = Name(required=False, allow_null=True, max_length=60)
    scopes = serializers.ListField(
        child=Pattern(SCOPE, "Must be a scope such as openid.", max_length=80),
        required=False,
        allow_null=True,
        max_length=MOST_SCOPES,
    )
    enabled = Boolean(default=True)


class ProblemShape(Output):
    """What last went wrong with a provider."""

    message = Text(max_length=None)
    at = Timestamp()


class ProviderOutput(Output):
    """A provider as the API shows it: all but its secret. `redirectUri` is what to register there."""

    id = Text()
    provider = Text()
    name = Text()
    issuer = Text(max_length=None)
    client_id = Text()
    client_secret_set_at = Timestamp()
    scopes = serializers.ListField(child=Text())
    enabled = Boolean()
    redirect_uri = Text(max_length=None)
    last_problem = ProblemShape(allow_null=True)
    created_at = Timestamp()
    updated_at = Timestamp()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the shape above."""
        trouble = {"message": instance.trouble, "at": render(instance.trouble_at)} if instance.trouble else None
        return {
            "id": instance.public_id,
            "provider": instance.slug,
            "name": instance.name,
            "issuer": instance.issuer,
            "clientId": instance.client_id,
            "clientSecretSetAt": render(instance.secret_set_at),
            "scopes": instance.scopes,
            "enabled": instance.enabled,
            "redirectUri": redirect_uri(instance.app_id, instance.slug),
            "lastProblem": trouble,
            "createdAt": render(instance.created_at),
            "updatedAt": render(instance.updated_at),
        }


class CheckOutput(Output):
    """What would keep customers from signing in with a provider."""

    ok = Boolean()
    problems = serializers.ListField(child=Text(max_length=None))


class IdentityListQuery(PageQuery):
    """What the list of connected accounts takes."""


class IdentityOutput(Output):
    """An account elsewhere that signs the customer in. `email` is what its provider vouched for back then."""

    id = Text()
    provider = Text()
    email = Text(allow_null=True)
    created_at = Timestamp()
    last_used_at = Timestamp(allow_null=True)

    def to_representation(self, instance: CustomerIdentity) -> dict[str, Any]:
        """Return the shape above."""
        return identity_as_event(instance)

    @staticmethod
    def prepare(rows: list[Any], context: dict[str, Any]) -> None:
        """Open all keys of a page at once."""
        current().keys.preload([row.customer_id for row in rows])


class ConnectInput(Input):
    """Which provider's account to connect, and where the browser goes afterwards."""

    provider = Text(max_length=40)
    redirect_url = Url(required=False, allow_null=True)


class ConnectOutput(Output):
    """Where to send the customer's browser."""

    url = Text(max_length=None)
    expires_at = Timestamp()
