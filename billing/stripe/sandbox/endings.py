"""Deleting a customer, which ends all its subscriptions."""

from billing.stripe.sandbox.changes import cancel
from billing.stripe.sandbox.context import Context
from billing.stripe.sandbox.customers import fetch_customer, forget_customer
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.standing import ENDED
from billing.stripe.sandbox.store import Json


@route("DELETE", "/v1/customers/{customer}")
def delete_customer(ctx: Context, customer_id: str, given: Json) -> Json:
    """Delete a customer and cancel its subscriptions at once."""
    customer = fetch_customer(ctx, customer_id, "id")
    for subscription in ctx.select("subscription", {"customer": customer_id}):
        if subscription["status"] not in ENDED:
            cancel(ctx, subscription, given)
    return forget_customer(ctx, customer)
