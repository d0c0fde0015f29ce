"""POST /v1/portal/session."""

from __future__ import annotations

import re
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from tests.cast import Api, Company
from tests.stripe.test_wire import misfit, wire

__all__ = ["wire"]

BACK = "https://shop.example/account"


def test_the_portal_is_a_page_at_stripe_for_that_customer(shop: Any):
    shop.subscribe()

    answer = shop.api.post("/portal/session", {"customerId": shop.customer(), "returnUrl": BACK})

    assert answer.status_code == 200
    assert set(answer.json()) == {"url"}
    assert answer.json()["url"].startswith(shop.sandbox.url)


def test_who_cancels_in_the_portal_is_followed(shop: Any):
    shop.subscribe()
    url = shop.api.post("/portal/session", {"customerId": shop.customer(), "returnUrl": BACK}).json()["url"]
    stripe_id = shop.sandbox.get("/v1/subscriptions", shop.account_id)["data"][0]["id"]

    shop.sandbox.press(url, f"cancel:{stripe_id}")
    shop.deliver()

    assert shop.current().json()["cancelAtPeriodEnd"] is True


def test_the_portal_offers_what_the_catalogue_sells_as_it_is_now(shop: Any, wire: list[Any]):
    shop.subscribe()
    team, pack = shop.add_plan("Team", 9900), shop.add_plan("Pack", 500)
    shop.api.patch(f"/plans/{team}", {"addOns": [pack]})
    shop.add_plan("Lifetime", 50000, interval="one_time")
    asked = {"customerId": shop.customer(), "returnUrl": BACK}

    def offered() -> list[str]:
        opened = shop.api.post("/portal/session", asked)
        assert opened.status_code == 200, opened.json()
        page = urllib.request.urlopen(opened.json()["url"]).read().decode()
        return sorted(re.findall(r"Switch to (\w+)", page))

    offers = [offered(), offered()]
    shop.add_plan("Gold", 19900)
    offers.append(offered())
    made = [request for request in wire if "/configurations" in request.url]
    shop.sandbox.call("POST", urlsplit(made[-1].url).path, {"active": "false"}, account=shop.account_id)
    offers.append(offered())

    assert [sorted(each) for each in offers] == [["Team"], ["Team"], *[["Gold", "Team"]] * 2]
    assert [request.url.endswith("/configurations") for request in made] == [True, False]
    assert not [fault for request in wire if (fault := misfit(request))]


def test_who_never_bought_has_no_portal(shop: Any):
    customer = shop.api.post("/customers", {"email": "eve@example.com"}).json()["id"]

    answer = shop.api.post("/portal/session", {"customerId": customer, "returnUrl": BACK})

    assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")


def test_who_was_deleted_at_stripe_has_no_portal_until_they_buy_again(shop: Any):
    shop.subscribe()
    known = shop.sandbox.get("/v1/customers", shop.account_id)["data"][0]["id"]
    shop.sandbox.call("DELETE", f"/v1/customers/{known}", account=shop.account_id)
    body = {"customerId": shop.customer(), "returnUrl": BACK}

    answer = shop.api.post("/portal/session", body)

    assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")
    shop.deliver()
    shop.checkout()
    assert shop.api.post("/portal/session", body).status_code == 200


def test_wrong_requests_and_rivals_get_nowhere(shop: Any, globex_api: Api, acme: Company, settings: Any):
    shop.subscribe()
    body = {"customerId": shop.customer(), "returnUrl": BACK}

    assert globex_api.post("/portal/session", body).status_code == 404
    assert Api(None).post("/portal/session", body).status_code == 401
    assert acme.api("subscriptions:read").post("/portal/session", body).status_code == 403
    assert shop.api.post("/portal/session", body | {"returnUrl": "http://x.example"}).status_code == 400
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    assert shop.api.post("/portal/session", body).json()["code"] == "STRIPE_UNAVAILABLE"
