"""One made-up event of each type, in the shape that real ones have, to try a receiver with."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from stackbe.kernel.clock import render
from stackbe.kernel.ids import NIL, encode
from webhooks.catalogue import TEST_TYPE

if TYPE_CHECKING:
    from datetime import datetime

MONTH = timedelta(days=30)


def sample(event_type: str, moment: datetime) -> dict[str, Any]:
    """Return `data` for an event of a type. Its ids are all zeros: they name nobody."""
    noun, _, past = event_type.partition(".")
    if event_type == TEST_TYPE:
        return {"message": "It works."}
    if event_type == "customer.deleted":
        return {"customer": {"id": _id("cust"), "deletedAt": render(moment)}}
    if event_type == "entitlements.updated":
        return _state(moment)
    if event_type == "usage.threshold_reached":
        return _threshold(moment)
    if noun == "organization":
        return _organization(past, moment)
    data = {"customer": _customer(moment)}
    if noun == "customer":
        return data
    paid = {"invoice": _invoice(past, moment)} if noun in {"payment", "invoice"} else {}
    return paid | {"subscription": _subscription(past, moment)} | data | {"plan": _plan()}


def _id(prefix: str) -> str:
    return encode(prefix, NIL)


def _customer(moment: datetime) -> dict[str, Any]:
    return {
        "id": _id("cust"),
        "email": "sample@example.com",
        "billingEmail": None,
        "name": "Sample Customer",
        "externalId": None,
        "metadata": {},
        "createdAt": render(moment),
        "updatedAt": render(moment),
    }


def _subscription(past: str, moment: datetime) -> dict[str, Any]:
    statuses = {"canceled": "canceled", "paused": "paused", "trial_ending": "trialing", "failed": "past_due"}
    is_trial = past == "trial_ending"
    return {
        "id": _id("sub"),
        "status": statuses.get(past, "active"),
        "customerId": _id("cust"),
        "organizationId": None,
        "planId": _id("plan"),
        "quantity": 1,
        "currentPeriodStart": render(moment),
        "currentPeriodEnd": render(moment + MONTH),
        "cancelAtPeriodEnd": False,
        "scheduledChange": None,
        "canceledAt": render(moment) if past == "canceled" else None,
        "trialStart": render(moment - MONTH) if is_trial else None,
        "trialEnd": render(moment + timedelta(days=3)) if is_trial else None,
        "trialConvertedAt": None,
        "pausedAt": render(moment) if past == "paused" else None,
        "resumesAt": None,
        "gracePeriodEndsAt": render(moment + timedelta(days=7)) if past == "failed" else None,
        "stripeSubscriptionId": None,
        "createdAt": render(moment),
    }


def _plan() -> dict[str, Any]:
    price = {
        "id": _id("price"),
        "currency": "usd",
        "interval": "month",
        "intervalCount": 1,
        "scheme": "flat",
        "unitAmountCents": 2900,
        "stripePriceId": None,
    }
    return {
        "id": _id("plan"),
        "productId": _id("prod"),
        "name": "Sample Plan",
        "slug": "sample",
        "priceCents": 2900,
        "currency": "usd",
        "interval": "month",
        "intervalCount": 1,
        "trialDays": 0,
        "trialRequiresCard": False,
        "prices": [price],
        "usage": [],
        "seats": None,
        "addOns": [],
        "credits": [],
        "entitlements": {},
        "isDefault": False,
        "active": True,
        "stripePriceId": None,
        "version": 1,
    }


def _invoice(past: str, moment: datetime) -> dict[str, Any]:
    is_paid = past in {"succeeded", "refunded", "disputed"}
    return {
        "id": _id("inv"),
        "number": "SAMPLE-0001",
        "status": "paid" if is_paid else "open",
        "amountDueCents": 2900,
        "amountPaidCents": 2900 if is_paid else 0,
        "amountRefundedCents": 2900 if past == "refunded" else 0,
        "disputed": past == "disputed",
        "currency": "usd",
        "periodStart": render(moment),
        "periodEnd": render(moment + MONTH),
        "hostedInvoiceUrl": None,
        "createdAt": render(moment),
    }


def _organization(past: str, moment: datetime) -> dict[str, Any]:
    if past == "deleted":
        return {"organization": {"id": _id("org"), "deletedAt": render(moment)}}
    organization: dict[str, Any] = {
        "id": _id("org"),
        "name": "Sample Organization",
        "slug": "sample",
        "metadata": {},
        "createdAt": render(moment),
    }
    if not past.startswith("member_"):
        return {"organization": organization}
    member = {
        "customerId": _id("cust"),
        "email": "sample@example.com",
        "name": "Sample Customer",
        "role": "member",
        "createdAt": render(moment),
    }
    return {"organization": organization, "member": member}


def _threshold(moment: datetime) -> dict[str, Any]:
    return {
        "customer": _customer(moment),
        "metric": "sample_metric",
        "percent": 80,
        "currentUsage": 80,
        "limit": 100,
        "periodStart": render(moment),
        "reachedAt": render(moment),
    }


def _state(moment: datetime) -> dict[str, Any]:
    return {
        "customer": _customer(moment),
        "organization": None,
        "subscription": _subscription("created", moment),
        "entitlements": {
            "planId": _id("plan"),
            "planName": "Sample Plan",
            "status": "active",
            "entitlements": {},
            "currentPeriodEnd": render(moment + MONTH),
        },
        "version": 1,
        "usage": [],
        "credits": [],
    }
