"""GET /v1/customers."""

from __future__ import annotations

import pytest

from tests.refusals import assert_needs_credential, assert_needs_scope, assert_refuses_each, never


@pytest.fixture
def crowd(acme_api):
    """Three customers in two domains."""
    return [
        acme_api.post("/customers", {"email": email, "externalId": external}).json()
        for email, external in (
            ("ann@shop.example", "user_1"),
            ("bob@shop.example", "user_2"),
            ("cy@Other.example", "USER_3"),
        )
    ]


def found(api, query):
    response = api.get(f"/customers?{query}")
    assert response.status_code == 200, response.content
    return [row["email"].split("@")[0] for row in response.json()["data"]]


def test_customers_are_listed_newest_first(acme_api, crowd):
    response = acme_api.get("/customers")

    assert response.json() == {"data": crowd[::-1], "hasMore": False, "nextCursor": None}


def test_pages_follow_their_cursor_and_end(acme_api, crowd):
    first = acme_api.get("/customers?limit=2").json()
    last = acme_api.get(f"/customers?limit=2&cursor={first['nextCursor']}").json()

    assert first["data"] + last["data"] == crowd[::-1]
    assert (first["hasMore"], last["hasMore"], last["nextCursor"]) == (True, False, None)


def test_a_full_last_page_has_no_next(acme_api, crowd):
    assert acme_api.get("/customers?limit=3").json()["hasMore"] is False


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("email=ANN@shop.EXAMPLE", ["ann"]),
        ("email=nobody@shop.example", []),
        ("externalId=user_2", ["bob"]),
        ("externalId=user_", []),
        ("email=ann@shop.example&externalId=user_2", []),
        ("q=bob@SHOP.example", ["bob"]),
        ("q=shop.example", ["bob", "ann"]),
        ("q=@shop.example", ["bob", "ann"]),
        ("q=other.example", ["cy"]),
        ("q=op.example", []),
        ("q=user_", ["bob", "ann"]),
        ("q=user_1", ["ann"]),
        ("q=USER", ["cy"]),
        ("q=user%25", []),
        ("q=_ser", []),
        ("q=ann", []),
        ("q=zzz", []),
    ],
)
def test_filters_find_what_they_say(acme_api, crowd, query, names):
    assert found(acme_api, query) == names


def test_q_finds_an_id(acme_api, crowd):
    assert found(acme_api, f"q={crowd[1]['id']}") == ["bob"]
    assert found(acme_api, f"q={never('cust')}") == []


def test_a_rival_sees_none_of_them(globex_api, crowd):
    for query in ("", "email=ann@shop.example", "externalId=user_1", "q=shop.example", f"q={crowd[0]['id']}"):
        assert found(globex_api, query) == []


def test_a_rivals_cursor_shows_nothing(acme_api, globex_api, crowd):
    cursor = acme_api.get("/customers?limit=1").json()["nextCursor"]

    assert found(globex_api, f"cursor={cursor}") == []


def test_it_needs_a_credential_and_customers_read(acme):
    assert_needs_credential("GET", "/customers")
    assert_needs_scope(acme.api("customers:write"), "customers:read", "GET", "/customers")


def test_bad_queries_are_named(acme_api):
    for query, field in (
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=%F0%9F%92%A9", "cursor"),
        ("cursor=AAAA", "cursor"),
        ("cursor=" + "A" * 500, "cursor"),
        ("q=a%00b", "q"),
        ("q=" + "x" * 300, "q"),
        ("externalId=%00", "externalId"),
        ("page=2", "page"),
    ):
        assert_refuses_each(acme_api, "GET", f"/customers?{query}", [(None, field)])
    assert_refuses_each(acme_api, "GET", "/customers?email=ann", [(None, "email")], "INVALID_EMAIL")


def test_a_long_list_takes_the_queries_of_a_short_one(acme_api, crowd, django_assert_num_queries):
    acme_api.get("/customers")

    # key, limit, savepoint, tenant, customers, their keys, the tenant's key, tenant, release
    with django_assert_num_queries(9):
        acme_api.get("/customers?limit=1")
    with django_assert_num_queries(9):
        acme_api.get("/customers?limit=3")


def test_q_finds_customers_by_the_beginning_of_their_id(acme_api, globex_api, crowd):
    identifier = crowd[0]["id"]

    for length in (len("cust_"), len("cust_") + 6, len(identifier) - 1, len(identifier)):
        listed = acme_api.get(f"/customers?q={identifier[:length]}").json()["data"]
        assert crowd[0] in listed
    assert listed == [crowd[0]]
    assert globex_api.get("/customers?q=cust_").json()["data"] == []
    for none in ("cust", "cust_8", "cust_!", "cust_U", f"{identifier}0", "app_0"):
        assert acme_api.get(f"/customers?q={none}").json()["data"] == []
