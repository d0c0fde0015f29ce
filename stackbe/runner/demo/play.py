"""The acts of the main job, in order."""

from __future__ import annotations

import re
import secrets
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from stackbe.runner.demo.browser import Browser, Page
from stackbe.runner.demo.client import Api, Inbox, SandboxAccount, Story, WrongAnswer, until
from stackbe.runner.demo.receiver import Receiver
from stackbe.runner.demo.tour import take_tour
from stackbe.runner.demo.year import Year

CALLBACK = "http://localhost:3000/callback"
INCLUDED = 5


@dataclass
class Play:
    """One developer, one app, one customer."""

    story: Story
    api: Api
    browser: Browser
    inbox: Inbox
    receiver: Receiver
    known: dict[str, Any] = field(default_factory=dict)

    def run(self) -> None:
        """Play everything."""
        self.sign_up()
        self.make_app_and_key()
        self.connect_stripe()
        self.describe_what_is_sold()
        self.open_a_door()
        self.meet_a_customer()
        self.pay()
        self.use()
        self.sign_in_the_customer()
        self.change_ones_mind()
        self.look_back()
        self.story.step("Ask the rest of the API")
        take_tour(self.story, self.server(), self.known)
        self.revoke()

    def run_year(self) -> None:
        """Play a customer's year on an app of its own."""
        self.sign_up()
        self.make_app_and_key()
        self.connect_stripe()
        api = self.server()
        created = {"/metrics", "/plans", "/customers", "/checkout/session"}

        def call(method: str, path: str, body: Any) -> Any:
            return api.call(method, path, body, status=201 if path in created else 200)

        stripe = SandboxAccount(self.known["account"])

        def pay(url: str) -> None:
            stripe.url = "/".join(url.split("/")[:3])
            visitor = Browser()
            self.press_pay(visitor, self.page(visitor.open(url), "the checkout page"), button="Start trial")

        Year(self.story, call, stripe.call, pay).run()

    @property
    def base_url(self) -> str:
        """Return where the servers are."""
        return self.api.base_url

    def server(self) -> Api:
        """Return a client with the app's secret key."""
        return Api(self.base_url, self.story, self.known["key"])

    def page(self, page: Page, what: str, *, status: int = 200) -> Page:
        """Show a page that was opened, and stop unless it is what it should be."""
        self.story.say(f"      ← {page.status} {page.url.removeprefix(self.base_url)}")
        if page.status != status:
            raise WrongAnswer(f"{what}: {page.url} answered {page.status}\n{' '.join(page.text.split())[:600]}")
        return page

    def sign_up(self) -> None:
        """A developer signs up by mail."""
        email = f"ada-{secrets.token_hex(4)}@example.com"
        self.known["email"] = email
        self.story.step(f"Sign up as {email}")
        page = self.page(self.browser.open(f"{self.base_url}/signup"), "the sign-up page")
        self.page(self.browser.submit(page, "sign-in link", email=email), "the sign-up form")
        mail = self.inbox.wait_for(email)
        link = next(url for url in mail["links"] if "#" in url)
        self.story.say(f"      ✉ {mail['subject']}")
        opened = self.page(self.browser.open(link.partition("#")[0]), "the link's page")
        token = urllib.parse.parse_qs(link.partition("#")[2]).get("token", [link.partition("#")[2]])[0]
        arrived = self.page(self.browser.submit(opened, "Sign in", token=token), "the link's button")
        self.story.expect("/dashboard" in arrived.url, "signed in to the dashboard")
        again = self.browser.submit(self.browser.open(link.partition("#")[0]), "Sign in", token=token)
        self.story.expect("no longer works" in again.text or "/dashboard" not in again.url, "the link works once")

    def make_app_and_key(self) -> None:
        """They make an app and an API key in the dashboard."""
        self.story.step("Make an app and an API key in the dashboard")
        page = self.page(self.browser.open(f"{self.base_url}/dashboard/new"), "the new app page")
        home = self.page(self.browser.submit(page, "app", name="Orbit", environment="test"), "the new app form")
        self.known["app"] = next(part for part in home.url.split("/") if part.startswith("app_"))
        keys = self.page(self.browser.open(f"{self.base_url}/dashboard/{self.known['app']}/keys"), "the keys page")
        made = self.page(self.browser.submit(keys, "create key", name="Server"), "the key form", status=201)
        self.known["key"] = secret_in(made.body, "sbk_test_")
        self.known["publishable"] = secret_in(keys.body, "sbk_pub_")
        me = self.server().get("/me")
        self.story.expect(me["app"]["id"] == self.known["app"], "the key works, and it is this app's")

    def connect_stripe(self) -> None:
        """They connect a Stripe account by OAuth."""
        self.story.step("Connect a Stripe account (OAuth, at the sandbox)")
        page = self.page(self.browser.open(f"{self.base_url}/dashboard/{self.known['app']}/stripe"), "the Stripe page")
        consent = self.page(self.browser.click(page, "Connect with Stripe"), "Stripe's consent page")
        back = self.page(self.browser.submit(consent, "connect"), "the way back")
        found = re.search(r"acct_\w+", back.body)
        self.story.expect(found, "the dashboard names the connected account")
        self.known["account"] = found[0] if found else ""

    def describe_what_is_sold(self) -> None:
        """Metric, features, product and plan, by API."""
        self.story.step("Describe what is sold: a metric, features, a product, a plan")
        api = self.server()
        api.post("/metrics", {"name": "api_calls", "aggregation": "sum", "resets": "billing_period"}, status=201)
        api.post("/features", {"key": "sso", "name": "Single sign-on", "type": "boolean"}, status=201)
        metered = {"key": "api_calls", "name": "API calls", "type": "metered", "metric": "api_calls"}
        api.post("/features", metered, status=201)
        product = api.post("/products", {"name": "Orbit"}, status=201)
        plan = {
            "productId": product["id"],
            "name": "Pro",
            "slug": "pro",
            "priceCents": 2900,
            "currency": "usd",
            "interval": "month",
            "entitlements": {"sso": True},
            "usage": [{"metric": "api_calls", "included": INCLUDED, "mode": "hard"}],
        }
        made = api.post("/plans", plan, status=201, Idempotency_Key="plan-pro")
        again = api.post("/plans", plan, status=201, Idempotency_Key="plan-pro")
        self.story.expect(made == again, "the same Idempotency-Key made one plan")
        self.known["plan"] = made["id"]

    def open_a_door(self) -> None:
        """The app registers where webhooks go."""
        self.story.step("Register a webhook endpoint")
        asked = {"url": self.receiver.url, "events": ["*"]}
        endpoint = self.server().post("/webhook-endpoints", asked, status=201)
        self.receiver.secret = endpoint["secret"]
        self.known["endpoint"] = endpoint["id"]

    def meet_a_customer(self) -> None:
        """A customer who has not paid may do nothing yet."""
        self.story.step("Create a customer; nothing is theirs yet")
        api = self.server()
        self.known["person"] = f"grace-{secrets.token_hex(4)}@example.com"
        made = api.post("/customers", {"email": self.known["person"], "name": "Grace"}, status=201)
        self.known["customer"] = made["id"]
        answer = api.get(f"/entitlements/check/sso?customerId={made['id']}")
        self.story.expect(answer["reason"] == "NO_ACTIVE_SUBSCRIPTION", "no subscription, no access")
        self.receiver.wait_for("customer.created")
        self.story.say("      ✓ " + "customer.created came, its signature verified")

    def pay(self) -> None:
        """Stripe's checkout page, and what follows."""
        self.story.step("Check out at Stripe's page and pay")
        api, customer = self.server(), self.known["customer"]
        asked = {
            "customerId": customer,
            "planId": self.known["plan"],
            "successUrl": "http://localhost:3000/welcome",
            "cancelUrl": "http://localhost:3000/pricing",
        }
        session = api.post("/checkout/session", asked, status=201, Idempotency_Key=f"checkout-{customer}")
        visitor = Browser()
        page = self.page(visitor.open(session["url"]), "the checkout page")
        form = page.form_with("Pay")
        self.story.expect("card" not in " ".join(form.fields).lower(), "the page asks for no card")
        self.press_pay(visitor, page)
        current = until(
            "an active subscription",
            lambda: self.current_if_active(api, customer),
        )
        self.known["subscription"] = current["id"]
        self.story.expect(current["planId"] == self.known["plan"], "the subscription is active, on the plan")
        came = self.receiver.wait_for("subscription.created")
        self.story.expect(came["data"]["subscription"]["id"] == current["id"], "subscription.created came, verified")
        self.receiver.wait_for("payment.succeeded")
        self.receiver.wait_for("entitlements.updated")
        invoices = until("a paid invoice", lambda: api.get(f"/invoices?customerId={customer}")["data"])
        self.story.expect(invoices[0]["amountPaidCents"] == 2900, "one invoice, paid, by reference only")  # noqa: PLR2004 - the plan's price

    def press_pay(self, visitor: Browser, page: Page, *, button: str = "Pay") -> None:
        """Press Pay; the app's own site, which Stripe leads back to, need not exist."""
        try:
            visitor.submit(page, button)
        except OSError:
            self.story.say("      ← the browser is sent back to http://localhost:3000/welcome (not running here)")

    def current_if_active(self, api: Api, customer: str) -> Any:
        """Return the current subscription once it is active."""
        listed = api.get(f"/subscriptions?customerId={customer}")["data"]
        active = [found for found in listed if found["status"] == "active"]
        return api.get(f"/subscriptions/current?customerId={customer}&expand=plan") if active else None

    def use(self) -> None:
        """Entitlements, metered usage, a hard limit."""
        self.story.step("Check entitlements and meter usage up to the hard limit")
        api, customer = self.server(), self.known["customer"]
        answer = api.get(f"/entitlements/check/sso?customerId={customer}")
        granted = {"hasAccess": True, "value": True, "source": "plan:pro", "reason": None}
        self.story.expect(answer == granted, "sso: granted by the plan")
        several = {"customerId": customer, "features": ["sso", "api_calls"]}
        answers = api.post("/entitlements/check", several)["results"]
        self.story.expect(answers["api_calls"]["hasAccess"], "several at once")
        event = {"customerId": customer, "metric": "api_calls", "quantity": 3, "idempotencyKey": "call-1"}
        api.post("/usage/track", event)
        self.story.expect(api.post("/usage/track", event)["currentUsage"] == 3, "the same key counts once")  # noqa: PLR2004 - the quantity sent
        batch = [{"customerId": customer, "metric": "api_calls", "quantity": n} for n in (2, 1)]
        results = api.post("/usage/track/batch", {"events": batch})["results"]
        self.story.expect([r["success"] for r in results] == [True, False], "a batch, one event over the limit")
        refused = api.post("/usage/track", {**event, "idempotencyKey": "call-2"}, status=409)
        self.story.expect(refused["code"] == "USAGE_LIMIT_EXCEEDED", "the hard limit holds, nothing is counted")
        checked = api.get(f"/usage/check?customerId={customer}&metric=api_calls&quantity=1")
        self.story.expect(not checked["allowed"] and checked["remaining"] == 0, "usage/check agrees")
        figures = api.get(f"/usage?customerId={customer}")["metrics"][0]
        self.story.expect(figures["currentUsage"] == INCLUDED, "the summary agrees")
        state = api.get(f"/customers/{customer}/state")
        self.story.expect(state["subscription"]["status"] == "active", "one call answers the whole state")
        self.receiver.wait_for("usage.threshold_reached")

    def sign_in_the_customer(self) -> None:
        """The customer signs in by magic link."""
        self.story.step("The customer signs in by magic link")
        app, person = self.known["app"], self.known["person"]
        browser_side = Api(self.base_url, self.story, self.known["publishable"], Origin="http://localhost:3000")
        browser_side.post(f"/apps/{app}/auth/magic-link", {"email": person, "redirectUrl": CALLBACK})
        mail = self.inbox.wait_for(person)
        link = next(url for url in mail["links"] if "#" in url)
        visitor = Browser()
        page = self.page(visitor.open(link.partition("#")[0]), "the confirmation page")
        code = mail["code"]
        self.story.expect(len(code) == 6 and code.isdigit(), "the mail carries a link and 6 digits")  # noqa: PLR2004 - six digits
        self.story.expect(page.status == 200, "opening the link spends nothing")  # noqa: PLR2004 - OK
        plain = Api(self.base_url, self.story)
        signed_in = plain.post(f"/apps/{app}/auth/verify", {"email": person, "code": code})
        self.story.expect(signed_in["customerId"] == self.known["customer"], "verified: this customer")
        plain.post(f"/apps/{app}/auth/verify", {"email": person, "code": code}, status=401)
        session = Api(self.base_url, self.story, signed_in["sessionToken"])
        seen = session.get(f"/apps/{app}/auth/session")
        self.story.expect(seen["entitlements"]["planName"] == "Pro", "the session knows the plan")
        renewed = plain.post(f"/apps/{app}/auth/refresh", {"refreshToken": signed_in["refreshToken"]})
        keys = plain.get(f"/apps/{app}/.well-known/jwks.json")["keys"]
        self.story.expect(keys and keys[0]["kty"] == "OKP", "public keys for offline checks")
        after = Api(self.base_url, self.story, renewed["sessionToken"])
        after.call("POST", f"/apps/{app}/auth/logout", {}, status=204)
        after.get(f"/apps/{app}/auth/session", status=401)
        self.story.say("      ✓ " + "after logout the token is dead at once")

    def change_ones_mind(self) -> None:
        """Cancel at the period's end, and take it back."""
        self.story.step("Cancel at the period's end, then reactivate")
        api, subscription = self.server(), self.known["subscription"]
        cancelled = api.post(f"/subscriptions/{subscription}/cancel", {"reason": "demo"})
        self.story.expect(cancelled["cancelAtPeriodEnd"] and cancelled["status"] == "active", "access lasts until then")
        back = api.post(f"/subscriptions/{subscription}/reactivate")
        self.story.expect(not back["cancelAtPeriodEnd"], "reactivated")

    def look_back(self) -> None:
        """The delivery log, and a redelivery."""
        self.story.step("Read the delivery log and redeliver an event")
        api = self.server()
        deliveries = api.get(f"/webhook-endpoints/{self.known['endpoint']}/deliveries")["data"]
        self.story.expect(deliveries and deliveries[-1]["responseStatus"] in {204, None}, "every attempt is on record")
        events = api.get("/events")["data"]
        api.call("POST", f"/events/{events[0]['id']}/redeliver", {}, status=202)
        self.story.expect(self.receiver.forged == 0, "no delivery failed verification")

    def revoke(self) -> None:
        """A revoked key is refused on its next request."""
        self.story.step("Revoke the key: the next request is refused")
        api = self.server()
        mine = api.get("/me")
        listed = api.get(f"/apps/{self.known['app']}/api-keys")["data"]
        key = next(k for k in listed if self.known["key"].startswith(k["prefix"]))
        self.story.expect(mine["app"]["id"] == self.known["app"], "the key is still good")
        api.call("DELETE", f"/apps/{self.known['app']}/api-keys/{key['id']}", status=204)
        for _ in range(4):
            api.get("/me", status=401)
        self.story.say("      ✓ " + "refused, whichever process answers")


def secret_in(html: str, prefix: str) -> str:
    """Return the first key of that prefix in a page."""
    start = html.find(prefix)
    if start < 0:
        raise LookupError(f"the page shows no {prefix}…")
    end = start
    while html[end].isalnum() or html[end] == "_":
        end += 1
    return html[start:end]
