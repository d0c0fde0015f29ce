"""Where an app lets its customers sign in: Google, GitHub and providers of its own, each set up and tried out."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse

from accounts.dashboard.frame import AppPage, as_the_api_takes_it
from accounts.services.social_check import troubles_with
from accounts.services.social_providers import (
    FIRST_SCOPES,
    KNOWN_NAMES,
    OPENID_SCOPES,
    client_of,
    delete_provider,
    find_provider,
    note_trouble,
    providers_of,
    put_provider,
    redirect_uri,
)
from accounts.social_models import SLUG, SocialProvider
from accounts.social_shapes import ProviderInput
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.transactions import reading

CONSOLES = {
    "google": "https://console.cloud.google.com/auth/clients",
    "github": "https://github.com/settings/developers",
}
NOT_SHOWN = {"autocomplete": "off", "spellcheck": "false"}


class ProviderForm(forms.Form):
    """A provider's configuration; the API's serializer judges what is entered."""

    issuer = forms.CharField(
        label="Issuer",
        max_length=2048,
        widget=forms.URLInput(attrs={"placeholder": "https://login.example.com"}),
        help_text="As the provider writes it, letter by letter. Its configuration is read from there.",
    )
    client_id = forms.CharField(label="Client ID", max_length=255, widget=forms.TextInput(attrs=NOT_SHOWN))
    client_secret = forms.CharField(
        label="Client secret",
        max_length=2048,
        widget=forms.PasswordInput(attrs={**NOT_SHOWN, "autocomplete": "new-password"}),
        help_text="Kept encrypted and never shown again.",
    )
    name = forms.CharField(label="Name on the button", max_length=60, required=False)
    scopes = forms.CharField(
        label="Scopes",
        max_length=400,
        required=False,
        widget=forms.TextInput(attrs=NOT_SHOWN),
        help_text="Parted by spaces. What stands here is enough to sign in.",
    )
    enabled = forms.BooleanField(label="Customers may sign in with it", required=False, initial=True)

    def __init__(self, data: Any = None, *, slug: str = "", has_secret: bool = False, **kwargs: Any) -> None:
        """Leave out the issuer that is known, and ask for no secret where there is one."""
        super().__init__(data, **kwargs)
        if slug in KNOWN_NAMES:
            del self.fields["issuer"]
        if has_secret:
            self.fields["client_secret"].required = False
            self.fields["client_secret"].help_text = "There is one. Leave this empty to keep it; it is never shown."

    def as_asked(self) -> dict[str, Any]:
        """Return the arguments of the service, as the API takes them."""
        entered = self.cleaned_data
        given = {
            "issuer": entered.get("issuer") or None,
            "client_id": entered["client_id"].strip(),
            "name": entered["name"] or None,
            "scopes": entered["scopes"].split() or None,
            "enabled": entered["enabled"],
        }
        if entered["client_secret"]:
            given["client_secret"] = entered["client_secret"].strip()
        return as_the_api_takes_it(ProviderInput, given)


class NewProviderForm(ProviderForm):
    """An OpenID Connect provider of the app's own, with what it is called in URLs."""

    provider = forms.CharField(
        label="Short name",
        max_length=40,
        widget=forms.TextInput(attrs={**NOT_SHOWN, "placeholder": "acme-sso"}),
        help_text="In lower case, for URLs. It stays.",
    )
    field_order = ("provider", "name", "issuer", "client_id", "client_secret", "scopes", "enabled")

    def clean_provider(self) -> str:
        """Return the name if it can stand in a URL."""
        slug: str = self.cleaned_data["provider"]
        if not re.fullmatch(SLUG, slug) or slug in KNOWN_NAMES:
            raise forms.ValidationError("Use 2 to 40 of a–z, 0–9 and -, a letter first; google and github are taken.")
        return slug


class ProviderPage(AppPage):
    """A page about the app's sign-in providers."""

    section = "settings"
    resource = "apps"


class Providers(ProviderPage):
    """All providers, and the form that adds one."""

    template = "dashboard/social.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return the two that are known, set up or not, then the app's own."""
        found = {provider.slug: provider for provider in providers_of(self.scope)}
        known = [(slug, name, found.pop(slug, None)) for slug, name in KNOWN_NAMES.items()]
        own = [(slug, provider.name, provider) for slug, provider in sorted(found.items())]
        initial = {"scopes": " ".join(OPENID_SCOPES), "enabled": True}
        uri = redirect_uri(self.scope.app, "short-name")
        return {"providers": known + own, "form": NewProviderForm(initial=initial), "redirect_uri": uri}

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Add an OpenID Connect provider, and go to its page, which says what to register there."""
        form = NewProviderForm(request.POST)

        def act() -> HttpResponse:
            slug = form.cleaned_data["provider"]
            with reading(self.scope):
                if providers_of(self.scope).filter(slug=slug).exists():
                    raise ValidationFailed(fields={"provider": ["There is one of this name already."]})
            asked = form.as_asked()
            self.perform(lambda scope: put_provider(scope, slug, **asked))
            return self.done("Added. Now register the redirect URI there, then check it.", "dashboard-provider", slug)

        return self.submit(form, act, {"form": form, "is_adding": True})


class OneProvider(ProviderPage):
    """One provider: what to register there, what it gave, and whether it works."""

    template = "dashboard/social_provider.html"

    def context(self, provider: str) -> dict[str, Any]:
        """Return the form, filled with what stands but the secret."""
        found = self.found(provider)
        if found is None and provider not in KNOWN_NAMES:
            raise Http404
        scopes = found.scopes if found else FIRST_SCOPES.get(provider, OPENID_SCOPES)
        initial = {
            "issuer": found.issuer if found else "",
            "client_id": found.client_id if found else "",
            "name": found.name if found else KNOWN_NAMES[provider],
            "scopes": " ".join(scopes),
            "enabled": found.enabled if found else True,
        }
        named = {"app": self.kwargs["app_id"], "provider": provider}
        return {
            "slug": provider,
            "name": initial["name"],
            "provider": found,
            "form": ProviderForm(slug=provider, has_secret=found is not None, initial=initial),
            "redirect_uri": redirect_uri(self.scope.app, provider),
            "start_url": f"{settings.BASE_URL}{reverse('social-start')}?{urlencode(named)}",
            "console": CONSOLES.get(provider, ""),
        }

    def post(self, request: HttpRequest, app_id: str, provider: str) -> HttpResponse:
        """Set it up, or change it."""
        with reading(self.scope):
            has_secret = self.found(provider) is not None
        if not has_secret and provider not in KNOWN_NAMES:
            raise Http404
        form = ProviderForm(request.POST, slug=provider, has_secret=has_secret)

        def act() -> HttpResponse:
            asked = form.as_asked()
            self.perform(lambda scope: put_provider(scope, provider, **asked))
            return self.done("Saved. Check it now.", "dashboard-provider", provider)

        return self.submit(form, act, {"form": form, "kwargs": {"provider": provider}})

    def found(self, slug: str) -> SocialProvider | None:
        """Return the provider if it is set up."""
        return providers_of(self.scope).filter(slug=slug).first()


class ProviderAction(ProviderPage):
    """What one button does to a provider."""

    http_method_names = ("post",)

    def back(self) -> HttpResponse:
        """Return to the provider."""
        return redirect("dashboard-provider", self.kwargs["app_id"], self.kwargs["provider"])


class Check(ProviderAction):
    """Trying it out."""

    def post(self, request: HttpRequest, app_id: str, provider: str) -> HttpResponse:
        """Ask the provider, and say what is wrong."""
        with reading(self.scope):
            client = client_of(self.scope, find_provider(self.scope, provider))
        problems = troubles_with(client)
        self.perform(lambda scope: note_trouble(scope, provider, " ".join(problems)))
        if not problems:
            messages.success(request, f"{client.name} answers, and knows your client ID and secret.")
        return self.back()


class Delete(ProviderAction):
    """Taking it away."""

    def post(self, request: HttpRequest, app_id: str, provider: str) -> HttpResponse:
        """Forget it with its secret."""
        self.perform(lambda scope: delete_provider(scope, provider))
        return self.done("Taken away. Nobody signs in with it any more.", "dashboard-providers")


_SIGN_IN = "dashboard/<str:app_id>/settings/sign-in"
_ONE = f"{_SIGN_IN}/<slug:provider>"
PAGES: list[URLPattern] = [
    path(_SIGN_IN, Providers.as_view(), name="dashboard-providers"),
    path(_ONE, OneProvider.as_view(), name="dashboard-provider"),
    path(f"{_ONE}/check", Check.as_view(), name="dashboard-provider-check"),
    path(f"{_ONE}/delete", Delete.as_view(), name="dashboard-provider-delete"),
]
