"""What a caller is told when Stripe is not there, not connected, or says no."""

from __future__ import annotations

from typing import Any

from billing.errors import AlreadySubscribed
from stackbe.kernel.errors import BadRequest, Conflict, ServiceUnavailable

RETRY_AFTER_SECONDS = 5


class StripeNotConnected(Conflict):
    """The app has no Stripe account that can take money."""

    code = "STRIPE_NOT_CONNECTED"
    message = "This app is not connected to a Stripe account. Connect one in the dashboard, then try again."


class AccountRestricted(Conflict):
    """Stripe does not let the connected account take payments. The message names what it waits for."""

    code = "STRIPE_ACCOUNT_RESTRICTED"
    message = "Stripe does not let this account take payments yet. Finish the set-up at Stripe."


class StripeUnavailable(ServiceUnavailable):
    """Stripe did not answer in time, or answered that it cannot."""

    code = "STRIPE_UNAVAILABLE"
    message = "Stripe cannot be reached just now. Nothing was changed here; send the same request again shortly."

    def __init__(self, message: str | None = None, **rest: Any) -> None:
        """Always say when to come back."""
        rest.setdefault("retry_after_seconds", RETRY_AFTER_SECONDS)
        super().__init__(message, **rest)


class StripeRefused(BadRequest):
    """Stripe understood and said no. `stripe_code` and `param` are Stripe's words; its body is kept nowhere."""

    code = "STRIPE_REFUSED"
    message = "Stripe refused this request."

    def __init__(self, message: str | None = None, *, stripe_code: str = "", param: str = "", **rest: Any) -> None:
        """Remember what may be logged: a code and the name of a parameter."""
        super().__init__(message, **rest)
        self.stripe_code = stripe_code
        self.param = param


class StripeObjectGone(StripeRefused):
    """The object does not exist under this account."""

    message = "Stripe has no such object on this account."


class AccountLost(StripeNotConnected):
    """Stripe no longer lets us act for the account: it was disconnected on Stripe's side."""

    message = "Stripe no longer lets this app use its account. Connect the account again in the dashboard."


class PaymentFailed(Conflict):
    """A change was not paid for, so it has not taken hold. `payment` in the body says how it still can be."""

    code = "PAYMENT_FAILED"
    message = (
        "The payment for this change failed, so the subscription is as it was. Send the customer to"
        " payment.hostedInvoiceUrl before payment.expiresAt, and the change takes hold once it is paid."
    )


class PaymentActionRequired(PaymentFailed):
    """The customer's bank wants the payment confirmed before the change takes hold."""

    code = "PAYMENT_ACTION_REQUIRED"
    message = (
        "The customer's bank wants the payment for this change confirmed, so the subscription is as it was. Send"
        " the customer to payment.hostedInvoiceUrl before payment.expiresAt; then the change takes hold."
    )


class AccountLeft(AccountLost):
    """A subscription is on an account that the app has left, so nobody here can end it there."""

    def __init__(self, account_id: str = "", subscription_id: str = "") -> None:
        """Name the account and the subscription, and say the two ways out."""
        super().__init__(
            f"Subscription {subscription_id} is on the Stripe account {account_id}, which this app has left. Connect"
            " that account again, or end the subscription here alone: POST /v1/subscriptions/:id/cancel with"
            ' {"onlyHere": true}. At Stripe it goes on until its owner ends it there.'
        )


class StillConnected(Conflict):
    """The account can be reached, so the subscription is to be ended there too."""

    message = (
        "The Stripe account of this subscription is connected. Cancel without onlyHere, so that nobody is charged."
    )


class NeverBought(Conflict):
    """Stripe knows nobody whom it could show a portal."""

    message = "This customer has not been to a checkout yet, so Stripe has no portal for them."


class PortalIsPrivate(Conflict):
    """Who pays for the organization pays for something of their own at Stripe too, and the portal shows both."""

    message = (
        "Who bought this organization's plan has purchases of their own, which Stripe's portal would show."
        " They open it themselves."
    )


class CheckoutReplaced(Conflict):
    """Another checkout of the same customer began while this one was being made."""

    message = "Another checkout of this customer was started meanwhile; use that one's URL, or start again."


class PlanNotForSale(Conflict):
    """A free plan has nothing to check out, an archived one is gone."""

    message = "This plan cannot be bought. Free plans are taken with POST /v1/subscriptions."


class PriceArchivedAtStripe(Conflict):
    """Somebody took the price or its product off sale at Stripe, where prices are ours to say."""

    message = (
        "The price of this plan was archived at Stripe. Press Repair on the dashboard's Stripe page to sell it again,"
        " or archive the plan here as well."
    )


class StandsInTheWay(AlreadySubscribed):
    """The customer pays for a subscription already. `subscriptions` are those, `(account, stripe id)` each."""

    def __init__(self, subscriptions: list[tuple[str, str]]) -> None:
        """Remember which, so that Stripe can be asked whether they still run."""
        super().__init__()
        self.subscriptions = subscriptions
