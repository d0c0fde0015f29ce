"""Making an app, and its settings."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.app_settings import OFF, OPTIONAL, REQUIRED
from accounts.dashboard.frame import AppPage, MemberPage, as_the_api_takes_it, identity, put_errors
from accounts.serializers import AppPatch, AppSettingsInput
from accounts.services.apps import archive_app, create_app, list_apps, scope_of, update_app
from accounts.services.logos import trouble_with
from accounts.services.members import member_scope, memberships_of
from accounts.services.suspension import refuse_suspended
from accounts.services.tenants import open_tenant
from apikeys.services.keys import issue_publishable_key
from stackbe.kernel.errors import Forbidden, ValidationFailed
from stackbe.kernel.routes import least_role
from stackbe.kernel.scope import Role, Scope, platform_scope
from stackbe.kernel.transactions import change, reading

YEAR_MINUTES = 366 * 24 * 60
NULLABLE = ("dev_callback_url", "verification_url", "email_from_name", "brand_color", "logo_url")


class NewAppForm(forms.Form):
    """A new app."""

    name = forms.CharField(
        label="App name",
        max_length=120,
        help_text="Your customers see it on sign-in pages and in mails.",
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
    )
    environment = forms.ChoiceField(
        label="Environment",
        choices=[("test", "Test: sandbox money, local callbacks allowed"), ("live", "Live: real customers")],
        help_text="Fixed for the app’s life. Most start with a test app.",
    )


class Lines(forms.CharField):
    """A text area that means a list: one entry a line."""

    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "wrap": "off"})

    def to_python(self, value: Any) -> Any:
        """Return the lines that are not empty."""
        return [line.strip() for line in (value or "").splitlines() if line.strip()]

    def prepare_value(self, value: Any) -> Any:
        """Show a list as lines."""
        return "\n".join(value) if isinstance(value, list | tuple) else value


class Days(forms.CharField):
    """Whole numbers parted by commas."""

    def to_python(self, value: Any) -> Any:
        """Return the numbers; what is none is left to the API's serializer to refuse."""
        parts = [part.strip() for part in (super().to_python(value) or "").split(",")]
        return [int(part) if part.isdecimal() else part for part in parts if part]

    def prepare_value(self, value: Any) -> Any:
        """Return the numbers as they are entered."""
        return ", ".join(str(each) for each in value) if isinstance(value, list | tuple) else value


class SettingsForm(forms.Form):
    """An app's name and settings; the API's serializer judges what is entered."""

    name = forms.CharField(label="App name", max_length=120)
    brand_color = forms.CharField(
        label="Colour",
        required=False,
        help_text="As #rrggbb. Buttons of your sign-in page and mails take it.",
        widget=forms.TextInput(attrs={"placeholder": "#0a6577", "spellcheck": "false"}),
    )
    logo_url = forms.CharField(
        label="Logo",
        required=False,
        widget=forms.URLInput,
        help_text="A PNG, JPEG, GIF or WebP of at most 128 KiB. We copy it, and copy it again whenever you save.",
    )
    email_from_name = forms.CharField(
        label="Sender’s name",
        required=False,
        max_length=60,
        help_text="Who sign-in mails come from; else the app’s name.",
    )
    callback_urls = Lines(
        label="Callback URLs",
        required=False,
        help_text="One a line. After sign-in, customers are sent to one of these, compared whole, and nowhere else.",
    )
    allowed_origins = Lines(
        label="Allowed origins",
        required=False,
        help_text="One a line, such as https://app.example.com: where browsers may call the API from.",
    )
    verification_url = forms.CharField(
        label="Own confirmation page",
        required=False,
        widget=forms.URLInput,
        help_text="Where sign-in links point when you host that page yourself.",
    )
    magic_link_expiry_minutes = forms.IntegerField(label="Sign-in links live (minutes)", min_value=5, max_value=15)
    access_token_ttl_minutes = forms.IntegerField(label="Session tokens live (minutes)", min_value=1, max_value=15)
    session_ttl_minutes = forms.IntegerField(
        label="Sessions live (minutes)",
        required=False,
        min_value=5,
        max_value=YEAR_MINUTES,
        help_text="Then one signs in again, however active. 43200 is 30 days.",
    )
    session_idle_minutes = forms.IntegerField(
        label="Idle sessions live (minutes)",
        required=False,
        min_value=30,
        max_value=YEAR_MINUTES,
        help_text="How long a session lasts that nobody uses. 20160 is 14 days.",
    )
    grace_period_days = forms.IntegerField(
        label="Grace period (days)",
        min_value=0,
        max_value=90,
        help_text="How long a customer whose payment failed keeps access.",
    )
    dunning_days = Days(
        label="Payment reminders (days)",
        required=False,
        help_text="Days after a failed payment on which the customer is mailed, such as 0, 3, 6. They stop on payment.",
    )
    trial_ending_days = forms.IntegerField(
        label="Trial ends (days before)",
        required=False,
        min_value=1,
        max_value=30,
        help_text="When you and the customer are told that a trial ends.",
    )
    trial_ending_mail = forms.BooleanField(label="Mail customers whose trial ends", required=False)
    trial_once_per_domain = forms.BooleanField(
        label="One trial per company",
        required=False,
        help_text="Whose e-mail domain has had a trial gets no other. Public mail providers are excepted.",
    )
    revoke_on_refund = forms.BooleanField(label="A full refund ends access", required=False)
    revoke_on_dispute = forms.BooleanField(label="A dispute ends access", required=False)
    automatic_tax = forms.BooleanField(
        label="Stripe adds taxes",
        required=False,
        help_text="Needs Stripe Tax on your account. The checkout page asks for the address that decides.",
    )
    tax_id_collection = forms.BooleanField(label="The checkout page asks for a tax number", required=False)
    auto_create_customer = forms.BooleanField(
        label="Make a customer of whoever asks for a sign-in link", required=False
    )
    organizations_enabled = forms.BooleanField(label="Customers may form organizations", required=False)
    second_factors = forms.ChoiceField(
        label="Second factors of customers",
        required=False,
        choices=[
            (OFF, "Off: the mail is proof enough"),
            (OPTIONAL, "Optional: asked of customers who have added one"),
            (REQUIRED, "Required: who has none adds one before they get in"),
        ],
        help_text="An authenticator app or a passkey, asked for on our page after the link.",
    )


class NewApp(MemberPage):
    """Making an app; the first one also founds the account that it belongs to."""

    template = "dashboard/app_new.html"

    def enter(self, **kwargs: Any) -> None:
        """Find the account: the one that `?account=` names, or the first."""
        places = memberships_of(self.user.id)
        wanted = self.request.GET.get("account")
        self.place = next((p for p in places if str(p.tenant_id) == wanted), places[0] if places else None)

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form."""
        return self.form_page(NewAppForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make the app with its publishable key, and go there."""
        form = NewAppForm(request.POST)
        if not form.is_valid():
            return self.form_page(form, 400)
        scope = self.account_scope(form.cleaned_data["name"])
        if (scope.role or Role.VIEWER).rank < least_role("apps:write").rank:
            raise Forbidden("Only admins and owners make apps.")
        try:
            with change(scope):
                app = create_app(scope, **form.cleaned_data)
                issue_publishable_key(scope_of(scope, app), app_id=app.pk, environment=app.environment)
        except ValidationFailed as failure:
            put_errors(form, failure)
            return self.form_page(form, 400)
        return redirect("dashboard-overview", app.public_id)

    def account_scope(self, name: str) -> Scope:
        """Return the member's scope in the account, founding one named like the app where there is none."""
        if self.place is None:
            with reading(platform_scope()):
                email = identity(self.user)["member_email"]
            tenant, _, _ = open_tenant(name, email)
            return member_scope(self.user, tenant.pk)
        refuse_suspended(self.place.tenant_id)
        return member_scope(self.user, self.place.tenant_id)

    def form_page(self, form: NewAppForm, status: int = 200) -> HttpResponse:
        """Return the form, its errors beside the fields."""
        scope = member_scope(self.user, self.place.tenant_id) if self.place else platform_scope()
        with reading(scope):
            first = self.place is None or not list_apps(scope).exists()
            return self.show({"form": form, "is_first": first, **identity(self.user)}, status=status)


class Settings(AppPage):
    """The app's settings."""

    section = "settings"
    resource = "apps"
    template = "dashboard/settings.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return the form filled with what stands."""
        app = list_apps(self.scope).get(pk=self.scope.app)
        config = app.config
        standing = {field: getattr(config, field) for field in SettingsForm.base_fields if field != "name"}
        form = SettingsForm(initial={"name": app.name, **standing})
        return {"form": form, "logo_trouble": trouble_with(self.scope, config.logo_url)}

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Change what was entered."""
        form = SettingsForm(request.POST)

        def act() -> HttpResponse:
            entered = dict(form.cleaned_data)
            name = as_the_api_takes_it(AppPatch, {"name": entered.pop("name")})["name"]
            entered |= {field: entered[field] or None for field in NULLABLE if field in entered}
            entered = {field: value for field, value in entered.items() if value not in (None, "") or field in NULLABLE}
            asked = as_the_api_takes_it(AppSettingsInput, entered)
            self.perform(lambda scope: update_app(scope, app_id, name=name, settings=asked))
            return self.done("Saved.", "dashboard-settings")

        return self.submit(form, act, {"form": form})


class Archive(AppPage):
    """Taking the app out of service."""

    resource = "apps"
    home = "dashboard-settings"

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Archive the app once its name was typed."""
        with reading(self.scope):
            app = list_apps(self.scope).get(pk=self.scope.app)
        if request.POST.get("name", "").strip() != app.name:
            raise ValidationFailed("The name did not match, so nothing was archived.")
        self.perform(lambda scope: archive_app(scope, app_id))
        return redirect("dashboard")
