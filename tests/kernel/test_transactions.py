"""One outer transaction for each change."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection

from accounts.models import Customer
from accounts.services.customers import create_customer
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import (
    change,
    current,
    forbid_transaction,
    maybe_current,
    reading,
    require_change,
)
from webhooks.models import Event


def tenant_setting():
    with connection.cursor() as cursor:
        cursor.execute("select current_setting('stackbe.tenant', true)")
        return cursor.fetchone()[0] or ""


def test_inside_a_change_the_database_knows_whose_it_is(acme):
    with change(acme.scope):
        assert tenant_setting() == str(acme.tenant_id)
    assert tenant_setting() == ""


def test_changes_do_not_nest(acme):
    for outer in (change, reading):
        for inner in (change, reading):
            with outer(acme.scope), pytest.raises(RuntimeError), inner(acme.scope):
                pass


def test_a_service_refuses_to_write_outside_of_a_change(acme):
    with pytest.raises(RuntimeError):
        create_customer(acme.scope, email="a@b.example")
    with reading(acme.scope), pytest.raises(RuntimeError):
        require_change()
    with pytest.raises(RuntimeError):
        current()
    assert maybe_current() is None


def test_a_failed_change_leaves_nothing(acme):
    with pytest.raises(ZeroDivisionError), change(acme.scope):
        create_customer(acme.scope, email="a@b.example")
        _ = 1 / 0

    with reading(acme.scope):
        assert not Customer.objects.within(acme.scope).exists()
        assert not Event.objects.within(acme.scope).exists()
    assert maybe_current() is None


def test_a_broken_statement_ends_the_change_and_the_next_one_works(acme):
    with pytest.raises(IntegrityError), change(acme.scope):
        row = Customer(**owned_by(acme.scope), email="a", email_index=None, domain_index=b"", metadata={})
        row.save()

    with change(acme.scope):
        create_customer(acme.scope, email="a@b.example")
    assert tenant_setting() == ""


def test_the_network_is_forbidden_inside(acme):
    forbid_transaction("a call to Stripe")
    for block in (change, reading):
        with block(acme.scope), pytest.raises(RuntimeError, match="Stripe"):
            forbid_transaction("a call to Stripe")


def test_keys_that_were_opened_are_forgotten_with_the_transaction(acme):
    with change(acme.scope) as first:
        first.keys.tenant_key()
    with change(acme.scope) as second:
        assert second.keys is not first.keys
