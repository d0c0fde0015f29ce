"""The failures of the catalogue, of subscriptions and of what they grant."""

from __future__ import annotations

from stackbe.kernel.errors import ApiError, Conflict, Forbidden, NotFound, ValidationFailed


class ProductNotFound(NotFound):
    """Another app's product and none at all look alike."""

    message = "No such product."


class PlanNotFound(NotFound):
    """Another app's plan and none at all look alike."""

    code = "PLAN_NOT_FOUND"
    message = "No such plan."


class CouponNotFound(NotFound):
    """Another app's coupon and none at all look alike."""

    message = "No such coupon."


class FeatureNotFound(NotFound):
    """No feature of this app has that key."""

    message = "No such feature. Define it under /v1/features first."


class SubscriptionNotFound(NotFound):
    """Another app's subscription and none at all look alike."""

    code = "SUBSCRIPTION_NOT_FOUND"
    message = "No such subscription."


class NoActiveSubscription(NotFound):
    """The customer exists; nothing of theirs is running."""

    code = "NO_ACTIVE_SUBSCRIPTION"
    message = "This customer has no active subscription."


class FeatureNotAvailable(Forbidden):
    """The customer's plan does not grant it."""

    code = "FEATURE_NOT_AVAILABLE"
    message = "The customer's plan does not include this feature."


class FeatureExists(Conflict):
    """A key names one feature of an app."""

    message = "A feature with this key exists. Change it with PATCH /v1/features/:key."


class FeatureInUse(Conflict):
    """An archived feature would turn the plans that grant it into typos."""

    message = "Plans grant this feature. Take it out of them first."


class ProductInUse(Conflict):
    """A product on sale cannot go."""

    message = "This product has active plans. Archive them first."


class SlugTaken(Conflict):
    """A slug names one active plan of an app."""

    message = "An active plan with this slug exists."


class CouponExists(Conflict):
    """A code stands for one coupon that can be redeemed."""

    message = "A coupon with this code exists. Archive it with DELETE /v1/coupons/:id, or choose another code."


class PlanArchived(Conflict):
    """Nobody can newly subscribe to what is no longer sold."""

    message = "This plan is archived. Set active to true with PATCH /v1/plans/:id to sell it again."


class MigrationNotFound(NotFound):
    """Another app's migration and none at all look alike."""

    message = "No such migration of this plan."


class MigrationRunning(Conflict):
    """Two runs over the same subscribers would each undo what the other counts."""

    message = "A migration of this plan is running. Wait until it is done, or stop it with DELETE."


class NobodyToMigrate(Conflict):
    """Every subscriber has the newest version."""

    message = "No subscriber of this plan has an older version."


class ChangeWaits(Conflict):
    """A migration does not take the place of what the customer chose."""

    message = "A change waits for this subscription. Let it take hold, or take it back, then migrate it."


class PlanIsPaid(ValidationFailed):
    """Only Stripe can take money."""

    message = "This plan costs money. Send the customer to POST /v1/checkout/session."


class AlreadySubscribed(Conflict):
    """A second live subscription would charge, or count, twice."""

    message = "This customer already has a subscription that is not canceled."


class TrialUsed(Conflict):
    """A trial is had once by each customer, and once by each company where the app says so."""

    code = "TRIAL_ALREADY_USED"
    message = (
        "This customer has had a trial already. Send trialDays to grant another one of that length all the same, or"
        " send them to a checkout."
    )


class IllegalTransition(Conflict):
    """The subscription cannot go from where it is to where it was told to go."""

    message = "The subscription cannot change in this way."

    def __init__(self, message: str | None = None, *, before: str = "", after: str = "") -> None:
        """Say both ends, for the caller and for the log."""
        if message is None and before:
            message = f"A subscription that is {before} cannot become {after}."
        super().__init__(message)
        self.before, self.after = before, after


class UnknownStripeReference(ApiError):
    """Stripe told of an object that none of our rows stands for: nothing of ours, or not pushed yet."""

    status, code = 404, "NOT_FOUND"
    message = "No row of this app stands for that Stripe object."
