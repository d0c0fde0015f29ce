"""The page of an app's API keys."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from accounts.dashboard.frame import AppPage
from apikeys.models import ApiKey
from apikeys.services.keys import issue_api_key, revoke_api_key, rotate_api_key
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import NotFound
from stackbe.kernel.scope import ALL_SCOPES, Scope
from stackbe.kernel.tenancy import ScopedQuerySet
from stackbe.kernel.transactions import change

GRACE_CHOICES = [
    (0, "At once"),
    (3600, "After an hour"),
    (86400, "After a day"),
    (604800, "After a week"),
]


class KeyForm(forms.Form):
    """A key to make."""

    name = forms.CharField(
        label="Name",
        max_length=120,
        help_text="Where it is used, such as “production server”.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    reach = forms.ChoiceField(
        label="What it may do",
        choices=[("all", "Everything in this app"), ("some", "Only what is ticked below")],
    )
    scopes = forms.MultipleChoiceField(
        label="Scopes",
        required=False,
        choices=[(scope, scope) for scope in ALL_SCOPES],
        widget=forms.CheckboxSelectMultiple,
    )

    def clean(self) -> dict[str, Any]:
        """Ask for a scope where only some were wanted."""
        entered: dict[str, Any] = super().clean() or {}
        if entered.get("reach") == "some" and not entered.get("scopes"):
            self.add_error("scopes", "Tick at least one, or let the key do everything.")
        return entered


class RotationForm(forms.Form):
    """How long the old key stays good."""

    grace_seconds = forms.TypedChoiceField(label="The old key stops working", choices=GRACE_CHOICES, coerce=int)


class Keys(AppPage):
    """The app's keys, never a secret among them."""

    section = "keys"
    resource = "keys"
    template = "dashboard/keys.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return the keys that work, those that no longer do, and the publishable one."""
        moment = wall_clock()
        rows = list(keys_of(self.scope).order_by("-pk")[:200])
        return {
            "working": [row for row in rows if row.kind == ApiKey.Kind.SECRET and works(row, moment)],
            "ended": [row for row in rows if row.kind == ApiKey.Kind.SECRET and not works(row, moment)],
            "publishable": [row for row in rows if row.kind == ApiKey.Kind.PUBLISHABLE and works(row, moment)],
            "form": KeyForm(),
            "rotation": RotationForm(),
            "base_url": settings.BASE_URL,
        }

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Make a key and show it, this once."""
        form = KeyForm(request.POST)

        def act() -> HttpResponse:
            wanted = form.cleaned_data
            scopes = ["*"] if wanted["reach"] == "all" else wanted["scopes"]
            with change(self.scope):
                row, text = issue_api_key(
                    self.scope,
                    name=wanted["name"],
                    environment=self.scope.environment,
                    app_id=self.scope.app_id,
                    scopes=scopes,
                )
                return self.show({**self.context(), "made": row, "secret": text}, status=201)

        return self.submit(form, act, {"form": form, "is_adding": True})


class Rotate(AppPage):
    """Putting a new key in an old one's place."""

    http_method_names = ("post",)
    section = "keys"
    resource = "keys"
    home = "dashboard-keys"
    template = "dashboard/keys.html"

    def post(self, request: HttpRequest, app_id: str, key_id: str) -> HttpResponse:
        """Make the successor and show it, this once."""
        form = RotationForm(request.POST)
        seconds = form.cleaned_data["grace_seconds"] if form.is_valid() else 0
        with change(self.scope):
            row, text = rotate_api_key(self.scope, key_named(self.scope, key_id), grace_seconds=seconds)
            context = Keys.context(self)  # type: ignore[arg-type]  # both are pages of the same list
            return self.show({**context, "made": row, "secret": text}, status=201)


class Revoke(AppPage):
    """Ending a key."""

    resource = "keys"
    home = "dashboard-keys"

    def post(self, request: HttpRequest, app_id: str, key_id: str) -> HttpResponse:
        """Refuse the key from the next request on."""
        self.perform(lambda scope: revoke_api_key(scope, key_named(scope, key_id)))
        return self.done("Revoked. The next request with that key is refused.", "dashboard-keys")


def keys_of(scope: Scope) -> ScopedQuerySet[ApiKey]:
    """Return the keys of the scope's app."""
    return ApiKey.objects.within(scope).filter(app_id=scope.app_id)


def key_named(scope: Scope, key_id: str) -> ApiKey:
    """Return one of the app's secret keys, held until the change ends."""
    return keys_of(scope).filter(kind=ApiKey.Kind.SECRET).locked().fetch(key_id, NotFound)


def works(row: ApiKey, moment: Any) -> bool:
    """Say whether a key is good at a moment."""
    revoked = row.revoked_at is not None and row.revoked_at <= moment
    return not revoked and (row.expires_at is None or row.expires_at > moment)


PAGES: list[URLPattern] = [
    path("dashboard/<str:app_id>/keys", Keys.as_view(), name="dashboard-keys"),
    path("dashboard/<str:app_id>/keys/<str:key_id>/rotate", Rotate.as_view(), name="dashboard-key-rotate"),
    path("dashboard/<str:app_id>/keys/<str:key_id>/revoke", Revoke.as_view(), name="dashboard-key-revoke"),
]
