"""OpenAPI 3.1 from the table of routes and the shapes that views declare.

drf-spectacular turns serializers into schemas; what a route takes (scope, credential, limit, query,
body, statuses) is read from the table and from `@operation`, so that the document cannot drift.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema

from stackbe.kernel.routes import Limit
from stackbe.kernel.scope import Credential
from stackbe.kernel.serializers import camel

if TYPE_CHECKING:
    from stackbe.kernel.api import Operation
    from stackbe.kernel.routes import Access, Route

ERROR = {
    "type": "object",
    "required": ["statusCode", "message", "error", "code", "requestId"],
    "properties": {
        "statusCode": {"type": "integer"},
        "message": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "error": {"type": "string"},
        "code": {"type": "string", "description": "Stable; each has a heading in docs/errors.md."},
        "requestId": {"type": "string"},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "factor": {
            "type": "object",
            "description": "With SECOND_FACTOR_REQUIRED: how the sign-in goes on.",
            "required": ["token", "methods", "url", "expiresAt"],
            "properties": {
                "token": {"type": "string"},
                "methods": {"type": "array", "items": {"enum": ["totp", "passkey", "recovery"]}},
                "url": {"type": "string"},
                "expiresAt": {"type": "string", "format": "date-time"},
            },
        },
        "usage": {
            "allOf": [{"$ref": "#/components/schemas/Refused"}],
            "description": "With USAGE_LIMIT_EXCEEDED: the figures of the limit that refused.",
        },
    },
}
SECURITY = {
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "A secret API key, `sbk_test_…` or `sbk_live_…`: server to server.",
    },
    "tenantKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of the whole tenant; `X-StackBE-App` names the app.",
    },
    "publishableKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "`sbk_pub_…`: names the app from a browser and may ask for a magic link.",
    },
    "session": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A customer's session token.",
    },
}
SCHEMES = {
    Credential.KEY: "apiKey",
    Credential.TENANT_KEY: "tenantKey",
    Credential.PUBLISHABLE: "publishableKey",
    Credential.SESSION: "session",
}
# What `x-limit` of an operation names; the figures are those that stand unless a key or an app has its own.
BUCKETS = {
    Limit.API.value: "1,000 a minute per API key, 100 per customer session",
    Limit.HOT.value: "60,000 a minute per API key",
    Limit.AUTH.value: "per address and per e-mail",
    Limit.SIGNUP.value: "a few an hour per address",
    Limit.PAGE.value: "per address",
}
FIRST_REFUSAL = 400
PLACEHOLDER = re.compile(r"<(?:\w+:)?(\w+)>")


class RouteSchema(AutoSchema):
    """One operation of the document."""

    def get_operation(self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any) -> dict[str, Any]:
        """Return the operation object of a route's method."""
        self.registry, self.path, self.method = registry, path, method
        self.path_regex, self.path_prefix = path_regex, path_prefix
        view: Any = self.view
        access: Access = view.access[method]
        declared: Operation = _declared(view, method)
        summary, _, rest = (getattr(view, method.lower()).__doc__ or "").strip().partition("\n")
        operation: dict[str, Any] = {
            "operationId": camel(f"{method.lower()}_{view.route_name}".replace("-", "_")),
            "summary": summary.rstrip("."),
            "tags": [path.removeprefix("/v1/").split("/")[0]],
            "parameters": [*self._path_parameters(), *self._query_parameters(declared)],
            "responses": self._responses(declared, access),
            "x-limit": str(access.limit),
        }
        if rest.strip():
            operation["description"] = re.sub(r"\s+", " ", rest).strip()
        if access.scope:
            operation["x-scope"] = access.scope
            operation["x-least-role"] = str(access.role)
        if access.place:
            operation["x-least-organization-role"] = access.place
        if not access.public:
            names = [SCHEMES[c] for c in SCHEMES if c in access.credentials]
            operation["security"] = [{name: []} for name in names]
        else:
            operation["security"] = []
        if declared.input is not None:
            schema = self._ref(declared.input, "request")
            required = any(field.required for field in declared.input().fields.values())
            operation["requestBody"] = {
                "required": required,
                "content": {"application/json": {"schema": schema}},
            }
        if method == "POST" and declared.idempotent and not access.public:
            operation["parameters"].append(IDEMPOTENCY)
        return operation

    def _map_serializer_field(self, field: Any, direction: Any, bypass_extensions: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002  # the signature is drf-spectacular's, which calls it so
        """Say of a list how short and how long it may be, which the generator leaves out of nested ones."""
        schema: dict[str, Any] = super()._map_serializer_field(field, direction, bypass_extensions)
        if schema.get("type") == "array":
            if getattr(field, "allow_empty", True) is False:
                schema.setdefault("minItems", 1)
            if getattr(field, "max_length", None) is not None:
                schema.setdefault("maxItems", field.max_length)
        return schema

    def _path_parameters(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", self.path)
        ]

    def _query_parameters(self, declared: Operation) -> list[dict[str, Any]]:
        if declared.query is None:
            return []
        found = []
        for name, field in declared.query().fields.items():
            schema = dict(self._map_serializer_field(field, "request"))
            schema.pop("readOnly", None)
            found.append({"name": name, "in": "query", "required": field.required, "schema": schema})
        return found

    def _responses(self, declared: Operation, access: Access) -> dict[str, Any]:
        responses: dict[str, Any] = {}
        good = [s for s in (declared.status, *declared.extra_statuses) if s < FIRST_REFUSAL]
        for status in good:
            responses[str(status)] = {"description": "Done."} | self._content(declared, status)
        failures = [400, 404, 405, 406, 413, 415, 429, 500, 503]
        if not access.public:
            failures += [401, 403, 409, 422]
        elif declared.input is not None or declared.query is not None:
            failures += [401, 403, 409]
        for status in sorted({*failures, *declared.extra_statuses} - set(good)):
            responses[str(status)] = {"$ref": "#/components/responses/Error"}
        return responses

    def _content(self, declared: Operation, status: int) -> dict[str, Any]:
        if declared.media_type:
            return {"content": {declared.media_type: {"schema": {"type": "string", "format": "binary"}}}}
        if declared.output is None or status in {204, 302}:
            return {}
        schema = self._ref(declared.output, "response")
        if declared.many:
            schema = {
                "type": "object",
                "required": ["data", "hasMore", "nextCursor"],
                "properties": {
                    "data": {"type": "array", "items": schema},
                    "hasMore": {"type": "boolean"},
                    "nextCursor": {"type": ["string", "null"]},
                },
            }
        return {"content": {"application/json": {"schema": schema}}}

    def _ref(self, serializer: Any, direction: Any) -> dict[str, Any]:
        return dict(self.resolve_serializer(serializer, direction).ref)


IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "The same key and body within 24 h replays the stored reply.",
}


def _declared(view: Any, method: str) -> Operation:
    declared: Operation = getattr(view, method.lower()).operation
    return declared


def public_path(url: str) -> str:
    """Return a route's URL as the document writes it: `/v1/customers/{customerId}`."""
    return "/v1/" + PLACEHOLDER.sub(lambda found: "{" + camel(found[1]) + "}", url)


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI document of a table of routes."""
    generator = SchemaGenerator(patterns=[])
    endpoints: list[Any] = [
        (public_path(route.url), route.url, method, route.as_path().callback)
        for route in routes
        for method in route.methods
    ]
    generator.endpoints = endpoints
    generator.inspector = generator.endpoint_inspector_cls([], None)
    schema: dict[str, Any] = generator.get_schema(public=True)
    components = schema.setdefault("components", {})
    components["securitySchemes"] = SECURITY
    components.setdefault("schemas", {})["Error"] = ERROR
    components["responses"] = {
        "Error": {
            "description": "Refused; the code says why and the message what to do.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
    }
    schema["x-limits"] = BUCKETS
    _allow_anything(schema)
    return schema


def _allow_anything(node: Any) -> None:
    """Say "any value" where the generator says "any value or else null", which null itself would not fit."""
    if isinstance(node, dict):
        if {} in (node.get("oneOf") or []):
            del node["oneOf"]
        for inner in node.values():
            _allow_anything(inner)
    elif isinstance(node, list):
        for inner in node:
            _allow_anything(inner)


class TimestampSchema(OpenApiSerializerFieldExtension):
    """Times are ISO 8601."""

    target_class = "stackbe.kernel.serializers.Timestamp"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        """Return the schema."""
        return {"type": "string", "format": "date-time"}


class MomentSchema(TimestampSchema):
    """Times are ISO 8601 also where they came as text."""

    target_class = "stackbe.kernel.serializers.Moment"


class PublicIdSchema(OpenApiSerializerFieldExtension):
    """Ids are prefixed."""

    target_class = "stackbe.kernel.serializers.PublicId"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        """Return the schema."""
        return {"type": "string", "pattern": f"^{self.target.prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"}


class MetadataSchema(OpenApiSerializerFieldExtension):
    """Metadata is an open object."""

    target_class = "stackbe.kernel.serializers.Metadata"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        """Return the schema."""
        return {"type": "object", "additionalProperties": True}


class QueryBooleanSchema(OpenApiSerializerFieldExtension):
    """`true` or `false` in a query string."""

    target_class = "stackbe.kernel.serializers.QueryBoolean"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        """Return the schema."""
        return {"type": "string", "enum": ["true", "false"]}
