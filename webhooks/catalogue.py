"""The types of event that an app can be told of (docs/webhooks.md describes each)."""

EVENT_TYPES = (
    "subscription.created",
    "subscription.updated",
    "subscription.canceled",
    "subscription.paused",
    "subscription.resumed",
    "subscription.trial_ending",
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "customer.identity_linked",
    "customer.identity_unlinked",
    "payment.succeeded",
    "payment.failed",
    "payment.action_required",
    "payment.refunded",
    "payment.disputed",
    "invoice.created",
    "entitlements.updated",
    "usage.threshold_reached",
    "organization.created",
    "organization.updated",
    "organization.deleted",
    "organization.member_added",
    "organization.member_removed",
    "webhook.test",
)
EVERY_TYPE = "*"
TEST_TYPE = "webhook.test"
