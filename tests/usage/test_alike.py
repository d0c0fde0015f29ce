"""The short way and the ordinary way give one answer to one request."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from billing.models import Access
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change
from tests.refusals import CARD
from tests.usage.stage import Subscriber, add_metric, make_customer, make_subscriber

ORDINARY = {"Accept": "application/json, text/plain"}
OWN = "the customer"
LIMIT_HEADERS = ("X-RateLimit-Limit", "RateLimit-Policy", "RateLimit", "X-RateLimit-Reset", "X-RateLimit-Remaining")
names = some.sampled_from(
    ["api_calls", "exports", "seats", "nope", "", " api_calls", "a\0", "x" * 65, CARD.replace(" ", "-"), 5, None, "é"]
)
customers = some.sampled_from([OWN, OWN, OWN, "cust_01jd0000000000000000000000", "nonsense", "", 5, None])
quantities = some.one_of(some.integers(-2, 12), some.sampled_from([0, 1.5, "1", True, None, 10**12, 2**53, 2**70]))
keys = some.sampled_from(["k1", "k2", " k1 ", "", " ", "a\nb", "a\0b", "x" * 256, CARD, "4242424242424242", 7, None])
track_bodies = some.fixed_dictionaries(
    {"customerId": customers, "metric": names},
    optional={"quantity": quantities, "idempotencyKey": keys, "payload": some.just("x")},
)
check_bodies = some.fixed_dictionaries(
    {"customerId": customers}, optional={"features": some.one_of(some.lists(names, max_size=4), names)}
)
features = some.sampled_from(["sso", "beta", "nope", "x" * 80, CARD, "a b", "\0", "é"])
requests = some.one_of(
    some.tuples(some.just("/usage/track"), track_bodies),
    some.tuples(some.just("/entitlements/check"), check_bodies),
    some.tuples(some.just("/entitlements/check/"), some.tuples(features, customers)),
)


def send(api, customer, request, **way):
    path, body = request
    if isinstance(body, tuple):
        feature, named = body
        query = "" if named is None else f"?customerId={customer.id if named == OWN else named}"
        response = api.get(f"{path}{quote(feature)}{query}", **way)
    else:
        named = customer.id if body.get("customerId") == OWN else body.get("customerId")
        response = api.post(path, {**body, "customerId": named}, **way)
    told = response.json()
    told.pop("requestId", None)
    kept = {name for name in LIMIT_HEADERS if name in response}
    return response.status_code, told, kept, response.get("Retry-After"), response["Cache-Control"]


def twin_of(ada: Subscriber) -> Subscriber:
    """Return another customer with the same plan."""
    twin = make_customer(ada.company, "bob@example.com")
    with change(ada.company.scope):
        row = Access.objects.within(ada.company.scope).get(customer_id=ada.uuid)
        columns = {"plan_id", "plan_name", "status", "source", "entitlements", "limits"}
        Access.unscoped.create(
            **owned_by(ada.company.scope), customer_id=twin.uuid, **{name: getattr(row, name) for name in columns}
        )
    return twin


def test_both_ways_answer_alike(acme, acme_api):
    ada = make_subscriber(acme)
    bob = twin_of(ada)
    add_metric(acme, name="seats", aggregation="unique")

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(request=requests)
    def compare(request):
        assert send(acme_api, ada, request) == send(acme_api, bob, request, **ORDINARY)

    compare()
