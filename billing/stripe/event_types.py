"""What our endpoint for connected accounts listens to; the platform's own account sells nothing through us.

What is not sent cannot leak: no event that carries a payment method is among them. Django knows nothing of this file,
so that the sandbox reads it too.
"""

EVENTS = (
    "account.application.deauthorized", "account.updated", "charge.dispute.closed", "charge.dispute.created",
    "charge.dispute.updated", "charge.refunded", "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded", "checkout.session.completed", "checkout.session.expired",
    "customer.subscription.created", "customer.subscription.deleted", "customer.subscription.paused",
    "customer.subscription.pending_update_applied", "customer.subscription.pending_update_expired",
    "customer.subscription.resumed", "customer.subscription.trial_will_end", "customer.subscription.updated",
    "invoice.finalized", "invoice.marked_uncollectible", "invoice.paid", "invoice.payment_action_required",
    "invoice.payment_failed", "invoice.updated", "invoice.voided", "price.created", "price.updated",
    "product.created", "product.updated", "subscription_schedule.canceled", "subscription_schedule.created",
    "subscription_schedule.released", "subscription_schedule.updated",
)  # fmt: skip
