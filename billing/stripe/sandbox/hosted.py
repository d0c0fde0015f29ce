"""What happens when somebody looks at a page of the sandbox or presses a button on it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from billing.stripe.sandbox import checkout, pages, portal
from billing.stripe.sandbox.collection import collect
from billing.stripe.sandbox.connect import all_accounts, issue_code, open_account
from billing.stripe.sandbox.context import Context
from billing.stripe.sandbox.customers import EMAIL, make_method
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.payments import SUCCEEDED
from billing.stripe.sandbox.settings import Settings, origin
from billing.stripe.sandbox.store import Json, Store

Form = dict[str, str]


@dataclass(frozen=True)
class Answer:
    """A page to show, or a place to go to."""

    status: int = 200
    html: str = ""
    location: str | None = None


def go(url: str) -> Answer:
    """Send the browser somewhere with GET."""
    return Answer(303, location=url)


def lost() -> Answer:
    """There is no such page."""
    return Answer(404, pages.closed_page("Not found", "This link is wrong, or what it led to is gone."))


def merchant_of(ctx: Context) -> str:
    """Who is being paid."""
    account = ctx.fetch("account", ctx.account)
    name: str | None = account["business_profile"]["name"]
    return name or account["id"]


def checkout_page(ctx: Context, session_id: str, form: Form | None) -> Answer:
    """The hosted payment page."""
    session = ctx.fetch(checkout.KIND, session_id)
    action = (form or {}).get("action", "")
    if session["status"] == "complete":
        return go(success_url(session)) if action else Answer(200, pages.closed_page("Paid", "This is paid already."))
    if session["status"] == "expired":
        return Answer(410, pages.closed_page("Expired", "This payment page has expired. Go back and start again."))
    if form is None:
        return Answer(200, pages.checkout_page(session, merchant=merchant_of(ctx)))
    if action == "cancel":
        return go(session["cancel_url"]) if session["cancel_url"] else lost()
    try:
        return press(ctx, session, action, form)
    except StripeError as problem:
        if problem.status == 402:  # noqa: PLR2004 - Payment Required
            with ctx.store.change():
                checkout.decline(ctx, ctx.fetch(checkout.KIND, session_id))
        session = ctx.fetch(checkout.KIND, session_id)
        return Answer(problem.status, pages.checkout_page(session, merchant=merchant_of(ctx), message=str(problem)))


def press(ctx: Context, session: Json, action: str, form: Form) -> Answer:
    """Do what a button of the payment page says."""
    email = form.get("email", "").strip()
    if action == "redeem":
        with ctx.store.change():
            session = checkout.redeem_code(ctx, session, form.get("promotion_code", ""))
        return Answer(200, pages.checkout_page(session, merchant=merchant_of(ctx)))
    if action == "decline":
        message = "Your card was declined."
        raise StripeError(message, status=402)
    if action not in ("pay", "authenticated"):
        message = "Choose one of the buttons."
        raise StripeError(message)
    if not session["customer"] and not session["customer_email"] and not EMAIL.fullmatch(email):
        message = "Enter your e-mail address."
        raise StripeError(message, param="email")
    customer = ctx.find("customer", session["customer"] or "") or {}
    if action == "pay" and session["amount_total"] and customer.get("_payment") == "authenticate":
        return Answer(200, pages.authenticate_page("Confirm your payment", pages.hidden(form, "email")))
    with ctx.store.change():
        session = checkout.pay(ctx, session, email)
    return go(success_url(session))


def success_url(session: Json) -> str:
    """Where the customer goes after paying, told which session it was."""
    url: str = session["success_url"]
    return url.replace(checkout.PLACEHOLDER, session["id"])


def invoice_page(ctx: Context, invoice_id: str, form: Form | None) -> Answer:
    """The hosted page of an invoice, on which the customer is present and can authenticate."""
    invoice = ctx.fetch("invoice", invoice_id)
    if form is None or invoice["status"] != "open":
        return Answer(200, pages.invoice_page(invoice))
    message = "Your card was declined."
    if form.get("action") == "pay":
        with ctx.store.change():
            customer = ctx.fetch("customer", invoice["customer"])
            method = make_method(ctx, customer["id"])
            if collect(ctx, invoice, method=method, on_session=True) == SUCCEEDED:
                return go(f"{ctx.settings.public_url}/i/{invoice_id}")
    return Answer(402, pages.invoice_page(ctx.fetch("invoice", invoice_id), message))


def portal_page(ctx: Context, session_id: str, form: Form | None) -> Answer:
    """The customer portal."""
    session = ctx.fetch(portal.KIND, session_id)
    action, _, subject = (form or {}).get("action", "").partition(":")
    if action == "return" and session["return_url"]:
        return go(session["return_url"])
    if action:
        with ctx.store.change():
            if action == "update_method":
                portal.new_method(ctx, session)
            elif action in ("cancel", "keep"):
                portal.renewing(ctx, session, subject, renews=action == "keep")
            elif action == "switch":
                portal.switching(ctx, session, *(subject.partition(":")[::2]))
        return go(session["url"])
    held = [(each, name, portal.offers(ctx, session, each)) for each, name in portal.subscriptions_of(ctx, session)]
    return Answer(200, pages.portal_page(held, session["return_url"]))


def authorize_page(store: Store, settings: Settings, given: Form, *, pressed: bool) -> Answer:
    """The OAuth page (RFC 6749, section 4.1.1): a wrong client or redirect is told to the person, never redirected."""
    redirect_uri = given.get("redirect_uri", "")
    if given.get("client_id") != settings.client_id:
        told = "No application matches the supplied client identifier."
        return Answer(400, pages.closed_page("Cannot connect", told))
    if origin(redirect_uri) != settings.redirect_origin:
        told = f"{redirect_uri or 'An empty redirect_uri'} is not on {settings.redirect_origin} (BASE_URL)."
        return Answer(400, pages.closed_page("Invalid redirect URI", told))
    if given.get("response_type", "code") != "code":
        return back(redirect_uri, given, error="unsupported_response_type", error_description="Use code.")
    if not pressed:
        return Answer(200, pages.authorize_page(given, all_accounts(store)))
    return authorize(store, settings, redirect_uri, given)


def authorize(store: Store, settings: Settings, redirect_uri: str, given: Form) -> Answer:
    """What was answered on the OAuth page: an account connected, new or already there, or nothing."""
    if given.get("action") != "connect":
        return back(redirect_uri, given, error="access_denied", error_description="The user denied your request")
    account = given.get("account", "new")
    if account == "new":
        platform = Context.of(store, settings, store.note("platform"))
        with store.change():
            account = open_account(platform, {"business_profile": {"name": "Test account"}})["id"]
    elif account not in [each["id"] for each in all_accounts(store)]:
        return lost()
    return back(redirect_uri, given, scope=given.get("scope", "read_only"), code=issue_code(store, account))


def back(redirect_uri: str, given: Form, **answer: str) -> Answer:
    """Return to the platform with the answer and its own state."""
    if "state" in given:
        answer["state"] = given["state"]
    return go(f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(answer)}")


def setup_page(store: Store, token: str) -> Answer:
    """The onboarding page of an account link: nothing is missing in the sandbox, so it leads straight back."""
    link: Json | None = store.note(f"link:{token}")
    if link is None:
        return lost()
    if link["return_url"]:
        return go(link["return_url"])
    return Answer(200, pages.closed_page("Account complete", "Nothing is missing on this account."))


Page = Callable[[Context, str, Form | None], Answer]
PAGES: tuple[tuple[re.Pattern[str], str, Page], ...] = (
    (re.compile(r"/c/pay/(\w+)$"), checkout.KIND, checkout_page),
    (re.compile(r"/i/(\w+)$"), "invoice", invoice_page),
    (re.compile(r"/p/session/(\w+)$"), portal.KIND, portal_page),
)


def answer_page(store: Store, settings: Settings, path: str, query: Form, form: Form | None) -> Answer:
    """Answer a browser; `form` is what was posted, or nothing when the page is only looked at."""
    if path == "/oauth/authorize":
        return authorize_page(store, settings, form if form is not None else query, pressed=form is not None)
    if path.startswith("/setup/"):
        return setup_page(store, path.rpartition("/")[2])
    for pattern, kind, page in PAGES:
        found = pattern.match(path)
        account = store.owner(kind, found[1]) if found else None
        if found and account:
            return page(Context.of(store, settings, account), found[1], form)
    return lost()
