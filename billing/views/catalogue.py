"""Features, products and plans over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.models import Product
from billing.serializers.catalogue import (
    FeatureInput,
    FeatureOutput,
    FeaturePatch,
    PlanInput,
    PlanOutput,
    PlanPatch,
    PlansQuery,
    ProductInput,
    ProductOutput,
    ProductPatch,
    ProductsQuery,
)
from billing.services import catalogue, features, plans
from billing.stripe.catalogue_push import push_promptly
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.serializers import PageQuery
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response


class Features(ApiView):
    """All features of the app."""

    @operation(query=PageQuery, output=FeatureOutput, many=True)
    def get(self, request: Request) -> Response:
        """List features, newest first."""
        return self.page(features.live_features(self.scope), self.query())

    @operation(input=FeatureInput, output=FeatureOutput, status=201)
    def post(self, request: Request) -> Response:
        """Define a feature. Only then may plans grant it."""
        return self.reply(features.create_feature(self.scope, **self.parse()))


class OneFeature(ApiView):
    """One feature, by its key."""

    @operation(output=FeatureOutput)
    def get(self, request: Request, feature_key: str) -> Response:
        """Show a feature."""
        return self.reply(features.find_feature(self.scope, feature_key))

    @operation(input=FeaturePatch, output=FeatureOutput)
    def patch(self, request: Request, feature_key: str) -> Response:
        """Rename a feature or change what counts it."""
        return self.reply(features.update_feature(self.scope, feature_key, **self.parse()))

    @operation(status=204)
    def delete(self, request: Request, feature_key: str) -> Response:
        """Archive a feature that no active plan grants."""
        features.archive_feature(self.scope, feature_key)
        return self.reply()


class Products(ApiView):
    """All products of the app."""

    @operation(query=ProductsQuery, output=ProductOutput, many=True)
    def get(self, request: Request) -> Response:
        """List products, newest first, archived ones too."""
        asked = self.query()
        rows = Product.objects.within(self.scope)
        return self.page(rows.filter(active=asked["active"]) if "active" in asked else rows, asked)

    @operation(input=ProductInput, output=ProductOutput, status=201)
    def post(self, request: Request) -> Response:
        """Add a product."""
        return self.reply(catalogue.create_product(self.scope, **self.parse()))


class OneProduct(ApiView):
    """One product."""

    @operation(output=ProductOutput)
    def get(self, request: Request, product_id: str) -> Response:
        """Show a product."""
        return self.reply(catalogue.find_product(self.scope, product_id))

    @operation(input=ProductPatch, output=ProductOutput)
    def patch(self, request: Request, product_id: str) -> Response:
        """Change a product."""
        return self.reply(catalogue.update_product(self.scope, product_id, **self.parse()))

    @operation(status=204)
    def delete(self, request: Request, product_id: str) -> Response:
        """Archive a product that has no active plans."""
        catalogue.archive_product(self.scope, product_id)
        return self.reply()


class Plans(ApiView):
    """All plans of the app."""

    @operation(query=PlansQuery, output=PlanOutput, many=True)
    def get(self, request: Request) -> Response:
        """List plans, newest first, archived ones too."""
        asked = self.query()
        rows = plans.plans_with_contents(self.scope)
        if "active" in asked:
            rows = rows.filter(active=asked["active"])
        if "product_id" in asked:
            rows = rows.filter(product=catalogue.find_product(self.scope, asked["product_id"]))
        return self.page(rows, asked)

    @operation(input=PlanInput, output=PlanOutput, status=201, network=True)
    def post(self, request: Request) -> Response:
        """Add a plan. Without `productId` it gets a product of its own name.

        It is brought to the app's Stripe account at once, and the reply names its price there; where Stripe does not
        answer within two seconds, shortly after; before an account is connected, once one is.
        """
        asked = self.parse()
        with change(self.scope):
            made = plans.create_plan(self.scope, **asked)
            self.keep(self.reply(made))
        push_promptly(self.scope, made.pk)
        with reading(self.scope):
            return self.reply(plans.find_plan(self.scope, made.pk))


class OnePlan(ApiView):
    """One plan."""

    @operation(output=PlanOutput)
    def get(self, request: Request, plan_id: str) -> Response:
        """Show a plan in its newest version."""
        return self.reply(plans.find_plan(self.scope, plan_id))

    @operation(input=PlanPatch, output=PlanOutput, network=True)
    def patch(self, request: Request, plan_id: str) -> Response:
        """Edit a plan. A changed price makes a new version where the plan has subscribers.

        It is brought to Stripe as a new plan is.
        """
        asked = self.parse()
        with change(self.scope):
            edited = plans.update_plan(self.scope, plan_id, **asked)
        push_promptly(self.scope, edited.pk)
        with reading(self.scope):
            return self.reply(plans.find_plan(self.scope, edited.pk))

    @operation(status=204)
    def delete(self, request: Request, plan_id: str) -> Response:
        """Archive a plan. Who has it keeps it."""
        plans.archive_plan(self.scope, plan_id)
        return self.reply()
