"""Shapes of API keys, in and out."""

from __future__ import annotations

import ipaddress
from typing import Any

from rest_framework import serializers

from accounts.serializers import Name
from apikeys.models import ApiKey
from stackbe.kernel.clock import render
from stackbe.kernel.scope import ALL_SCOPES
from stackbe.kernel.serializers import Input, Integer, Output, Text, Timestamp

MOST_NETWORKS = 50
LONGEST_GRACE_SECONDS = 30 * 24 * 3600


class Network(Text):
    """An IP address, or a network in CIDR notation (RFC 4632, RFC 4291)."""

    def to_internal_value(self, data: Any) -> str:
        """Return the network in its canonical spelling; host bits are cleared."""
        text = super().to_internal_value(data)
        try:
            return str(ipaddress.ip_network(text, strict=False))
        except ValueError:
            sentence = "Must be an IP address or a network such as 192.0.2.0/24."
            raise serializers.ValidationError(sentence) from None


class ApiKeyInput(Input):
    """A new key of an app."""

    name = Name()
    scopes = serializers.ListField(child=Text(), required=False, allow_empty=False, max_length=len(ALL_SCOPES) + 1)
    expires_at = Timestamp(required=False, allow_null=True)
    allowed_ips = serializers.ListField(child=Network(), required=False, max_length=MOST_NETWORKS)


class TenantKeyInput(ApiKeyInput):
    """A new key of the whole tenant; its spelling says which environment it is meant for."""

    environment = serializers.ChoiceField(choices=["test", "live"], required=False)


class RotateInput(Input):
    """How long the old key goes on working."""

    grace_seconds = Integer(default=0, min_value=0, max_value=LONGEST_GRACE_SECONDS)


class ApiKeyOutput(Output):
    """A key as lists show it: never the secret."""

    id = Text()
    name = Text()
    kind = serializers.ChoiceField(choices=ApiKey.Kind.choices)
    prefix = Text()
    scopes = serializers.ListField(child=Text())
    allowed_ips = serializers.ListField(child=Text())
    publishable_key = Text(allow_null=True)
    last_used_at = Timestamp(allow_null=True)
    expires_at = Timestamp(allow_null=True)
    revoked_at = Timestamp(allow_null=True)
    suspended_at = Timestamp(allow_null=True)
    created_at = Timestamp()

    def to_representation(self, instance: ApiKey) -> dict[str, Any]:
        """Return the shape above."""
        return {
            "id": instance.public_id,
            "name": instance.name,
            "kind": instance.kind,
            "prefix": instance.prefix,
            "scopes": instance.scopes,
            "allowedIps": instance.allowed_ips,
            "publishableKey": instance.text or None,
            "lastUsedAt": render(instance.last_used_at),
            "expiresAt": render(instance.expires_at),
            "revokedAt": render(instance.revoked_at),
            "suspendedAt": render(instance.suspended_at),
            "createdAt": render(instance.created_at),
        }


class NewApiKeyOutput(ApiKeyOutput):
    """A new key, shown this once."""

    key = Text()

    def to_representation(self, instance: ApiKey) -> dict[str, Any]:
        """Return the shape above with the key itself."""
        return super().to_representation(instance) | {"key": self.context["key"]}
