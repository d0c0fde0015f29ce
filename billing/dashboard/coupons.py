"""Coupons and their codes: what there is, another one, and taking one off sale."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse

from accounts.dashboard.frame import AppPage, as_the_api_takes_it
from billing.dashboard.forms import CURRENCIES, refuse_other_coins
from billing.models import Coupon, StripeConnection
from billing.stripe import coupons
from billing.stripe.coupon_views import CouponInput
from stackbe.kernel.clock import render
from stackbe.kernel.currencies import in_minor_units

DURATIONS = [("once", "The first invoice"), ("repeating", "Several months"), ("forever", "Every invoice")]


class CouponForm(forms.Form):
    """A new coupon; the API's serializer judges what is entered."""

    code = forms.CharField(label="Code", max_length=80, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    percent_off = forms.DecimalField(label="Percent off", required=False, max_digits=5, decimal_places=2)
    amount_off = forms.DecimalField(
        label="Or an amount off", required=False, min_value=0, decimal_places=2, help_text="Give one of both."
    )
    currency = forms.ChoiceField(label="Currency", required=False, choices=[(c, c.upper()) for c in CURRENCIES])
    duration = forms.ChoiceField(label="Comes off", choices=DURATIONS)
    duration_in_months = forms.IntegerField(label="Months", required=False, help_text="For several months.")
    max_redemptions = forms.IntegerField(label="How often it can be redeemed", required=False)
    expires_at = forms.DateTimeField(
        label="Until",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text="UTC. Empty for no end.",
    )

    def clean(self) -> dict[str, Any]:
        """Refuse an amount that its currency has no coins for."""
        refuse_other_coins(self, "amount_off")
        return self.cleaned_data

    def as_asked(self) -> dict[str, Any]:
        """Return what the API is sent for the same, and refuse as it refuses."""
        entered = {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}
        amount, currency = entered.pop("amount_off", None), entered.pop("currency", "")
        if amount is not None:
            entered |= {"amount_off_cents": in_minor_units(amount, currency), "currency": currency}
        if "percent_off" in entered:
            entered["percent_off"] = float(entered["percent_off"])
        if "expires_at" in entered:
            entered["expires_at"] = render(entered["expires_at"])
        return as_the_api_takes_it(CouponInput, entered)


class Coupons(AppPage):
    """The app's coupons, newest first."""

    section = "plans"
    resource = "plans"
    template = "dashboard/coupons.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return a page of coupons, each with whether it can be redeemed, and a form for another."""
        found = self.page_of(coupons.made_coupons(self.scope))
        return {
            **found,
            "coupons": [(row, coupons.redeemable(self.scope, row)) for row in found["rows"]],
            "form": CouponForm(),
            "durations": dict(Coupon.Duration.choices),
            "is_connected": StripeConnection.objects.within(self.scope).filter(status="connected").exists(),
        }

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Make a coupon at Stripe."""
        form = CouponForm(request.POST)

        def act() -> HttpResponse:
            made = coupons.create_coupon(self.scope, form.as_asked())
            return self.done(f"Customers can redeem {made.code} now.", "dashboard-coupons")

        return self.submit(form, act, {"form": form})


class ArchiveCoupon(AppPage):
    """Letting nobody redeem a coupon any more."""

    resource = "plans"
    home = "dashboard-coupons"

    def post(self, request: HttpRequest, app_id: str, coupon_id: str) -> HttpResponse:
        """Archive it."""
        coupons.archive_coupon(self.scope, coupon_id)
        return self.done("Archived. Whoever has it keeps it.", "dashboard-coupons")
