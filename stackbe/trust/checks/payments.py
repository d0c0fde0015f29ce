"""No credit card data (C1 to C3)."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings
from psycopg import sql

from billing.stripe.gateway import refuse_forbidden
from stackbe.kernel.serializers import card_numbers
from stackbe.trust.checks.asking import Answer, Connection, as_role, ask, number
from stackbe.trust.checks.scanning import columns_named, texts

if TYPE_CHECKING:
    from stackbe.trust.checks.shapes import Found

# Columns of these names could hold what belongs to a card or a bank account.
CARD_COLUMNS = (
    "pan",
    "cvc",
    "cvv",
    "last4",
    "card_number",
    "exp_month",
    "exp_year",
    "fingerprint",
    "iban",
    "account_number",
)
# The package that mirrors Stripe brings tables for cards with it, which ours never fills.
MIRROR = "djstripe_"
CARD_WORDS = re.compile(r'"(?:last4|cvc|cvv|exp_month|exp_year|fingerprint|iban|routing_number|card_number)"\s*:')
# What issuers of cards begin their numbers with; anything else that passes Luhn's test passes by chance.
ISSUERS = re.compile(r"[2-6]")
STRIPE_HOST = "api.stripe.com"
NO_ACCOUNT = (
    "select (select count(*) from billing_subscription where stripe_subscription_id <> '' and stripe_account = '')"
    " + (select count(*) from billing_invoicereference where stripe_account = '')"
)
STALE_SECONDS = 301
TAKEN = "select count(*) from billing_stripeevent where event_id = any(%s)"


def no_card_data(found: Found) -> None:
    """Read the names of all columns and the newest rows of all tables."""
    with as_role("staff") as staff:
        named = columns_named(staff, CARD_COLUMNS)
        own = [name for name in named if not name.startswith(MIRROR)]
        found.need(not own, "No column of ours is named as one of a card would be.", f"Columns: {', '.join(own)}.")
        filled = [name for name in named if name.startswith(MIRROR) and _is_filled(staff, name)]
        found.need(not filled, "The mirror's tables of cards are empty.", f"The mirror holds {', '.join(filled)}.")
        hit: set[str] = set()
        tables, rows = set(), 0
        for table, text in texts(staff):
            tables.add(table)
            rows += 1
            if CARD_WORDS.search(text) or _holds_card(text):
                hit.add(table)
    found.need(
        not hit,
        f"{len(tables)} tables hold no card number and no word of a card; {rows} rows were read.",
        f"Card data lies in {', '.join(sorted(hit))}.",
    )


def _is_filled(staff: Connection, column: str) -> bool:
    table, _, name = column.partition(".")
    query = sql.SQL("select exists (select from {} where {} is not null)")
    row = staff.execute(query.format(sql.Identifier(table), sql.Identifier(name))).fetchone()
    return bool(row and row[0])


def _holds_card(text: str) -> bool:
    return any(ISSUERS.match(number) for number in card_numbers(text))


def own_account(found: Found) -> None:
    """See whom we would call, whose each payment is, and what a checkout of ours may never carry."""
    host = urlsplit(settings.STRIPE_API_BASE).hostname
    if settings.STRIPE_SANDBOX:
        found.not_run("A development start works with the sandbox instead of Stripe.")
    else:
        found.need(host == STRIPE_HOST, "Payments are Stripe's own.", f"Payments go to {host}, which is not Stripe.")
    with as_role("staff") as staff:
        found.need(
            number(staff, NO_ACCOUNT) == 0,
            "Every subscription and invoice of Stripe's is on a tenant's own account.",
            "A payment is on no tenant's account.",
        )
    shares: tuple[dict[str, object], ...] = (
        {"application_fee_percent": 1},
        {"payment_intent_data": {"transfer_data": {}}},
    )
    found.need(not any(map(_passes, shares)), "No share of a payment can be asked for.", "A share could be taken.")
    policy = ask("GET", "/login").headers.get("content-security-policy", "")
    scripts = next((part for part in policy.split(";") if part.strip().startswith("script-src")), "")
    found.need(
        scripts and "http" not in scripts and "*" not in scripts,
        "No page of ours loads what could ask for a card.",
        "A page of ours may load foreign scripts.",
    )


def _passes(parameters: dict[str, object]) -> bool:
    try:
        refuse_forbidden(parameters)
    except RuntimeError:
        return False
    return True


def stripe_webhooks(found: Found) -> None:
    """Send forged, stale and unsigned events to Stripe's inbox; none may be taken, none may leave a row."""
    endpoint = settings.STRIPE_PLATFORM_ENDPOINT_ID
    if not endpoint or not settings.STRIPE_PLATFORM_WEBHOOK_SECRETS:
        found.not_run("Stripe's endpoint is not set.")
        return
    moment = int(time.time())
    identifiers = [f"evt_trust{secrets.token_hex(8)}" for _ in range(3)]
    forged, stale, bare = (_event(each, moment) for each in identifiers)
    proven = settings.STRIPE_PLATFORM_WEBHOOK_SECRETS[0]
    answers = [
        _deliver(endpoint, forged, _signed("whsec_of_somebody_else", moment, forged)),  # not a secret of ours
        _deliver(endpoint, stale, _signed(proven, moment - STALE_SECONDS, stale)),
        _deliver(endpoint, bare, ""),
    ]
    taken = [answer for answer in answers if not 400 <= answer.status < 500]  # noqa: PLR2004  # the class of refusals
    found.need(
        not taken, "Forged, stale and unsigned events are refused.", "An event that Stripe did not sign is taken."
    )
    with as_role("staff") as staff:
        left = number(staff, TAKEN, [identifiers])
    found.need(left == 0, "They leave no row.", "One of them left a row.")


def _event(identifier: str, moment: int) -> str:
    """Return an event that lacks nothing but Stripe's signature, of an account that nobody has connected."""
    event = {"id": identifier, "object": "event", "type": "account.updated", "created": moment}
    told = {
        "livemode": settings.STRIPE_LIVE_MODE,
        "account": "acct_trustProbe",
        "data": {"object": {"id": "acct_trustProbe"}},
    }
    return json.dumps(event | told)


def _signed(secret: str, moment: int, body: str) -> str:
    """Return the header that the holder of a secret would send."""
    digest = hmac.new(secret.encode(), f"{moment}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def _deliver(endpoint: str, body: str, signature: str) -> Answer:
    headers = {"Content-Type": "application/json"} | ({"Stripe-Signature": signature} if signature else {})
    return ask("POST", f"/webhooks/stripe/{endpoint}", body.encode(), headers)
