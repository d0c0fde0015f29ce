"""Invoices: lines, discounts and credit added up, from draft to paid, void or uncollectible."""

from billing.stripe.sandbox.context import Context, new_id
from billing.stripe.sandbox.discounts import spread
from billing.stripe.sandbox.events import record
from billing.stripe.sandbox.payments import cancel_intent, make_intent
from billing.stripe.sandbox.rendering import INCLUDABLE, whole_list
from billing.stripe.sandbox.store import Json


def make_line(price: Json, quantity: int, amount: int, period: tuple[int, int], **rest: object) -> Json:
    """What an invoice line is made from; `rest` may hold description, item and proration."""
    return {"price": price, "quantity": quantity, "amount": amount, "period": period, **rest}


def shape_line(ctx: Context, invoice_id: str, subscription: str | None, line: Json, off: list[Json]) -> Json:
    """One line in Stripe's form."""
    price = line["price"]
    product = ctx.find("product", price["product"]) or {"name": price["product"]}
    parent = None
    if line.get("item"):
        parent = {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": line.get("proration", False),
                "proration_details": {"credited_items": None},
                "subscription": subscription,
                "subscription_item": line["item"],
            },
            "type": "subscription_item_details",
        }
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": line["amount"],
        "currency": price["currency"],
        "description": line.get("description") or f"{line['quantity']} × {product['name']}",
        "discount_amounts": off,
        "discountable": not line.get("proration", False),
        "discounts": [part["discount"] for part in off],
        "invoice": invoice_id,
        "livemode": False,
        "metadata": {},
        "parent": parent,
        "period": {"start": line["period"][0], "end": line["period"][1]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": line["quantity"],
        "subtotal": line["amount"],
        "taxes": [],
    }


def discounts_in_force(ctx: Context, ids: list[str]) -> list[tuple[str, Json]]:
    """The (discount id, coupon) pairs that still take something off."""
    found = []
    for discount_id in ids:
        discount = ctx.fetch("discount", discount_id)
        if discount["end"] is None or discount["end"] > ctx.now:
            found.append((discount_id, ctx.fetch("coupon", discount["source"]["coupon"])))
    return found


def shape_invoice(
    ctx: Context, customer: Json, subscription: Json | None, lines: list[Json], *, reason: str, period: tuple[int, int]
) -> Json:
    """A draft invoice in Stripe's form, added up; nothing is written."""
    invoice_id = new_id("in")
    coupons = discounts_in_force(ctx, (subscription or {}).get("discounts", []))
    off = spread(
        coupons, [(line["price"]["product"], 0 if line.get("proration") else line["amount"]) for line in lines]
    )
    subtotal = sum(line["amount"] for line in lines)
    discount_totals = [
        {"amount": sum(part["amount"] for parts in off for part in parts if part["discount"] == each), "discount": each}
        for each, _ in coupons
    ]
    total = subtotal - sum(part["amount"] for part in discount_totals)
    credit = -customer["balance"]
    used = min(max(credit, 0), max(total, 0)) if total > 0 else total
    due = max(total - used, 0)
    subscription_id = subscription["id"] if subscription else None
    shaped = [shape_line(ctx, invoice_id, subscription_id, line, parts) for line, parts in zip(lines, off, strict=True)]
    return {
        "id": invoice_id,
        "object": "invoice",
        "account_country": "US",
        "account_name": None,
        "account_tax_ids": None,
        "amount_due": due,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": 0,
        "amount_remaining": due,
        "amount_shipping": 0,
        "application": ctx.settings.client_id if ctx.is_connected else None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None, "enabled": False, "liability": None, "provider": None, "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": ctx.now,
        "currency": subscription["currency"] if subscription else lines[0]["price"]["currency"],
        "custom_fields": None,
        "customer": customer["id"],
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": None,
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [each for each, _ in coupons],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": whole_list(shaped, f"/v1/invoices/{invoice_id}/lines"),
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": subscription["metadata"], "subscription": subscription_id},
            "type": "subscription_details",
        } if subscription else None,
        "payment_settings": {
            "default_mandate": None, "payment_method_options": None, "payment_method_types": None,
        },
        "period_end": period[1],
        "period_start": period[0],
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": customer["balance"],
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "test_clock": None,
        "total": total,
        "total_discount_amounts": discount_totals,
        "total_excluding_tax": total,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
        "_credit_used": used,
        "_intent": None,
    }  # fmt: skip


def subscription_of(invoice: Json) -> str | None:
    """The id of the subscription that an invoice bills."""
    parent = invoice["parent"]
    return parent["subscription_details"]["subscription"] if parent else None


def finalize(ctx: Context, invoice: Json) -> Json:
    """Give the invoice its number and its page, settle credit, and open it for payment."""
    customer = ctx.fetch("customer", invoice["customer"])
    customer["balance"] += invoice["_credit_used"]
    sequence = customer["next_invoice_sequence"]
    customer["next_invoice_sequence"] = sequence + 1
    customer["currency"] = customer["currency"] or invoice["currency"]
    record(ctx, customer)
    invoice |= {
        "status": "open",
        "number": f"{customer['invoice_prefix']}-{sequence:04d}",
        "ending_balance": customer["balance"],
        "effective_at": ctx.now,
        "hosted_invoice_url": f"{ctx.settings.public_url}/i/{invoice['id']}",
    }
    invoice["status_transitions"] = {**invoice["status_transitions"], "finalized_at": ctx.now}
    if invoice["amount_due"] > 0:
        open_payment(ctx, invoice)
    return record(ctx, invoice, "invoice.finalized")


def open_payment(ctx: Context, invoice: Json) -> None:
    """Make the payment intent that an invoice with something due is paid by."""
    intent = make_intent(
        ctx, customer=invoice["customer"], amount=invoice["amount_due"], currency=invoice["currency"],
        description=f"Invoice {invoice['number']}",
    )  # fmt: skip
    invoice["_intent"] = intent["id"]
    payment: Json = {
        "id": new_id("inpay"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": invoice["amount_due"],
        "created": ctx.now,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
    record(ctx, payment)


def close_payments(ctx: Context, invoice: Json, status: str) -> None:
    """Mark the invoice's open payment as paid or canceled."""
    for payment in ctx.select("invoice_payment", {"invoice": invoice["id"], "status": "open"}):
        payment["status"] = status
        payment["status_transitions"] = {**payment["status_transitions"], f"{status}_at": ctx.now}
        if status == "paid":
            payment["amount_paid"] = payment["amount_requested"]
        record(ctx, payment, "invoice_payment.paid" if status == "paid" else None)


def mark_paid(ctx: Context, invoice: Json) -> Json:
    """Close an invoice as paid."""
    invoice |= {
        "status": "paid",
        "amount_paid": invoice["amount_due"],
        "amount_remaining": 0,
        "attempted": True,
        "auto_advance": False,
        "next_payment_attempt": None,
    }
    invoice["status_transitions"] = {**invoice["status_transitions"], "paid_at": ctx.now}
    close_payments(ctx, invoice, "paid")
    record(ctx, invoice, "invoice.paid")
    return record(ctx, invoice, "invoice.payment_succeeded")


def close_unpaid(ctx: Context, invoice: Json, status: str) -> Json:
    """Close an invoice as void or uncollectible."""
    moment = {"void": "voided_at", "uncollectible": "marked_uncollectible_at"}[status]
    invoice |= {"status": status, "auto_advance": False, "next_payment_attempt": None}
    invoice["status_transitions"] = {**invoice["status_transitions"], moment: ctx.now}
    if status == "void":
        close_payments(ctx, invoice, "canceled")
        cancel_intent(ctx, invoice["_intent"], "void_invoice")
        invoice["amount_remaining"] = 0
    return record(ctx, invoice, "invoice.voided" if status == "void" else "invoice.marked_uncollectible")


INCLUDABLE["invoice", "payments"] = lambda ctx, invoice: whole_list(
    ctx.select("invoice_payment", {"invoice": invoice["id"]}), f"/v1/invoice_payments?invoice={invoice['id']}"
)
