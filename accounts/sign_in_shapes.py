"""Shapes of signing in, in and out."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from stackbe.kernel.serializers import (
    Boolean,
    Email,
    Input,
    Integer,
    Metadata,
    Output,
    PageQuery,
    PublicId,
    Query,
    QueryBoolean,
    Text,
    Timestamp,
    Url,
)

TOKEN_LENGTH = 4096


class MagicLinkInput(Input):
    """Who wants to sign in, and where they go afterwards."""

    email = Email()
    redirect_url = Url(required=False, allow_null=True)
    organization_id = PublicId("org", required=False, allow_null=True)
    use_dev = Boolean(required=False)


class MagicLinkOutput(Output):
    """The same for every address."""

    success = Boolean()
    message = Text()


class VerifyInput(Input):
    """A one-time code or a link's token; or an address and the 6 digits of its mail."""

    token = Text(required=False, max_length=TOKEN_LENGTH)
    email = Email(required=False)
    code = Text(required=False, max_length=20)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return what came if it is one of the two forms."""
        by_code = "email" in attrs and "code" in attrs
        if "token" in attrs:
            if "email" in attrs or "code" in attrs:
                raise serializers.ValidationError({"token": ["Give a token, or email and code, not both."]})
        elif not by_code:
            missing = "token" if not {"email", "code"} & set(attrs) else "code" if "email" in attrs else "email"
            raise serializers.ValidationError({missing: ["This field is required."]}, code="required")
        return attrs


class VerifyQuery(Query):
    """A link's token as some mails carry it."""

    token = Text(max_length=TOKEN_LENGTH)
    redirect = QueryBoolean(required=False)


class RefreshInput(Input):
    """The newest refresh token of a session."""

    refresh_token = Text(max_length=TOKEN_LENGTH)


class IntrospectInput(Input):
    """An access token that somebody presented."""

    token = Text(max_length=TOKEN_LENGTH)


class NewSessionInput(Input):
    """What a session that the app's backend opens may be tied to."""

    organization_id = PublicId("org", required=False, allow_null=True)


class SwitchInput(Input):
    """The organization to act in, null for none."""

    organization_id = PublicId("org", allow_null=True)


class _Made(Output):
    """A shape whose values the view has put together, spelt as they go out."""

    def to_representation(self, instance: Any) -> Any:
        """Return it as it is."""
        return instance


class EntitlementsShape(_Made):
    """What the customer's plan holds."""

    plan_name = Text(allow_null=True)
    features = serializers.DictField()


class CustomerShape(_Made):
    """The customer who is signed in."""

    id = Text()
    email = Text()
    billing_email = Text(allow_null=True)
    name = Text(allow_null=True)
    external_id = Text(allow_null=True)
    metadata = Metadata()
    created_at = Timestamp()
    updated_at = Timestamp()


class VerifyOutput(_Made):
    """A session: the access token, the refresh token, and whose it is."""

    success = Boolean()
    valid = Boolean()
    customer_id = Text()
    email = Text()
    session_token = Text(max_length=None)
    refresh_token = Text()
    expires_at = Timestamp()
    tenant_id = Text()
    organization_id = Text(allow_null=True)
    org_role = Text(allow_null=True)
    redirect_url = Text(max_length=None, allow_null=True)
    customer = CustomerShape()
    entitlements = EntitlementsShape()


class RefreshOutput(_Made):
    """A new pair of tokens."""

    session_token = Text(max_length=None)
    refresh_token = Text()
    expires_at = Timestamp()


class SwitchOutput(_Made):
    """An access token for the organization."""

    session_token = Text(max_length=None)
    expires_at = Timestamp()
    organization_id = Text(allow_null=True)
    org_role = Text(allow_null=True)


class SessionCustomerShape(_Made):
    """The customer, as far as a page needs them."""

    id = Text()
    email = Text()
    name = Text(allow_null=True)
    metadata = Metadata()


class SessionOutput(_Made):
    """The session that asks."""

    valid = Boolean()
    customer = SessionCustomerShape()
    entitlements = EntitlementsShape()
    organization_id = Text(allow_null=True)
    org_role = Text(allow_null=True)
    expires_at = Timestamp()


class IntrospectOutput(_Made):
    """Whether a token opens a session now; `exp` in Unix seconds, `amr` by what its customer was proven (RFC 8176)."""

    active = Boolean()
    customer_id = Text(required=False)
    sid = Text(required=False)
    organization_id = Text(required=False, allow_null=True)
    org_role = Text(required=False, allow_null=True)
    exp = Integer(required=False)
    amr = serializers.ListField(child=Text(), required=False)


class JwkShape(_Made):
    """One public key (RFC 8037)."""

    kty = Text()
    crv = Text()
    alg = Text()
    use = Text()
    kid = Text()
    x = Text()


class JwksOutput(_Made):
    """The public keys that verify the app's session tokens."""

    keys = JwkShape(many=True)


class SessionListQuery(PageQuery):
    """What the list of sessions takes."""


class SessionRowOutput(Output):
    """One place where a customer is signed in. `ipCountry` is null where no proxy in front tells it."""

    id = Text(source="public_id")
    created_at = Timestamp()
    last_seen_at = Timestamp()
    ip_country = Text(source="country", allow_null=True)
    user_agent_family = Text()
    expires_at = Timestamp()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the shape above."""
        shown = super().to_representation(instance)
        return shown | {"ipCountry": shown["ipCountry"] or None}
