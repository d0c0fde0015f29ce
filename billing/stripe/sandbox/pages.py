"""The sandbox's few pages: plain forms that work without JavaScript and never ask for a card."""

from html import escape
from typing import Final

from billing.stripe.sandbox.store import Json

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b2430; --soft: #5b6776; --page: #f3f5f8; --card: #fff; --line: #d9dfe7;
        --act: #3b4fd8; --act-ink: #fff; --bad: #b3261e; --note: #fff4d6; --note-ink: #5c4300; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf4; --soft: #9aa7b8; --page: #10151c; --card: #1a212b;
        --line: #303a47; --act: #8b9bff; --act-ink: #10151c; --bad: #ff9d94; --note: #3a3110; --note-ink: #f2dfa5; } }
* { box-sizing: border-box } body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; display: grid; min-height: 100vh; place-items: start center; padding: 6vh 1rem }
main { width: 100%; max-width: 27rem } section { background: var(--card); border: 1px solid var(--line);
  border-radius: 14px; padding: 1.6rem } h1 { font-size: 1.25rem; margin: 0 0 1rem } h2 { font-size: 1rem }
.note { background: var(--note); color: var(--note-ink); border-radius: 8px; padding: .5rem .8rem; font-size: .85rem;
  margin: 0 0 1rem } .bad { color: var(--bad); font-weight: 600 } .soft { color: var(--soft); font-size: .9rem }
table { width: 100%; border-collapse: collapse; margin: 0 0 1.2rem } td { padding: .35rem 0;
  border-bottom: 1px solid var(--line) } td:last-child { text-align: right; font-variant-numeric: tabular-nums }
tr:last-child td { border: 0; font-weight: 600 } label { display: block; font-size: .9rem; margin: 0 0 .8rem }
input, select { display: block; width: 100%; font: inherit; color: inherit; background: var(--page);
  border: 1px solid var(--line); border-radius: 8px; padding: .55rem .7rem; margin-top: .25rem }
button { width: 100%; font: inherit; font-weight: 600; padding: .7rem; margin-top: .6rem; border-radius: 8px;
  border: 1px solid var(--line); background: transparent; color: inherit; cursor: pointer }
button.main { background: var(--act); color: var(--act-ink); border-color: var(--act) }
button:focus-visible, input:focus-visible, select:focus-visible { outline: 3px solid var(--act); outline-offset: 2px }
"""
NO_DECIMALS = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"}
)
THREE_DECIMALS = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})


def money(amount: int, currency: str) -> str:
    """An amount for people: minor units with the currency's decimals."""
    code = currency.upper()
    if currency in NO_DECIMALS:
        return f"{amount:,} {code}"
    decimals = 3 if currency in THREE_DECIMALS else 2
    sign, (whole, rest) = ("−" if amount < 0 else ""), divmod(abs(amount), 10**decimals)
    return f"{sign}{whole:,}.{rest:0{decimals}d} {code}"


def price_tag(price: Json) -> str:
    """What a price that recurs comes to, and how often."""
    each, interval = price["recurring"]["interval_count"], price["recurring"]["interval"]
    rhythm = f"every {each} {interval}s" if each > 1 else f"a {interval}"
    amount = "by tiers" if price["unit_amount"] is None else money(price["unit_amount"], price["currency"])
    return f"{amount} {rhythm}"


def page(title: str, body: str) -> str:
    """A whole page around its content."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · Stripe sandbox</title><style>{STYLE}</style></head><body><main>"
        '<p class="note">Sandbox: this is not Stripe, and no money moves.</p>'
        f"<section><h1>{escape(title)}</h1>{body}</section></main></body></html>"
    )


def form(buttons: str, fields: str = "") -> str:
    """A form that posts to the page it stands on."""
    return f'<form method="post">{fields}{buttons}</form>'


def button(action: str, label: str, *, main: bool = False, value: str = "") -> str:
    """A button that says what to do when pressed."""
    look = ' class="main"' if main else ""
    name = f"{action}:{value}" if value else action
    skips = "" if main else " formnovalidate"
    return f'<button{look}{skips} name="action" value="{escape(name)}">{escape(label)}</button>'


def hidden(given: dict[str, str], *names: str) -> str:
    """Fields that a form carries along."""
    return "".join(
        f'<input type="hidden" name="{name}" value="{escape(given[name])}">' for name in names if name in given
    )


def failure(message: str | None) -> str:
    """A message about what went wrong, for people and screen readers."""
    return f'<p class="bad" role="alert">{escape(message)}</p>' if message else ""


def amounts(rows: list[tuple[str, int]], currency: str) -> str:
    """A table of amounts that ends in the total."""
    cells = "".join(f"<tr><td>{escape(name)}</td><td>{money(amount, currency)}</td></tr>" for name, amount in rows)
    return f"<table>{cells}</table>"


def checkout_page(session: Json, *, merchant: str, message: str | None = None) -> str:
    """What is bought, for how much, and the choice: pay, be declined, or go back."""
    rows = [
        (f"{item['description']} × {item['quantity']}" if (item["quantity"] or 1) > 1 else item["description"],
         item["amount_subtotal"])
        for item in session["_items"]
    ]  # fmt: skip
    trial_days = session["_subscription_data"].get("trial_period_days")
    if session["total_details"]["amount_discount"]:
        rows.append(("Discount", -session["total_details"]["amount_discount"]))
    rows.append(("Due today", session["amount_total"]))
    fields = ""
    if not session["customer"] and not session["customer_email"]:
        fields += '<label>E-mail<input type="email" name="email" autocomplete="email" required></label>'
    buttons = button("pay", "Start trial" if trial_days else "Pay", main=True)
    if session["allow_promotion_codes"]:
        fields += '<label>Promotion code<input name="promotion_code" autocomplete="off"></label>'
        buttons += button("redeem", "Apply code")
    if session["amount_total"]:
        buttons += button("decline", "Decline")
    if session["cancel_url"]:
        buttons += button("cancel", "Cancel")
    told = f'<p class="soft">To {escape(merchant)}.'
    told += f" Free for {trial_days} days, then renewing." if trial_days else ""
    return page("Checkout", f"{failure(message)}{told}</p>{amounts(rows, session['currency'])}{form(buttons, fields)}")


def closed_page(title: str, message: str) -> str:
    """A page on which there is nothing left to do."""
    return page(title, f'<p class="soft">{escape(message)}</p>')


def authenticate_page(title: str, fields: str = "") -> str:
    """The bank's question, which the customer confirms or fails."""
    buttons = button("authenticated", "Complete authentication", main=True) + button("decline", "Fail authentication")
    told = '<p class="soft">The customer\'s bank asks for a confirmation of this payment.</p>'
    return page(title, told + form(buttons, fields))


def authorize_page(given: dict[str, str], accounts: list[Json]) -> str:
    """Whether a test account may be connected to the platform."""
    options = '<option value="new">A new test account</option>' + "".join(
        f'<option value="{escape(each["id"])}">{escape(each["business_profile"]["name"] or "Test account")}'
        f" ({escape(each['id'])})</option>"
        for each in accounts
    )
    fields = hidden(given, "redirect_uri", "state", "scope", "client_id", "response_type")
    fields += f'<label>Account<select name="account">{options}</select></label>'
    buttons = button("connect", "Connect test account", main=True) + button("cancel", "Cancel")
    told = '<p class="soft">StackBE wants to read and write products, prices, customers and payments.</p>'
    return page("Connect a Stripe account", told + form(buttons, fields))


def invoice_page(invoice: Json, message: str | None = None) -> str:
    """An invoice, and the way to pay it while it is open."""
    rows = [(line["description"], line["amount"]) for line in invoice["lines"]["data"]]
    rows += [("Discount", -part["amount"]) for part in invoice["total_discount_amounts"] if part["amount"]]
    rows.append(("Amount due", invoice["amount_due"]))
    told = failure(message) + f'<p class="soft">Status: {escape(invoice["status"])}</p>'
    body = told + amounts(rows, invoice["currency"])
    if invoice["status"] == "open":
        body += form(button("pay", "Pay", main=True) + button("decline", "Decline"))
    return page(f"Invoice {invoice['number'] or ''}", body)


def portal_page(subscriptions: list[tuple[Json, str, list[tuple[Json, str]]]], return_url: str | None) -> str:
    """The customer's subscriptions, each to be cancelled, kept or switched to one of the prices that are offered."""
    body = ""
    for subscription, name, offered in subscriptions:
        ending = subscription["cancel_at_period_end"]
        state = "ends with the period" if ending else subscription["status"]
        body += f'<h2>{escape(name)}</h2><p class="soft">{escape(state)}</p>'
        choice = ("keep", "Keep subscription") if ending else ("cancel", "Cancel subscription")
        switches = "".join(
            button("switch", f"Switch to {other}, {price_tag(price)}", value=f"{subscription['id']}:{price['id']}")
            for price, other in offered
        )
        body += form(button(*choice, value=subscription["id"]) + switches)
    body = body or '<p class="soft">No subscriptions.</p>'
    body += form(button("update_method", "Use another payment method"))
    if return_url:
        body += form(button("return", "Return to the app", main=True))
    return page("Billing", body)
