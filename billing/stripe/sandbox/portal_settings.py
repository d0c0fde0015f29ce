"""What the customer portal lets customers do: its configurations."""

from billing.stripe.sandbox.context import Context, merge_metadata, new_id
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.events import record
from billing.stripe.sandbox.forms import missing
from billing.stripe.sandbox.rendering import render
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.store import Json

KIND = "billing_portal.configuration"


def shape_features(ctx: Context, given: Json) -> Json:
    """The features in Stripe's full form; what is not asked for is off."""
    cancel, update = given.get("subscription_cancel", {}), given.get("subscription_update", {})
    for index, offer in enumerate(update.get("products") or []):
        where = f"features[subscription_update][products][{index}]"
        ctx.fetch("product", offer["product"], f"{where}[product]")
        for price_id in offer["prices"]:
            if ctx.fetch("price", price_id, f"{where}[prices]")["product"] != offer["product"]:
                raise StripeError("The price does not belong to the product.", param=f"{where}[prices]")
    if update.get("enabled") and not update.get("products"):
        raise missing("features[subscription_update][products]")
    limits = {"enabled": False, "maximum": None, "minimum": 1}
    return {
        "customer_update": {"enabled": False, "allowed_updates": [], **given.get("customer_update", {})},
        "invoice_history": {"enabled": False, **given.get("invoice_history", {})},
        "payment_method_update": {
            "enabled": False, "payment_method_configuration": None, **given.get("payment_method_update", {}),
        },
        "subscription_cancel": {
            "enabled": False,
            "mode": "at_period_end",
            "proration_behavior": "none",
            **cancel,
            "cancellation_reason": {"enabled": False, "options": []},
        },
        "subscription_update": {
            "billing_cycle_anchor": None,
            "default_allowed_updates": [],
            "enabled": False,
            "proration_behavior": "none",
            "schedule_at_period_end": {"conditions": []},
            "trial_update_behavior": "end_trial",
            **update,
            "products": [{**offer, "adjustable_quantity": limits} for offer in update.get("products") or []],
        },
    }  # fmt: skip


@route("POST", "/v1/billing_portal/configurations")
def create_configuration(ctx: Context, given: Json) -> Json:
    """Another way for the portal to be."""
    configuration: Json = {
        "id": new_id("bpc"),
        "object": KIND,
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        "created": ctx.now,
        "default_return_url": None,
        "features": shape_features(ctx, given["features"]),
        "is_default": False,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": merge_metadata({}, given.get("metadata")),
        "name": None,
        "updated": ctx.now,
    }
    return render(ctx, record(ctx, configuration), given.get("expand"))


@route("GET", "/v1/billing_portal/configurations/{configuration}")
def retrieve_configuration(ctx: Context, configuration_id: str, given: Json) -> Json:
    """One configuration."""
    return render(ctx, ctx.fetch(KIND, configuration_id, "configuration"), given.get("expand"))


@route("POST", "/v1/billing_portal/configurations/{configuration}")
def update_configuration(ctx: Context, configuration_id: str, given: Json) -> Json:
    """Change one; a feature that is named takes the place of what it was."""
    configuration = ctx.fetch(KIND, configuration_id, "configuration")
    if "features" in given:
        configuration["features"] |= {
            name: body for name, body in shape_features(ctx, given["features"]).items() if name in given["features"]
        }
    configuration["active"] = given.get("active", configuration["active"])
    configuration["metadata"] = merge_metadata(configuration["metadata"], given.get("metadata"))
    configuration["updated"] = ctx.now
    return render(ctx, record(ctx, configuration), given.get("expand"))


def offered(ctx: Context, session: Json) -> set[str] | None:
    """The prices that a portal session's page may offer; nothing where no configuration of the account's narrows it."""
    configuration = ctx.find(KIND, session["configuration"])
    if configuration is None:
        return None
    return {
        price for offer in configuration["features"]["subscription_update"]["products"] for price in offer["prices"]
    }
