import pytest
import stripe

from billing.stripe.sandbox.pricing import amount_of, step

MONTH = {"interval": "month", "interval_count": 1}


def test_a_product_is_changed_archived_and_keeps_its_metadata(shop):
    product = shop.v1.products.create({"name": "Pro", "metadata": {"plan": "a", "old": "x"}}, shop.at)

    shop.v1.products.update(product.id, {"active": False, "metadata": {"old": "", "new": "y"}}, shop.at)

    changed = shop.v1.products.retrieve(product.id, None, shop.at)
    assert changed.active is False
    assert changed.metadata.to_dict() == {"plan": "a", "new": "y"}
    assert shop.events("product.") == ["product.created", "product.updated"]


def test_metadata_keys_may_be_numbers(shop):
    product = shop.v1.products.create({"name": "Pro", "metadata": {"2024": "a", "7": "b"}}, shop.at)

    assert product.metadata.to_dict() == {"2024": "a", "7": "b"}


def test_an_update_that_changes_nothing_sends_no_event(shop):
    product = shop.v1.products.create({"name": "Pro"}, shop.at)
    price = shop.price(product=product.id)

    shop.v1.prices.update(price.id, {"active": True}, shop.at)

    assert shop.events("price.") == ["price.created"]


def test_a_product_without_prices_is_deleted(shop):
    product = shop.v1.products.create({"name": "Pro"}, shop.at)

    assert shop.v1.products.delete(product.id, None, shop.at).deleted is True
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.products.retrieve(product.id, None, shop.at)


def test_a_product_with_prices_stays(shop):
    price = shop.price()

    with pytest.raises(stripe.InvalidRequestError, match="one or more user-created prices"):
        shop.v1.products.delete(price.product, None, shop.at)


def test_prices_are_found_by_product_and_lookup_key(shop):
    price = shop.price(lookup_key="pro_monthly")
    shop.price()

    assert [each.id for each in shop.v1.prices.list({"lookup_keys": ["pro_monthly"]}, shop.at).data] == [price.id]
    assert [each.id for each in shop.v1.prices.list({"product": price.product}, shop.at).data] == [price.id]


def test_a_lookup_key_moves_only_when_asked(shop):
    first = shop.price(lookup_key="pro")
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        shop.price(lookup_key="pro")

    second = shop.price(lookup_key="pro", transfer_lookup_key=True)

    assert second.lookup_key == "pro"
    assert shop.v1.prices.retrieve(first.id, None, shop.at).lookup_key is None


def test_tiers_are_shown_when_they_are_asked_for(shop):
    tiers = [{"up_to": 10, "unit_amount": 500}, {"up_to": "inf", "unit_amount": 400, "flat_amount": 100}]
    price = shop.price(billing_scheme="tiered", tiers_mode="graduated", tiers=tiers)

    shown = shop.v1.prices.retrieve(price.id, {"expand": ["tiers", "product"]}, shop.at)

    assert "tiers" not in price
    assert [tier.up_to for tier in shown.tiers] == [10, None]
    assert shown.product.name == "Pro"


@pytest.mark.parametrize(
    "tiers",
    [
        [{"up_to": 10, "unit_amount": 1}],
        [{"up_to": "inf"}],
        [{"up_to": 9, "unit_amount": 1}, {"up_to": 5, "unit_amount": 1}, {"up_to": "inf", "unit_amount": 1}],
    ],
)
def test_tiers_that_do_not_climb_to_infinity_are_refused(shop, tiers):
    with pytest.raises(stripe.InvalidRequestError):
        shop.price(billing_scheme="tiered", tiers_mode="volume", tiers=tiers)


def test_pages_run_both_ways_through_a_list(shop):
    ids = [shop.v1.products.create({"name": str(number)}, shop.at).id for number in range(5)][::-1]

    first = shop.v1.products.list({"limit": 2}, shop.at)
    second = shop.v1.products.list({"limit": 2, "starting_after": first.data[-1].id}, shop.at)
    back = shop.v1.products.list({"limit": 2, "ending_before": second.data[0].id}, shop.at)

    assert [each.id for each in first.data] == ids[:2]
    assert [each.id for each in second.data] == ids[2:4]
    assert [each.id for each in back.data] == ids[:2]
    assert first.has_more is True
    assert back.has_more is False
    assert [each.id for each in first.auto_paging_iter()] == ids


@pytest.mark.parametrize("given", [{"limit": 0}, {"limit": 101}, {"starting_after": "prod_never"}])
def test_a_page_that_cannot_be_is_refused(shop, given):
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.products.list(given, shop.at)


def tier(up_to, unit=0, flat=0):
    return {"up_to": up_to, "unit_amount_decimal": str(unit), "flat_amount_decimal": str(flat)}


def tiered(mode, *tiers):
    return {"billing_scheme": "tiered", "tiers_mode": mode, "_tiers": list(tiers)}


def flat(amount, package=None):
    return {"billing_scheme": "per_unit", "unit_amount_decimal": amount, "transform_quantity": package}


@pytest.mark.parametrize(
    ("price", "quantity", "cents"),
    [
        (flat("2900"), 3, 8700),
        (flat("0.5"), 3, 2),
        (flat("1000", {"divide_by": 100, "round": "up"}), 101, 2000),
        (flat("1000", {"divide_by": 100, "round": "down"}), 199, 1000),
        (tiered("graduated", tier(10, 100), tier(None, 50)), 12, 1100),
        (tiered("graduated", tier(10, 100, 7), tier(None, 50, 9)), 10, 1007),
        (tiered("graduated", tier(10, 100, 7), tier(None, 50, 9)), 11, 1066),
        (tiered("volume", tier(10, 100), tier(None, 50)), 10, 1000),
        (tiered("volume", tier(10, 100), tier(None, 50, 30)), 12, 630),
    ],
)
def test_a_quantity_costs_what_its_scheme_says(price, quantity, cents):
    assert amount_of(price, quantity) == cents


def test_a_month_from_the_31st_ends_on_the_last_day():
    january_31 = 1769817600

    assert step(january_31, MONTH, 1) - january_31 == 28 * 86400
    assert step(january_31, MONTH, 2) - january_31 == 59 * 86400


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"unit_amount": -1}, "unit_amount"),
        ({"unit_amount": 100_000_000}, "unit_amount"),
        ({"unit_amount_decimal": "lots"}, "unit_amount_decimal"),
        ({"recurring": {"interval": "month", "interval_count": 0}}, "recurring[interval_count]"),
        ({"recurring": {"interval": "month", "interval_count": 37}}, "recurring[interval_count]"),
        ({"transform_quantity": {"divide_by": 0, "round": "up"}}, "transform_quantity[divide_by]"),
        ({"currency": "dollars"}, "currency"),
    ],
)
def test_a_price_that_cannot_be_is_refused(shop, changes, param):
    product = shop.v1.products.create({"name": "A"}, shop.at).id

    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.prices.create({"product": product, "currency": "usd"} | changes, shop.at)

    assert caught.value.param == param


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({}, "percent_off"),
        ({"percent_off": 101}, "percent_off"),
        ({"percent_off": 10, "amount_off": 10}, "percent_off"),
        ({"amount_off": 10}, "currency"),
        ({"percent_off": 10, "duration": "repeating"}, "duration_in_months"),
    ],
)
def test_a_coupon_that_cannot_be_is_refused(shop, given, param):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.coupons.create(given, shop.at)

    assert caught.value.param == param


def test_a_promotion_code_is_unique_among_the_active_ones(shop):
    coupon = shop.v1.coupons.create({"percent_off": 10}, shop.at)
    given = {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "TEN"}
    first = shop.v1.promotion_codes.create(given, shop.at)

    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        shop.v1.promotion_codes.create(given, shop.at)
    shop.v1.promotion_codes.update(first.id, {"active": False}, shop.at)

    assert shop.v1.promotion_codes.create(given, shop.at).active is True
    assert [each.id for each in shop.v1.promotion_codes.list({"code": "TEN", "active": False}, shop.at).data] == [
        first.id
    ]


def test_a_deleted_coupon_is_redeemed_no_more_but_keeps_what_it_gave(shop):
    coupon = shop.v1.coupons.create({"percent_off": 50, "duration": "forever"}, shop.at)
    shop.subscription(shop.price(2000), discounts=[{"coupon": coupon.id}])

    shop.v1.coupons.delete(coupon.id, None, shop.at)

    with pytest.raises(stripe.InvalidRequestError):
        shop.session(discounts=[{"coupon": coupon.id}])
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.coupons.retrieve(coupon.id, None, shop.at)
    assert shop.v1.coupons.list(None, shop.at).data == []
    shop.advance("32d")
    assert [each.amount_paid for each in shop.invoices()] == [1000, 1000]


def test_an_address_that_cannot_be_is_refused(shop):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.customer(email="nobody")

    assert caught.value.code == "email_invalid"
