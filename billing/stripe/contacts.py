"""Who Stripe writes to: a customer's billing address, or the one they sign in with, and their name.

Invoices and receipts of Stripe's go there, so a change here is told to each account that knows the customer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from procrastinate.contrib.django import app

from accounts.models import Customer
from accounts.services.customers import after_contact_changes, live_customers
from billing.models import StripeCustomer
from billing.stripe.errors import AccountLost, StripeObjectGone
from billing.stripe.gateway import ConnectedAccount, Json
from billing.stripe.intents import perform, record_intent, settle
from stackbe.kernel.transactions import change, require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

TELL_CONTACT = "billing.tell_contact"


def contact_of(customer: Customer) -> Json:
    """Return how Stripe is to know a customer. Read it inside a change or reading."""
    known: Json = {"email": customer.billing_email or customer.email}
    return known | {"name": customer.name} if customer.name else known


def follow_contacts() -> None:
    """Have Stripe told when a customer's address or name changes; called once when the apps are ready."""
    after_contact_changes("stripe", _queue)


def tell_contact(scope: Scope, customer_id: UUID) -> None:
    """Tell every account that knows the customer who they are now. Repeating it is harmless.

    Raises `StripeUnavailable`, to be tried again. A customer who is gone, here or there, is nobody to tell of.
    """
    with change(scope):
        customer = live_customers(scope).filter(pk=customer_id).first()
        if customer is None:
            return
        params = {"name": "", **contact_of(customer)}
        links = list(StripeCustomer.objects.within(scope).filter(customer_id=customer_id))
        intents = {link: record_intent(scope, "customer.update", customer_id, link.account_id) for link in links}
    for link, intent in intents.items():
        account, stripe_id = ConnectedAccount(link.account_id), link.stripe_customer_id
        call = lambda account=account, stripe_id=stripe_id, intent=intent: account.update(  # noqa: E731  # bound here
            "customer", stripe_id, params, intent=intent
        )
        try:
            perform(scope, intent, call)
        except (AccountLost, StripeObjectGone):
            continue
        with change(scope):
            settle(scope, intent, stripe_id)


def _queue(scope: Scope, customer: Customer) -> None:
    require_change()
    if StripeCustomer.objects.within(scope).filter(customer_id=customer.pk).exists():
        app.configure_task(TELL_CONTACT).defer(app_id=str(scope.app), customer_id=str(customer.pk))
