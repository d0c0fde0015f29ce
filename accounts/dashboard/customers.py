"""Customers: finding one, and all that is known of one on a page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.app_settings import OFF
from accounts.dashboard.frame import AppPage, as_the_api_takes_it
from accounts.models import Customer
from accounts.serializers import CustomerInput
from accounts.services.apps import list_apps
from accounts.services.customer_factors import CustomerFactors, reset_factors
from accounts.services.customers import (
    create_customer,
    delete_customer,
    find_customer,
    search_customers,
    send_mail_again,
)
from accounts.services.sessions import end_all_sessions, live_sessions
from billing.models import Access, DefaultAccess, InvoiceReference, Subscription
from billing.stripe.pages import settle_open_checkouts
from stackbe.kernel.clock import now
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.tenancy import ScopedQuerySet
from stackbe.kernel.transactions import change, current, reading
from stackbe.mail.outgoing import bounce_of, latest_to
from usage.dashboard.customer import usage_of
from webhooks.models import Event


class CustomerForm(forms.Form):
    """A customer to add by hand."""

    email = forms.EmailField(label="E-mail", widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    name = forms.CharField(label="Name", required=False, max_length=255)
    external_id = forms.CharField(
        label="Your id", required=False, max_length=255, help_text="What your own database calls this person."
    )


class Customers(AppPage):
    """The app's customers, newest first."""

    section = "customers"
    resource = "customers"
    template = "dashboard/customers.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return a page of those that match `q`."""
        wanted = self.request.GET.get("q", "").strip()[:254]
        found = self.page_of(search_customers(self.scope, q=wanted or None), q=wanted)
        rows: list[Customer] = found["rows"]
        current().keys.preload([row.pk for row in rows])
        live = {row.customer_id: row for row in live_subscriptions(self, [row.pk for row in rows])}
        return {
            **found,
            "rows": [(row, live.get(row.pk)) for row in rows],
            "q": wanted,
            "form": CustomerForm(),
        }

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Show the list, or only its rows to htmx while somebody types."""
        with reading(self.scope):
            partial = bool(getattr(request, "htmx", False))
            return self.show(self.context(), template="dashboard/_customers_rows.html" if partial else "")

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Add a customer."""
        form = CustomerForm(request.POST)

        def act() -> HttpResponse:
            given = {name: value for name, value in form.cleaned_data.items() if value}
            asked = as_the_api_takes_it(CustomerInput, given)
            customer = self.perform(lambda scope: create_customer(scope, **asked))
            return self.done("Customer added.", "dashboard-customer", customer.public_id)

        return self.submit(form, act, {"form": form, "is_adding": True})


class OneCustomer(AppPage):
    """All that is known of one customer."""

    section = "customers"
    resource = "customers"
    template = "dashboard/customer.html"

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Show the customer; back from a checkout, Stripe is asked first how it went, for a moment at most."""
        if request.GET.get("checkout") == "done":
            with reading(self.scope):
                customer = find_customer(self.scope, public_id=kwargs["customer_id"])
            settle_open_checkouts(self.scope, customer.pk)
        return super().get(request, **kwargs)

    def context(self, customer_id: str) -> dict[str, Any]:
        """Return identity, access, usage, subscriptions, invoices, sessions and events."""
        scope = self.scope
        customer = find_customer(scope, public_id=customer_id)
        moment = now(scope)
        access = Access.objects.within(scope).filter(customer=customer).first()
        granted = access if access and holds_now(access, moment) else DefaultAccess.objects.within(scope).first()
        return {
            "customer": customer,
            "access": granted,
            "is_default": isinstance(granted, DefaultAccess),
            "overrides": access.overrides if access else {},
            **usage_of(scope, customer),
            "subscriptions": list(subscriptions_of(self).filter(customer=customer).order_by("-pk")[:10]),
            "invoices": list(InvoiceReference.objects.within(scope).filter(customer=customer).order_by("-pk")[:10]),
            "mails": list(latest_to(scope, bytes(customer.email_index))[:5]),
            "bounce": bounce_of(scope, bytes(customer.email_index)),
            "factors": CustomerFactors(scope, customer).standing(),
            "wants_factors": list_apps(scope).get(pk=scope.app).config.second_factors != OFF,
            "sessions": list(live_sessions(scope, customer.pk).order_by("-pk")[:10]),
            "events": list(Event.objects.within(scope).filter(subject_id=customer.pk).order_by("-pk")[:10]),
        }


class DeleteCustomer(AppPage):
    """Erasing a customer on request."""

    resource = "customers"
    home = "dashboard-customers"

    def post(self, request: HttpRequest, app_id: str, customer_id: str) -> HttpResponse:
        """Start the erasure once DELETE was typed."""
        if request.POST.get("word", "").strip().upper() != "DELETE":
            raise ValidationFailed("Type DELETE to confirm. Nothing was changed.")
        self.perform(lambda scope: delete_customer(scope, customer_id))
        self.done("The customer is signed out and will be erased.", "dashboard-customers")
        return redirect("dashboard-customers", app_id)


class SignOut(AppPage):
    """Ending all of a customer's sessions."""

    resource = "customers"

    def post(self, request: HttpRequest, app_id: str, customer_id: str) -> HttpResponse:
        """End them; their tokens are refused from the next request on."""
        with change(self.scope):
            customer = find_customer(self.scope, public_id=customer_id)
            end_all_sessions(self.scope, customer.pk, "signed out in the dashboard")
        return self.done("Signed out everywhere.", "dashboard-customer", customer_id)


class ResetFactors(AppPage):
    """Taking away the second factors of a customer who lost them."""

    resource = "customers"

    def post(self, request: HttpRequest, app_id: str, customer_id: str) -> HttpResponse:
        """Remove them; the customer is told by mail and signs in by the link alone until they add one."""
        with change(self.scope):
            reset_factors(self.scope, find_customer(self.scope, public_id=customer_id))
        return self.done("Removed. A mail tells the customer.", "dashboard-customer", customer_id)


class MailAgain(AppPage):
    """Sending to an address again that mail bounced from."""

    resource = "customers"

    def post(self, request: HttpRequest, app_id: str, customer_id: str) -> HttpResponse:
        """Lift the bounce; the next mail that is asked for is sent."""
        self.perform(lambda scope: send_mail_again(scope, customer_id))
        return self.done("The next mail to this customer will be sent.", "dashboard-customer", customer_id)


def subscriptions_of(page: AppPage) -> ScopedQuerySet[Subscription]:
    """Return the app's subscriptions with their plans at hand."""
    return Subscription.objects.within(page.scope).select_related("plan", "price")


def live_subscriptions(page: AppPage, customer_ids: list[Any]) -> list[Subscription]:
    """Return what these customers hold now."""
    return list(subscriptions_of(page).filter(customer_id__in=customer_ids).exclude(status="canceled"))


def holds_now(access: Access, moment: Any) -> bool:
    """Say whether a subscription's access counts at a moment of the app's clock."""
    begun = access.access_from is None or access.access_from <= moment
    return access.plan_id is not None and begun and (access.access_until is None or access.access_until > moment)
