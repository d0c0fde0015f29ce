"""What lies in a sealed column, and what happens to one who tampers with it: check 26."""

from __future__ import annotations

import pytest
from django.core.exceptions import FieldError
from django.db import connection

from accounts.models import Customer
from accounts.services.customers import create_customer
from stackbe.kernel import crypto
from stackbe.kernel.transactions import change, reading


@pytest.fixture
def two(acme):
    """Two customers of Acme's."""
    with change(acme.scope):
        return [
            create_customer(acme.scope, email=f"{name}@shop.example", name=name, metadata={"n": name})
            for name in ("ann", "bob")
        ]


def raw(scope, column, row):
    with reading(scope), connection.cursor() as cursor:
        cursor.execute(f"select {column} from accounts_customer where id = %s", [row.id])
        return bytes(cursor.fetchone()[0])


def overwrite(scope, column, row, value):
    with change(scope), connection.cursor() as cursor:
        cursor.execute(f"update accounts_customer set {column} = %s where id = %s", [value, row.id])


def opened(scope, row, name):
    with reading(scope):
        return getattr(Customer.objects.within(scope).get(pk=row.pk), name)


def test_a_value_is_read_back_and_lies_sealed(acme, two):
    assert opened(acme.scope, two[0], "email") == "ann@shop.example"
    assert opened(acme.scope, two[0], "metadata") == {"n": "ann"}
    for column in ("email", "name", "metadata"):
        assert b"ann" not in raw(acme.scope, column, two[0])


def test_a_flipped_ciphertext_is_an_error(acme, acme_api, two):
    sealed = bytearray(raw(acme.scope, "email", two[0]))
    sealed[-1] ^= 1
    overwrite(acme.scope, "email", two[0], bytes(sealed))

    with pytest.raises(crypto.SealBroken):
        opened(acme.scope, two[0], "email")
    response = acme_api.get(f"/customers/{two[0].public_id}")
    assert response.json()["code"] == "INTERNAL_ERROR"


def test_a_ciphertext_moved_to_another_row_is_an_error(acme, two):
    overwrite(acme.scope, "email", two[1], raw(acme.scope, "email", two[0]))

    with pytest.raises(crypto.SealBroken):
        opened(acme.scope, two[1], "email")


def test_a_ciphertext_moved_to_another_column_is_an_error(acme, two):
    overwrite(acme.scope, "name", two[0], raw(acme.scope, "email", two[0]))

    with pytest.raises(crypto.SealBroken):
        opened(acme.scope, two[0], "name")


def test_a_ciphertext_brought_from_a_rival_does_not_open(acme, globex, two):
    with change(globex.scope):
        spy = create_customer(globex.scope, email="spy@globex.example")
    overwrite(globex.scope, "email", spy, raw(acme.scope, "email", two[0]))

    assert opened(globex.scope, spy, "email") is None


def test_without_its_subjects_key_a_value_reads_as_nothing(acme, two):
    with change(acme.scope) as unit:
        unit.keys.destroy_subject(two[0].id)

    assert opened(acme.scope, two[0], "email") is None
    assert opened(acme.scope, two[1], "email") == "bob@shop.example"


def test_a_value_that_nobody_opened_is_saved_as_it_lay(acme, two):
    before = raw(acme.scope, "email", two[0])

    with change(acme.scope):
        Customer.objects.within(acme.scope).get(pk=two[0].pk).save()

    assert raw(acme.scope, "email", two[0]) == before


def test_plaintext_never_slips_past_the_seal(acme, two):
    with change(acme.scope), pytest.raises(TypeError):
        Customer.objects.within(acme.scope).update(email="ann@shop.example")


def test_a_sealed_value_cannot_be_searched(acme, two):
    with reading(acme.scope), pytest.raises(FieldError):
        Customer.objects.within(acme.scope).filter(email="ann@shop.example").exists()


def test_none_stays_none(acme):
    with change(acme.scope):
        made = create_customer(acme.scope, email="c@shop.example")

    assert opened(acme.scope, made, "name") is None
    with reading(acme.scope):
        assert Customer.objects.within(acme.scope).filter(name__isnull=True).count() == 1


def test_outside_of_a_transaction_nothing_is_opened(acme, two):
    with reading(acme.scope):
        row = Customer.objects.within(acme.scope).get(pk=two[0].pk)

    with pytest.raises(RuntimeError):
        _ = row.email


def test_a_page_of_rows_is_opened_with_two_queries(acme, two, django_assert_num_queries):
    with reading(acme.scope) as unit:
        rows = list(Customer.objects.within(acme.scope))
        with django_assert_num_queries(2):  # the people's keys, and the tenant's
            unit.keys.preload(row.id for row in rows)
            assert {row.name for row in rows} == {"ann", "bob"}
