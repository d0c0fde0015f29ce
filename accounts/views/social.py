"""Sign-in providers and connected accounts over HTTP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from accounts.services import social, social_identities, social_providers
from accounts.services.customers import find_customer
from accounts.services.sessions import calling
from accounts.services.social_check import troubles_with
from accounts.social_models import SLUG
from accounts.social_shapes import (
    CheckOutput,
    ConnectInput,
    ConnectOutput,
    IdentityListQuery,
    IdentityOutput,
    ProviderInput,
    ProviderOutput,
)
from accounts.views.auth import own_app
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.serializers import PageQuery
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

    from stackbe.kernel.scope import Scope

CREATED = 201
SLUG_SENTENCE = "Name it google, github, or your own: 2 to 40 of a–z, 0–9 and -, a letter first."


class AppSocialView(ApiView):
    """A view under an app's URL: a key of the whole tenant names the app by that alone."""

    def app_scope(self, app_id: str) -> Scope:
        """Return the caller's scope in the app that the path names."""
        app = own_app(self.scope, app_id)
        return self.scope.for_app(app.id, app.environment, app.system_scope("").clock_offset)


class Providers(AppSocialView):
    """Where customers of the app may sign in."""

    @operation(query=PageQuery, output=ProviderOutput, many=True)
    def get(self, request: Request, app_id: str) -> Response:
        """List the app's sign-in providers, newest first; secrets are never shown."""
        return self.page(social_providers.providers_of(self.app_scope(app_id)), self.query())


class OneProvider(AppSocialView):
    """One provider, named `google`, `github`, or as the app calls its OpenID Connect provider."""

    @operation(output=ProviderOutput)
    def get(self, request: Request, app_id: str, provider: str) -> Response:
        """Show a provider."""
        return self.reply(social_providers.find_provider(self.app_scope(app_id), provider))

    @operation(input=ProviderInput, output=ProviderOutput, extra_statuses=(201, 409))
    def put(self, request: Request, app_id: str, provider: str) -> Response:
        """Configure a provider. The secret may be left out where it, the client id and the issuer stay."""
        scope = self.app_scope(app_id)
        if not re.fullmatch(SLUG, provider):
            raise ValidationFailed(fields={"provider": [SLUG_SENTENCE]})
        found, is_new = social_providers.put_provider(scope, provider, **self.parse())
        response = self.reply(found)
        if is_new:
            response.status_code = CREATED
        return response

    @operation(status=204)
    def delete(self, request: Request, app_id: str, provider: str) -> Response:
        """Take a provider away with its secret; customers keep what they have connected, should it come back."""
        social_providers.delete_provider(self.app_scope(app_id), provider)
        return self.reply()


class CheckProvider(AppSocialView):
    """Trying a provider out."""

    @operation(output=CheckOutput, network=True, idempotent=False)
    def post(self, request: Request, app_id: str, provider: str) -> Response:
        """Ask the provider for its configuration and keys, and whether it knows the client; say what is wrong."""
        scope = self.app_scope(app_id)
        with reading(scope):
            client = social_providers.client_of(scope, social_providers.find_provider(scope, provider))
        problems = troubles_with(client)
        with change(scope):
            social_providers.note_trouble(scope, provider, " ".join(problems))
        return self.reply({"ok": not problems, "problems": problems})


class OwnIdentities(ApiView):
    """The accounts elsewhere that sign in the customer who asks."""

    @operation(query=IdentityListQuery, output=IdentityOutput, many=True)
    def get(self, request: Request, app_id: str) -> Response:
        """List the customer's connected accounts."""
        own_app(self.scope, app_id)
        _, customer = calling(self.scope)
        return self.page(social_identities.identities_of(self.scope, customer.id), self.query())

    @operation(input=ConnectInput, output=ConnectOutput, status=201, idempotent=False)
    def post(self, request: Request, app_id: str) -> Response:
        """Begin to connect an account: send the browser to `url` within ten minutes; it asks, then comes back."""
        asked = self.parse()
        app = own_app(self.scope, app_id)
        token, expires_at = social.offer_link(self.scope, app, asked["provider"], asked.get("redirect_url"))
        url = f"{settings.BASE_URL}{reverse('social-connect')}?{urlencode({'token': token})}"
        return self.reply({"url": url, "expires_at": expires_at})


class OwnIdentity(ApiView):
    """One of them."""

    @operation(status=204)
    def delete(self, request: Request, app_id: str, identity_id: str) -> Response:
        """Disconnect an account. The customer can still sign in by mail."""
        own_app(self.scope, app_id)
        _, customer = calling(self.scope)
        social_identities.disconnect(self.scope, customer, identity_id)
        return self.reply()


class CustomerIdentities(ApiView):
    """The accounts elsewhere that sign a customer in, as the app's backend sees them."""

    @operation(query=IdentityListQuery, output=IdentityOutput, many=True)
    def get(self, request: Request, customer_id: str) -> Response:
        """List a customer's connected accounts."""
        customer = find_customer(self.scope, public_id=customer_id)
        return self.page(social_identities.identities_of(self.scope, customer.id), self.query())


class CustomerIdentityItem(ApiView):
    """One of them."""

    @operation(status=204)
    def delete(self, request: Request, customer_id: str, identity_id: str) -> Response:
        """Disconnect an account from a customer."""
        customer = find_customer(self.scope, public_id=customer_id)
        social_identities.disconnect(self.scope, customer, identity_id)
        return self.reply()
