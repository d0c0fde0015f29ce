"""Which parameters each route takes: kept by hand, and proved in the tests to be part of Stripe's own document."""

from typing import Any

from billing.stripe.sandbox.forms import Between, Clearable, Either, Exact, Metadata, Ranged, Required

Schema = dict[str, Any]

MOST = 99_999_999
AMOUNT = Between(0, MOST)
MOMENT = Between(1, 4_102_444_800)
"""A moment up to the year 2100, in seconds since the epoch."""

EXPAND: Schema = {"expand": [str]}
PAGE: Schema = {**EXPAND, "limit": int, "starting_after": str, "ending_before": str}
DATED: Schema = {**PAGE, "created": Ranged}
META: Schema = {**EXPAND, "metadata": Clearable(Metadata)}

INTERVAL = ("day", "week", "month", "year")
PRORATION = ("always_invoice", "create_prorations", "none")
TAX_BEHAVIOR = ("exclusive", "inclusive", "unspecified")
LOCALE = str
ADDRESS: Schema = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"), Clearable(str))
RECURRING: Schema = {
    "interval": Required(INTERVAL),
    "interval_count": Between(1, 1095),
    "meter": str,
    "usage_type": ("licensed", "metered"),
}
PRICE_AMOUNT: Schema = {"unit_amount": AMOUNT, "unit_amount_decimal": Exact, "tax_behavior": TAX_BEHAVIOR}
PRICE_DATA: Schema = {
    **PRICE_AMOUNT,
    "currency": Required(str),
    "product": str,
    "product_data": {"name": Required(str), "description": str, "metadata": Metadata},
    "recurring": {"interval": Required(INTERVAL), "interval_count": Between(1, 1095)},
}
TIER: Schema = {
    "up_to": Required(Either(("inf",), Between(1, MOST))),
    "unit_amount": AMOUNT,
    "unit_amount_decimal": Exact,
    "flat_amount": AMOUNT,
    "flat_amount_decimal": Exact,
}
DISCOUNTS = [{"coupon": str, "promotion_code": str}]
TRIAL_SETTINGS: Schema = {
    "end_behavior": Required({"missing_payment_method": Required(("cancel", "create_invoice", "pause"))})
}
BILLING_MODE: Schema = {"type": Required(("classic", "flexible"))}
CANCELLATION: Schema = {
    "comment": Clearable(str),
    "feedback": Clearable(
        ("customer_service", "low_quality", "missing_features", "other", "switched_service", "too_complex",
         "too_expensive", "unused")
    ),
}  # fmt: skip
ENABLED: Schema = {"enabled": Required(bool)}
PORTAL_FEATURES: Schema = {
    "customer_update": {**ENABLED, "allowed_updates": [("address", "email", "name", "phone", "shipping", "tax_id")]},
    "invoice_history": ENABLED,
    "payment_method_update": ENABLED,
    "subscription_cancel": {**ENABLED, "mode": ("at_period_end", "immediately"), "proration_behavior": PRORATION},
    "subscription_update": {
        **ENABLED,
        "default_allowed_updates": [("price", "promotion_code", "quantity")],
        "products": Clearable([{"prices": Required([str]), "product": Required(str)}]),
        "proration_behavior": PRORATION,
        "schedule_at_period_end": {
            "conditions": [{"type": Required(("decreasing_item_amount", "shortening_interval"))}]
        },
    },
}
CUSTOMER: Schema = {
    **META,
    "address": Clearable(ADDRESS),
    "description": Clearable(str),
    "email": Clearable(str),
    "invoice_settings": {"default_payment_method": Clearable(str)},
    "name": Clearable(str),
    "phone": Clearable(str),
    "tax_exempt": Clearable(("exempt", "none", "reverse")),
}
PRODUCT: Schema = {
    **META,
    "active": bool,
    "description": str,
    "images": [str],
    "marketing_features": [{"name": Required(str)}],
    "statement_descriptor": str,
    "tax_code": str,
    "unit_label": str,
    "url": str,
}
SUBSCRIPTION_SHARED: Schema = {
    **META,
    "automatic_tax": ENABLED,
    "cancel_at_period_end": bool,
    "collection_method": ("charge_automatically",),
    "default_payment_method": str,
    "discounts": Clearable(DISCOUNTS),
    "off_session": bool,
    "payment_behavior": ("allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"),
    "payment_settings": {"save_default_payment_method": ("off", "on_subscription")},
    "proration_behavior": PRORATION,
    "trial_end": Either(("now",), MOMENT),
    "trial_settings": TRIAL_SETTINGS,
}
SUBSCRIPTION_ITEM: Schema = {"price": str, "quantity": Between(0, 1_000_000), "metadata": Metadata}
ITEM_CHANGE: Schema = {**SUBSCRIPTION_ITEM, "id": str, "deleted": bool, "metadata": Clearable(Metadata)}
WEBHOOK_ENDPOINT: Schema = {**META, "description": Clearable(str), "enabled_events": [str], "url": str}
PORTAL_FLOW: Schema = {
    "type": Required(("subscription_cancel", "payment_method_update")),
    "subscription_cancel": {"subscription": Required(str)},
    "after_completion": {"type": Required(("redirect", "portal_homepage")), "redirect": {"return_url": Required(str)}},
}

PARAMETERS: dict[str, Schema] = {
    "GET /v1/account": EXPAND,
    "GET /v1/accounts": DATED,
    "POST /v1/accounts": {
        **META,
        "type": ("standard", "express"),
        "country": str,
        "email": str,
        "default_currency": str,
        "business_type": ("company", "government_entity", "individual", "non_profit"),
        "business_profile": {"name": str, "url": str},
    },
    "GET /v1/accounts/{account}": EXPAND,
    "POST /v1/account_links": {
        **EXPAND,
        "account": Required(str),
        "type": Required(("account_onboarding", "account_update")),
        "refresh_url": str,
        "return_url": str,
    },
    "POST /v1/products": {**PRODUCT, "metadata": Metadata, "name": Required(str), "id": str},
    "GET /v1/products": {**DATED, "active": bool, "ids": [str]},
    "GET /v1/products/{id}": EXPAND,
    "POST /v1/products/{id}": {
        **PRODUCT,
        "name": str,
        "default_price": str,
        **{name: Clearable(PRODUCT[name]) for name in ("description", "images", "tax_code", "unit_label", "url")},
    },
    "DELETE /v1/products/{id}": {},
    "POST /v1/prices": {
        **EXPAND,
        **PRICE_AMOUNT,
        "active": bool,
        "billing_scheme": ("per_unit", "tiered"),
        "currency": Required(str),
        "lookup_key": str,
        "metadata": Metadata,
        "nickname": str,
        "product": str,
        "product_data": {"id": str, "name": Required(str), "active": bool, "metadata": Metadata},
        "recurring": RECURRING,
        "tiers": [TIER],
        "tiers_mode": ("graduated", "volume"),
        "transfer_lookup_key": bool,
        "transform_quantity": {"divide_by": Required(Between(1, MOST)), "round": Required(("up", "down"))},
    },
    "GET /v1/prices": {
        **DATED,
        "active": bool,
        "currency": str,
        "lookup_keys": [str],
        "product": str,
        "recurring": {"interval": INTERVAL},
        "type": ("one_time", "recurring"),
    },
    "GET /v1/prices/{price}": EXPAND,
    "POST /v1/prices/{price}": {
        **META,
        "active": bool,
        "lookup_key": str,
        "nickname": str,
        "tax_behavior": TAX_BEHAVIOR,
        "transfer_lookup_key": bool,
    },
    "POST /v1/coupons": {
        **META,
        "id": str,
        "name": str,
        "amount_off": Between(1, MOST),
        "applies_to": {"products": [str]},
        "currency": str,
        "duration": ("forever", "once", "repeating"),
        "duration_in_months": Between(1, 120),
        "max_redemptions": Between(1, MOST),
        "percent_off": float,
        "redeem_by": MOMENT,
    },
    "GET /v1/coupons": DATED,
    "GET /v1/coupons/{coupon}": EXPAND,
    "POST /v1/coupons/{coupon}": {**META, "name": str},
    "DELETE /v1/coupons/{coupon}": {},
    "POST /v1/promotion_codes": {
        **EXPAND,
        "promotion": Required({"type": Required(("coupon",)), "coupon": str}),
        "active": bool,
        "code": str,
        "customer": str,
        "expires_at": MOMENT,
        "max_redemptions": Between(1, MOST),
        "metadata": Metadata,
        "restrictions": {"first_time_transaction": bool, "minimum_amount": int, "minimum_amount_currency": str},
    },
    "GET /v1/promotion_codes": {**DATED, "active": bool, "code": str, "coupon": str, "customer": str},
    "GET /v1/promotion_codes/{promotion_code}": EXPAND,
    "POST /v1/promotion_codes/{promotion_code}": {**META, "active": bool},
    "POST /v1/customers": {**CUSTOMER, "payment_method": str},
    "GET /v1/customers": {**DATED, "email": str},
    "GET /v1/customers/{customer}": EXPAND,
    "POST /v1/customers/{customer}": CUSTOMER,
    "DELETE /v1/customers/{customer}": {},
    "GET /v1/payment_methods/{payment_method}": EXPAND,
    "POST /v1/payment_methods/{payment_method}/attach": {**EXPAND, "customer": str},
    "POST /v1/payment_methods/{payment_method}/detach": EXPAND,
    "GET /v1/customers/{customer}/payment_methods": PAGE,
    "POST /v1/checkout/sessions": {
        **EXPAND,
        "allow_promotion_codes": bool,
        "automatic_tax": ENABLED,
        "billing_address_collection": ("auto", "required"),
        "cancel_url": str,
        "client_reference_id": str,
        "currency": str,
        "customer": str,
        "customer_creation": ("always", "if_required"),
        "customer_email": str,
        "customer_update": {"address": ("auto", "never"), "name": ("auto", "never")},
        "discounts": DISCOUNTS,
        "expires_at": MOMENT,
        "line_items": [{"price": str, "price_data": PRICE_DATA, "quantity": Between(0, 1_000_000)}],
        "locale": LOCALE,
        "metadata": Metadata,
        "mode": ("payment", "subscription"),
        "payment_intent_data": {"description": str, "metadata": Metadata},
        "payment_method_collection": ("always", "if_required"),
        "subscription_data": {
            "billing_mode": BILLING_MODE,
            "description": str,
            "metadata": Metadata,
            "trial_end": MOMENT,
            "trial_period_days": Between(1, 730),
            "trial_settings": TRIAL_SETTINGS,
        },
        "submit_type": ("auto", "book", "donate", "pay", "subscribe"),
        "success_url": str,
        "tax_id_collection": ENABLED,
        "ui_mode": ("hosted_page",),
    },
    "GET /v1/checkout/sessions": {
        **DATED,
        "customer": str,
        "payment_intent": str,
        "status": ("complete", "expired", "open"),
        "subscription": str,
    },
    "GET /v1/checkout/sessions/{session}": EXPAND,
    "POST /v1/checkout/sessions/{session}": {**META},
    "GET /v1/checkout/sessions/{session}/line_items": PAGE,
    "POST /v1/checkout/sessions/{session}/expire": EXPAND,
    "POST /v1/subscriptions": {
        **SUBSCRIPTION_SHARED,
        "billing_mode": BILLING_MODE,
        "cancel_at": MOMENT,
        "currency": str,
        "customer": str,
        "description": str,
        "items": [SUBSCRIPTION_ITEM],
        "trial_period_days": Between(1, 730),
    },
    "GET /v1/subscriptions": {
        **DATED,
        "customer": str,
        "price": str,
        "status": (
            "active",
            "all",
            "canceled",
            "ended",
            "incomplete",
            "incomplete_expired",
            "past_due",
            "paused",
            "trialing",
            "unpaid",
        ),
    },
    "GET /v1/subscriptions/{subscription_exposed_id}": EXPAND,
    "POST /v1/subscriptions/{subscription_exposed_id}": {
        **SUBSCRIPTION_SHARED,
        "billing_cycle_anchor": ("now", "unchanged"),
        "cancel_at": Clearable(MOMENT),
        "cancellation_details": CANCELLATION,
        "description": Clearable(str),
        "items": [ITEM_CHANGE],
        "pause_collection": Clearable(
            {"behavior": Required(("keep_as_draft", "mark_uncollectible", "void")), "resumes_at": MOMENT}
        ),
        "proration_date": MOMENT,
    },
    "DELETE /v1/subscriptions/{subscription_exposed_id}": {
        **EXPAND,
        "cancellation_details": CANCELLATION,
        "invoice_now": bool,
        "prorate": bool,
    },
    "POST /v1/subscriptions/{subscription}/resume": {
        **EXPAND,
        "billing_cycle_anchor": ("now", "unchanged"),
        "proration_behavior": PRORATION,
    },
    "POST /v1/subscription_schedules": {**EXPAND, "from_subscription": str},
    "GET /v1/subscription_schedules": {**DATED, "customer": str},
    "GET /v1/subscription_schedules/{schedule}": EXPAND,
    "POST /v1/subscription_schedules/{schedule}": {
        **META,
        "end_behavior": ("cancel", "release"),
        "phases": [
            {
                "discounts": Clearable([{"discount": str}]),
                "duration": {"interval": Required(INTERVAL), "interval_count": Between(1, 1095)},
                "end_date": MOMENT,
                "items": Required([SUBSCRIPTION_ITEM]),
                "proration_behavior": PRORATION,
                "start_date": MOMENT,
                "trial_end": MOMENT,
            }
        ],
        "proration_behavior": PRORATION,
    },
    "POST /v1/subscription_schedules/{schedule}/release": {**EXPAND, "preserve_cancel_date": bool},
    "POST /v1/billing/meters": {
        **EXPAND,
        "customer_mapping": {"event_payload_key": Required(str), "type": Required(("by_id",))},
        "default_aggregation": Required({"formula": Required(("count", "last", "sum"))}),
        "display_name": Required(str),
        "event_name": Required(str),
        "value_settings": {"event_payload_key": Required(str)},
    },
    "GET /v1/billing/meters": {**PAGE, "status": ("active", "inactive")},
    "GET /v1/billing/meters/{id}": EXPAND,
    "POST /v1/billing/meter_events": {
        **EXPAND,
        "event_name": Required(str),
        "identifier": str,
        "payload": Required(Metadata),
        "timestamp": MOMENT,
    },
    "GET /v1/invoices": {
        **DATED,
        "customer": str,
        "status": ("draft", "open", "paid", "uncollectible", "void"),
        "subscription": str,
    },
    "GET /v1/invoices/{invoice}": EXPAND,
    "POST /v1/invoices/{invoice}/pay": {**EXPAND, "off_session": bool, "payment_method": str},
    "POST /v1/invoices/{invoice}/finalize": {**EXPAND, "auto_advance": bool},
    "POST /v1/invoices/{invoice}/void": EXPAND,
    "POST /v1/invoices/{invoice}/mark_uncollectible": EXPAND,
    "POST /v1/invoices/create_preview": {
        **EXPAND,
        "customer": str,
        "subscription": str,
        "subscription_details": {
            "cancel_at_period_end": bool,
            "cancel_now": bool,
            "items": [ITEM_CHANGE],
            "proration_behavior": PRORATION,
            "proration_date": MOMENT,
        },
    },
    "GET /v1/invoice_payments": {
        **DATED,
        "invoice": str,
        "payment": {"type": Required(("payment_intent",)), "payment_intent": str},
        "status": ("canceled", "open", "paid"),
    },
    "GET /v1/payment_intents/{intent}": EXPAND,
    "GET /v1/payment_intents": {**DATED, "customer": str},
    "GET /v1/charges/{charge}": EXPAND,
    "GET /v1/charges": {**DATED, "customer": str, "payment_intent": str},
    "POST /v1/refunds": {
        **META,
        "amount": int,
        "charge": str,
        "payment_intent": str,
        "reason": ("duplicate", "fraudulent", "requested_by_customer"),
    },
    "GET /v1/refunds/{refund}": EXPAND,
    "GET /v1/refunds": {**DATED, "charge": str, "payment_intent": str},
    "GET /v1/disputes/{dispute}": EXPAND,
    "GET /v1/disputes": {**DATED, "charge": str, "payment_intent": str},
    "POST /v1/disputes/{dispute}/close": EXPAND,
    "GET /v1/events": {**DATED, "type": str, "types": [str]},
    "GET /v1/events/{id}": EXPAND,
    "POST /v1/webhook_endpoints": {
        **WEBHOOK_ENDPOINT,
        "api_version": str,
        "connect": bool,
        "enabled_events": Required([str]),
        "url": Required(str),
    },
    "GET /v1/webhook_endpoints": PAGE,
    "GET /v1/webhook_endpoints/{webhook_endpoint}": EXPAND,
    "POST /v1/webhook_endpoints/{webhook_endpoint}": {**WEBHOOK_ENDPOINT, "disabled": bool},
    "DELETE /v1/webhook_endpoints/{webhook_endpoint}": {},
    "POST /v1/billing_portal/configurations": {**EXPAND, "features": Required(PORTAL_FEATURES), "metadata": Metadata},
    "GET /v1/billing_portal/configurations/{configuration}": EXPAND,
    "POST /v1/billing_portal/configurations/{configuration}": {**META, "active": bool, "features": PORTAL_FEATURES},
    "POST /v1/billing_portal/sessions": {
        **EXPAND,
        "configuration": str,
        "customer": str,
        "flow_data": PORTAL_FLOW,
        "locale": LOCALE,
        "return_url": str,
    },
}
