"""Shapes of tenants, apps and customers, in and out."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from rest_framework import serializers

from accounts import app_settings
from accounts.events import customer_as_event
from accounts.models import App
from stackbe.kernel.clock import render
from stackbe.kernel.serializers import (
    Boolean,
    Email,
    Input,
    Integer,
    Metadata,
    Output,
    PageQuery,
    Query,
    QueryBoolean,
    Text,
    Timestamp,
    Url,
)
from stackbe.kernel.transactions import current

__all__ = ["customer_as_event"]

MOST_URLS = 20
NAME_LENGTH = 120


class Name(Text):
    """A name for people to read: one line, not blank."""

    def __init__(self, **kwargs: Any) -> None:
        """Bound it."""
        kwargs.setdefault("max_length", NAME_LENGTH)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Return the name; line breaks could end up in a header of a mail."""
        text = super().to_internal_value(data)
        if not text.isprintable():
            raise serializers.ValidationError("Must be one line of printable characters.")
        return text


class CallbackUrl(Url):
    """A URL that customers are sent back to; requests must name it exactly."""

    def to_internal_value(self, data: Any) -> str:
        """Return the URL as written."""
        text = super().to_internal_value(data)
        fault = app_settings.callback_fault(text)
        if fault is not None:
            raise serializers.ValidationError(fault)
        return text


class Origin(Text):
    """An origin as a browser's Origin header spells it."""

    def to_internal_value(self, data: Any) -> str:
        """Return the origin; a path, a wildcard or `null` is refused."""
        text = super().to_internal_value(data)
        origin = app_settings.origin_of(text)
        if origin is None:
            sentence = "Must be an origin such as https://app.example.com, without path or wildcard."
            raise serializers.ValidationError(sentence)
        return origin


class Color(Text):
    """A colour as #rrggbb."""

    def to_internal_value(self, data: Any) -> str:
        """Return it in lower case; anything else could end up in a style sheet."""
        text = super().to_internal_value(data)
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
            raise serializers.ValidationError("Must be a colour such as #1a2b3c.")
        return text.lower()


class SenderName(Name):
    """The name that sign-in mails come from."""

    def to_internal_value(self, data: Any) -> str:
        """Return it, without what has a meaning in a mail's From header."""
        text = super().to_internal_value(data)
        if re.search(r'[<>@"\\,;:]', text):
            raise serializers.ValidationError('Must not contain any of < > @ " \\ , ; :')
        return text


MOST_REMINDERS = 10


def refuse_unordered(days: list[int]) -> None:
    """Refuse days that do not rise: each is counted from when the payment was due."""
    if days != sorted(set(days)):
        raise serializers.ValidationError("Each must be later than the one before.")


class AppSettingsInput(Input):
    """Some or all of an app's settings."""

    auto_create_customer = Boolean(required=False)
    magic_link_expiry_minutes = Integer(required=False, min_value=5, max_value=15)
    callback_urls = serializers.ListField(child=CallbackUrl(), required=False, max_length=MOST_URLS)
    dev_callback_url = CallbackUrl(required=False, allow_null=True)
    verification_url = CallbackUrl(required=False, allow_null=True)
    organizations_enabled = Boolean(required=False)
    grace_period_days = Integer(required=False, min_value=0, max_value=90)
    dunning_days = serializers.ListField(
        child=Integer(min_value=0, max_value=90),
        required=False,
        max_length=MOST_REMINDERS,
        validators=[refuse_unordered],
    )
    trial_ending_days = Integer(required=False, min_value=1, max_value=30)
    trial_ending_mail = Boolean(required=False)
    trial_once_per_domain = Boolean(required=False)
    revoke_on_refund = Boolean(required=False)
    revoke_on_dispute = Boolean(required=False)
    automatic_tax = Boolean(required=False)
    tax_id_collection = Boolean(required=False)
    usage_retention_months = Integer(required=False, min_value=3, max_value=120)
    allowed_origins = serializers.ListField(child=Origin(), required=False, max_length=MOST_URLS)
    session_ttl_minutes = Integer(required=False, min_value=5, max_value=366 * 24 * 60)
    session_idle_minutes = Integer(required=False, min_value=30, max_value=366 * 24 * 60)
    access_token_ttl_minutes = Integer(required=False, min_value=1, max_value=15)
    email_from_name = SenderName(required=False, allow_null=True, max_length=60)
    brand_color = Color(required=False, allow_null=True)
    logo_url = CallbackUrl(required=False, allow_null=True)
    second_factors = serializers.ChoiceField(choices=app_settings.SECOND_FACTORS, required=False)


class AppInput(Input):
    """A new app."""

    name = Name()
    environment = serializers.ChoiceField(choices=App.Environment.choices, default="test")
    settings = AppSettingsInput(required=False)


class AppPatch(Input):
    """A change of an app; its environment is fixed for life."""

    name = Name(required=False)
    settings = AppSettingsInput(required=False)


class AppSettingsOutput(Output):
    """All settings, defaults filled in."""

    auto_create_customer = Boolean()
    magic_link_expiry_minutes = Integer()
    callback_urls = serializers.ListField(child=Text())
    dev_callback_url = Text(allow_null=True)
    verification_url = Text(allow_null=True)
    organizations_enabled = Boolean()
    grace_period_days = Integer()
    dunning_days = serializers.ListField(child=Integer())
    trial_ending_days = Integer()
    trial_ending_mail = Boolean()
    trial_once_per_domain = Boolean()
    revoke_on_refund = Boolean()
    revoke_on_dispute = Boolean()
    automatic_tax = Boolean()
    tax_id_collection = Boolean()
    usage_retention_months = Integer()
    allowed_origins = serializers.ListField(child=Text())
    session_ttl_minutes = Integer()
    session_idle_minutes = Integer()
    access_token_ttl_minutes = Integer()
    email_from_name = Text(allow_null=True)
    brand_color = Text(allow_null=True)
    logo_url = Text(allow_null=True)
    second_factors = serializers.ChoiceField(choices=app_settings.SECOND_FACTORS)


class AppOutput(Output):
    """An app as the API shows it."""

    id = Text()
    name = Text()
    environment = serializers.ChoiceField(choices=App.Environment.choices)
    settings = AppSettingsOutput()
    created_at = Timestamp()
    updated_at = Timestamp()

    def to_representation(self, instance: App) -> dict[str, Any]:
        """Return the shape above."""
        return {
            "id": instance.public_id,
            "name": instance.name,
            "environment": instance.environment,
            "settings": instance.config.spoken(),
            "createdAt": render(instance.created_at),
            "updatedAt": render(instance.updated_at),
        }


class NewAppOutput(AppOutput):
    """A new app, with the key that names it from a browser."""

    publishable_key = Text()

    def to_representation(self, instance: App) -> dict[str, Any]:
        """Return the app and its publishable key."""
        shown = super().to_representation(instance)
        return shown | {"publishableKey": self.context["publishable_key"]}


class TenantInput(Input):
    """A business that signs up."""

    name = Name()
    owner_email = Email()


class TenantOutput(Output):
    """All that a stranger learns of a new tenant."""

    tenant_id = Text()


class CustomerInput(Input):
    """A new customer."""

    email = Email()
    billing_email = Email(required=False, allow_null=True)
    name = Name(required=False, allow_null=True, max_length=255)
    external_id = Text(required=False, allow_null=True)
    metadata = Metadata(required=False)


class CustomerPatch(Input):
    """A change of a customer. null takes a name, a billingEmail, an externalId or a metadata key away."""

    email = Email(required=False)
    billing_email = Email(required=False, allow_null=True)
    name = Name(required=False, allow_null=True, max_length=255)
    external_id = Text(required=False, allow_null=True)
    metadata = Metadata(required=False)


class CustomerOutput(Output):
    """A customer as the API shows it."""

    id = Text()
    email = Text()
    billing_email = Text(allow_null=True)
    name = Text(allow_null=True)
    external_id = Text(allow_null=True)
    metadata = Metadata()
    created_at = Timestamp()
    updated_at = Timestamp()
    subscription = serializers.DictField(required=False, allow_null=True)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the shape above; `subscription` where `expand` asked for it."""
        shown = customer_as_event(instance)
        if "subscription" in self.context:
            shown["subscription"] = self.context["subscription"]
        return shown

    @staticmethod
    def prepare(rows: list[Any], context: dict[str, Any]) -> None:
        """Open all keys of a page at once."""
        identifiers: list[UUID] = [row.pk for row in rows]
        current().keys.preload(identifiers)


class DeletedOutput(Output):
    """What is about to be no more."""

    id = Text()
    deleted = Boolean()


class CustomerListQuery(PageQuery):
    """What the list of customers can be narrowed by."""

    email = Email(required=False)
    external_id = Text(required=False)
    q = Text(required=False)


class CustomerQuery(Query):
    """What may be shown with a customer."""

    expand = serializers.ListField(
        child=serializers.ChoiceField(choices=["subscription"]), required=False, max_length=5
    )


class UpsertQuery(Query):
    """Whether to answer an existing customer in place of a refusal."""

    upsert = QueryBoolean(default=False)


class ExportOutput(Output):
    """Everything held on a customer."""

    customer_id = Text()
    exported_at = Timestamp()
    records = serializers.DictField()


class NamedOutput(Output):
    """A tenant by id and name."""

    id = Text()
    name = Text()


class OwnAppOutput(NamedOutput):
    """The credential's app."""

    environment = serializers.ChoiceField(choices=App.Environment.choices)


class OwnCustomerOutput(Output):
    """Whose session it is."""

    id = Text()
    email = Text()
    name = Text(allow_null=True)


class OwnSessionOutput(Output):
    """The session that a token names."""

    id = Text()
    organization_id = Text(allow_null=True)
    org_role = Text(allow_null=True)


class MeOutput(Output):
    """What a credential is; a key has scopes, a session a customer."""

    credential = serializers.ChoiceField(choices=["api_key", "tenant_api_key", "session"])
    tenant = NamedOutput()
    app = OwnAppOutput(allow_null=True)
    key_id = Text(allow_null=True)
    scopes = serializers.ListField(child=Text(), allow_null=True)
    customer = OwnCustomerOutput(allow_null=True)
    session = OwnSessionOutput(allow_null=True)
