"""Mixed traffic of patient clients, and the books of what they were told: what each answer promised must hold later."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from stackbe.runner.demo.client import Inbox, WrongAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_SECONDS = 180
ANSWERED = range(200, 300)
# What a client tries again, under the same key where there is one.
AGAIN = {429, 502, 503}
IN_PROGRESS = "IDEMPOTENCY_IN_PROGRESS"


@dataclass
class Books:
    """What clients were told, by customer."""

    counted: Counter[str] = field(default_factory=Counter)
    bought: list[str] = field(default_factory=list)
    ending: dict[str, bool] = field(default_factory=dict)
    subscription: dict[str, str] = field(default_factory=dict)
    seats: dict[str, int] = field(default_factory=dict)
    sessions: list[str] = field(default_factory=list)
    ended_sessions: list[str] = field(default_factory=list)
    links: Counter[str] = field(default_factory=Counter)
    link_requests: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    odd: list[object] = field(default_factory=list)
    answers: int = 0
    repeated: int = 0
    dropped: int = 0

    def until_more(self, answers: int) -> None:
        """Return when so many more were answered, so that each fault comes in the middle of work."""
        wanted, deadline = self.answers + answers, time.monotonic() + PATIENCE_SECONDS
        while self.answers < wanted:
            assert not self.odd, self.odd
            assert time.monotonic() < deadline, (self.answers, wanted)
            time.sleep(0.05)


@dataclass
class Shop:
    """What is asked for, where, by whom."""

    base_url: str
    inbox_url: str
    key: str
    app: str
    plan: str
    # How many of a hundred calls the client leaves as soon as it has sent them, before any answer.
    drops: int = 0

    def once(self, method: str, path: str, body: Any, headers: dict[str, str], *, leave: bool = False) -> Any:
        """Send a call and return `(status, JSON)`; `leave` goes away without waiting for either."""
        parts = urlsplit(self.base_url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=40)
        given = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **headers}
        try:
            connection.request(method, f"/v1{path}", None if body is None else json.dumps(body), given)
            if leave:
                return None
            reply = connection.getresponse()
            text = reply.read()
            return reply.status, json.loads(text) if text else None
        finally:
            connection.close()

    def read(self, path: str, **asked: str) -> Any:
        """Return what a GET answers once all is well again."""
        status, told = self.once("GET", f"{path}?{urlencode(asked)}" if asked else path, None, {})
        assert status == 200, (path, status, told)
        return told


class Client:
    """Lives with customers of its own, and asks until it is answered."""

    def __init__(self, shop: Shop, books: Books, over: threading.Event, number: int) -> None:
        self.shop, self.books, self.over, self.number = shop, books, over, number
        self.chance = random.Random(number)  # reproducible, not secret
        self.turn = 0
        self.people: list[str] = []
        self.addresses: dict[str, str] = {}
        self.waiting: list[str] = []

    def run(self) -> None:
        """Do one thing after the other until it is over."""
        deeds: list[Callable[[], None]] = [self.count, self.count, self.count, self.check, self.sign_in, self.change]
        while not self.over.is_set():
            self.turn += 1
            if len(self.people) + len(self.waiting) < 2 or self.chance.random() < 0.1:  # somebody to ask about
                self.buy()
            elif self.waiting and (not self.people or self.chance.random() < 0.2):
                self.look_for_access()
            else:
                self.chance.choice(deeds)()

    def buy(self) -> None:
        """Make a customer, check out and pay."""
        key = self.key()
        email = f"{key}@example.com"
        _, made = self.ask("POST", "/customers", {"email": email, "name": "Grace"}, key)
        where = {"successUrl": "http://localhost:3000/welcome", "cancelUrl": "http://localhost:3000/pricing"}
        asked = {"customerId": made["id"], "planId": self.shop.plan, **where}
        _, session = self.ask("POST", "/checkout/session", asked, f"{key}-checkout")
        self.patiently(lambda: pay(session["url"]))
        self.addresses[made["id"]] = email
        self.waiting.append(made["id"])
        self.books.bought.append(made["id"])
        self.books.done["bought"] += 1

    def count(self) -> None:
        """Count usage under a key of its own."""
        customer, quantity = self.chance.choice(self.people), self.chance.randint(1, 3)
        event = {"customerId": customer, "metric": "api_calls", "quantity": quantity, "idempotencyKey": self.key()}
        self.ask("POST", "/usage/track", event)
        self.books.counted[customer] += quantity
        self.books.done["counted"] += 1

    def look_for_access(self) -> None:
        """Ask whether who has paid may by now; from then on they may, whatever is killed."""
        customer = self.chance.choice(self.waiting)
        _, told = self.ask("GET", f"/entitlements/check/sso?customerId={customer}")
        if told["hasAccess"]:
            self.waiting.remove(customer)
            self.people.append(customer)
        else:
            time.sleep(0.3)

    def check(self) -> None:
        """Ask whether somebody may who was seen to."""
        customer = self.chance.choice(self.people)
        _, told = self.ask("GET", f"/entitlements/check/sso?customerId={customer}")
        if not told["hasAccess"]:
            self.books.odd.append(("access lost", customer, told))
        self.books.done["checked"] += 1

    def change(self) -> None:
        """Cancel a subscription at its period's end, take that back, or buy more seats."""
        customer = self.chance.choice(self.people)
        _, listed = self.ask("GET", f"/subscriptions?customerId={customer}")
        active = [found for found in listed["data"] if found["status"] == "active"]
        if not active:
            return
        mine = active[0]["id"]
        self.books.subscription[customer] = mine
        if self.chance.random() < 0.4 and not self.books.ending.get(customer):  # two of five
            seats = self.books.seats.get(customer, 1) + 1
            self.ask("PATCH", f"/subscriptions/{mine}", {"quantity": seats, "prorate": False})
            self.books.seats[customer] = seats
        elif self.books.ending.get(customer):
            self.ask("POST", f"/subscriptions/{mine}/reactivate", {}, self.key())
            self.books.ending[customer] = False
        else:
            self.ask("POST", f"/subscriptions/{mine}/cancel", {"reason": "fault run"}, self.key())
            self.books.ending[customer] = True
        # Where Stripe took a change and then could not be read, the answer shows the time before, and what is asked in
        # that moment is decided by it. So a client looks until it sees what it did.
        self.patiently(lambda: self.see(customer, mine))
        self.books.done["changed"] += 1

    def see(self, customer: str, subscription: str) -> None:
        """Raise `ValueError` until a subscription is shown as it was left."""
        _, told = self.ask("GET", f"/subscriptions/{subscription}")
        left = (self.books.ending.get(customer, False), self.books.seats.get(customer, 1))
        if (told["cancelAtPeriodEnd"], told["quantity"]) != left:
            raise ValueError(told)

    def sign_in(self) -> None:
        """Ask for a link, type its code, look at the session, and end every other one."""
        customer = self.chance.choice(self.people)
        email, app = self.addresses[customer], self.shop.app
        inbox = Inbox(self.shop.inbox_url)
        before = self.patiently(lambda: inbox.count(email))
        asked = {"email": email, "redirectUrl": "http://localhost:3000/callback"}
        self.ask("POST", f"/apps/{app}/auth/magic-link", asked, link=email)
        self.books.links[email] += 1
        mail = self.patiently(lambda: inbox.wait_for(email, newer_than=before))
        status, told = self.ask(
            "POST", f"/apps/{app}/auth/verify", {"email": email, "code": mail["code"]}, refusable=True
        )
        if status not in ANSWERED:
            return  # the answer that this code was good was lost, or a later link has come between
        bearer = {"Authorization": f"Bearer {told['sessionToken']}"}
        self.ask("GET", f"/apps/{app}/auth/session", headers=bearer)
        if self.chance.random() < 0.5:  # every other
            # Whose answer was lost meets a dead session when it asks again: that is the answer.
            self.ask("POST", f"/apps/{app}/auth/logout", {}, headers=bearer, refusable=True)
            self.books.ended_sessions.append(told["sessionToken"])
        else:
            self.books.sessions.append(told["sessionToken"])
        self.books.done["signed in"] += 1

    def key(self) -> str:
        """Return a name that nothing else in this run has."""
        return f"run-{self.number}-{self.turn}"

    def patiently(self, look: Callable[[], Any]) -> Any:
        """Look until it can be seen."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return look()
            except (OSError, http.client.HTTPException, WrongAnswer, ValueError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        key: str = "",
        *,
        headers: dict[str, str] | None = None,
        link: str = "",
        refusable: bool = False,
    ) -> tuple[int, Any]:
        """Ask until there is an answer that stands; one that nobody should get is put on record."""
        given = {**(headers or {}), **({"Idempotency-Key": key} if key else {})}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            leave = method != "GET" and self.chance.random() * 100 < self.shop.drops
            self.books.link_requests[link] += bool(link)
            try:
                answer = self.shop.once(method, path, body, given, leave=leave)
            except (OSError, http.client.HTTPException, ValueError):
                answer = None
            self.books.dropped += leave
            if answer is not None:
                status, told = answer
                waits = status in AGAIN or (status == 409 and told["code"] == IN_PROGRESS)  # Conflict
                if not waits and (status in ANSWERED or refusable):
                    self.books.answers += 1
                    return status, told
                if not waits:
                    self.books.odd.append((method, path, status, told))
                    raise AssertionError((method, path, status, told))
            assert time.monotonic() < deadline, f"{method} {path} is not answered"
            self.books.repeated += 1
            time.sleep(0.1)


def pay(url: str) -> None:
    """Press Pay on Stripe's page; pressed again, it says that this is paid. Where it leads back to need not exist."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", parts.path, "action=pay", form)
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 303, reply.status
    finally:
        connection.close()


@contextmanager
def under_traffic(shop: Shop, books: Books, clients: list[Client]) -> Iterator[None]:
    """Let the clients live while the block runs; each ends what it has begun."""
    over = threading.Event()
    for client in clients:
        client.over = over
    with ThreadPoolExecutor(len(clients)) as pool:
        running = [pool.submit(client.run) for client in clients]
        try:
            yield
        finally:
            over.set()
        for each in running:
            each.result(timeout=2 * PATIENCE_SECONDS)


def by_customer(events: list[dict[str, Any]], kind: str) -> Counter[str]:
    """Return how many events of a type came, by the customer whom they are about."""
    return Counter(event["data"]["customer"]["id"] for event in events if event["type"] == kind)
