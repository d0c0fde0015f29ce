"""/v1/entitlements/check"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import CustomerNotFound
from apikeys.hot import proof_of
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.errors import MissingRequiredField, ValidationFailed
from stackbe.kernel.hot import Answer, Asked, HotView, answer, gate, json_body, refusal
from stackbe.kernel.ids import encode
from stackbe.kernel.serializers import PublicId, Query, QueryBoolean
from usage import hot
from usage.decisions import decide
from usage.serializers import (
    MOST_FEATURES,
    CheckInput,
    CheckManyInput,
    CheckManyOutput,
    ChecksOutput,
    FeatureCheckOutput,
)
from usage.services.checks import granted_to, granted_to_each
from usage.services.explain import explained

if TYPE_CHECKING:
    from usage.hot import Checked

SCOPE = "entitlements:read"
# A query string that says one customer's id and nothing else needs no parser.
ONE_CUSTOMER = re.compile(r"customerId=([a-z0-9_]{1,64})")


class ExplainQuery(Query):
    """Whether to say how the answer came about."""

    explain = QueryBoolean(required=False)


class CheckQuery(ExplainQuery):
    """Whose; a session token asks for its own customer."""

    customer_id = PublicId("cust", required=False)


class CheckFeature(HotView):
    """May this customer use this feature?"""

    def quick(self, request: Asked, feature: str = "", **kwargs: str) -> Answer | None:
        """Answer from one call."""
        asked = ONE_CUSTOMER.fullmatch(request.META.get("QUERY_STRING", ""))
        if asked is None or not hot.plain_name(feature):
            return None
        checked = ask(request, asked[1])
        if checked is None:
            return None
        refused = gate(checked.scopes, SCOPE, checked.allowance)
        if refused is not None:
            return refused
        if not checked.customer_found:
            return refusal(CustomerNotFound(), checked.allowance)
        return answer(decide(checked.granted, feature).as_json(), checked.allowance)

    @operation(query=CheckQuery, output=FeatureCheckOutput)
    def get(self, request: Request, feature: str) -> Response:
        """Say whether a customer may use a feature, with what value, and where that comes from.

        `explain=true` adds the steps that led to the answer and the smallest change that would allow it.
        """
        asked = self.query()
        customer_id = asked_customer(self.scope.customer_id, asked.get("customer_id"))
        if not hot.plain_name(feature):
            raise ValidationFailed(fields={"feature": ["Must be 1 to 64 of the characters A-Z a-z 0-9 _ . : -"]})
        granted = granted_to(self.scope, customer_id)
        decision = decide(granted, feature)
        if asked.get("explain"):
            return Response(decision.as_json() | explained(self.scope, customer_id, feature, granted, decision))
        return Response(decision.as_json())


class CheckFeatures(HotView):
    """The same for several features at once."""

    def quick(self, request: Asked, **kwargs: str) -> Answer | None:
        """Answer from one call."""
        body = json_body(request)
        if body is None or set(body) != {"customerId", "features"} or "HTTP_IDEMPOTENCY_KEY" in request.META:
            return None
        if request.META.get("QUERY_STRING"):
            return None
        features = body["features"]
        if not isinstance(features, list) or not 0 < len(features) <= MOST_FEATURES:
            return None
        if not all(hot.plain_name(f) for f in features):
            return None
        checked = ask(request, body["customerId"])
        if checked is None:
            return None
        refused = gate(checked.scopes, SCOPE, checked.allowance)
        if refused is not None:
            return refused
        if not checked.customer_found:
            return refusal(CustomerNotFound(), checked.allowance)
        results = {f: decide(checked.granted, f).as_json(with_reason=False) for f in features}
        return answer({"results": results}, checked.allowance)

    @operation(input=CheckInput, query=ExplainQuery, output=ChecksOutput)
    def post(self, request: Request) -> Response:
        """Say for each feature whether a customer may use it; a session asks for its own alone.

        `explain=true` adds for each the steps that led to the answer and the smallest change that would allow it.
        """
        asked = self.parse()
        customer_id = asked_customer(self.scope.customer_id, asked.get("customer_id"))
        granted = granted_to(self.scope, customer_id)
        decisions = {f: decide(granted, f) for f in asked["features"]}
        if not self.query().get("explain"):
            return Response({"results": {f: each.as_json(with_reason=False) for f, each in decisions.items()}})
        results = {
            f: decision.as_json(with_reason=False) | explained(self.scope, customer_id, f, granted, decision)
            for f, decision in decisions.items()
        }
        return Response({"results": results})


class CheckMany(ApiView):
    """The same for several customers at once."""

    @operation(input=CheckManyInput, output=CheckManyOutput)
    def post(self, request: Request) -> Response:
        """Say for up to 100 customers and as many features who may use what; who is unknown is listed apart."""
        asked = self.parse()
        wanted = list(dict.fromkeys(asked["customers"]))
        found = granted_to_each(self.scope, wanted)
        results = {
            encode("cust", customer_id): {f: decide(granted, f).as_json(with_reason=False) for f in asked["features"]}
            for customer_id, granted in found.items()
        }
        missing = [encode("cust", customer_id) for customer_id in wanted if customer_id not in found]
        return Response({"results": results, "notFound": missing})


def ask(request: Asked, customer: Any) -> Checked | None:
    """Return what the one call answers, or None for the ordinary way."""
    customer_id = hot.decoded_customer(customer)
    if customer_id is None:
        return None
    proof = proof_of(request)
    return hot.check(proof, customer_id) if proof else None


def asked_customer(own: UUID | None, named: UUID | None) -> UUID:
    """Return whom a call is about: a session asks for itself alone."""
    from_session = own is not None
    if from_session and named not in {None, own}:
        raise CustomerNotFound
    customer_id = own or named
    if customer_id is None:
        raise MissingRequiredField(fields={"customerId": ["This field is required."]})
    return customer_id
