"""The outbox: an event commits with its change or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from django.db import connection

from stackbe.kernel.ids import new_id
from stackbe.kernel.transactions import change, reading
from webhooks.models import Event
from webhooks.outbox import emit

if TYPE_CHECKING:
    from tests.cast import Company


def test_an_event_is_written_with_its_change(acme: Company) -> None:
    with change(acme.scope):
        emit(acme.scope, "customer.created", {"customer": {"id": "cust_1"}})

    with reading(acme.scope):
        event = Event.objects.within(acme.scope).get()
        body = orjson.loads(event.body)

    assert body["id"] == event.public_id
    assert body["type"] == "customer.created"
    assert body["timestamp"].endswith("Z")
    assert body["data"] == {"customer": {"id": "cust_1"}}


def test_an_event_goes_with_a_change_that_fails(acme: Company) -> None:
    with pytest.raises(ZeroDivisionError), change(acme.scope):
        emit(acme.scope, "customer.created", {})
        raise ZeroDivisionError

    with reading(acme.scope):
        assert not Event.objects.within(acme.scope).exists()


def test_emitting_outside_of_a_change_is_refused(acme: Company) -> None:
    with pytest.raises(RuntimeError, match="no change"):
        emit(acme.scope, "customer.created", {})

    with reading(acme.scope), pytest.raises(RuntimeError, match="inside reading"):
        emit(acme.scope, "customer.created", {})


def test_a_type_that_the_catalogue_lacks_is_refused(acme: Company) -> None:
    with change(acme.scope), pytest.raises(ValueError, match="catalogue"):
        emit(acme.scope, "customer.exploded", {})


def test_a_body_lies_encrypted_under_its_subjects_key(acme: Company) -> None:
    person = new_id()
    with change(acme.scope):
        emit(acme.scope, "customer.updated", {"email": "ada@example.com"}, subject=person)
        with connection.cursor() as cursor:
            cursor.execute("select body from webhooks_event")
            stored = bytes(cursor.fetchone()[0])

    assert b"ada@example.com" not in stored
    with change(acme.scope) as unit:
        unit.keys.destroy_subject(person)
    with reading(acme.scope):
        assert Event.objects.within(acme.scope).get().body is None


def test_the_rival_sees_no_event(acme: Company, globex: Company) -> None:
    with change(acme.scope):
        emit(acme.scope, "customer.created", {})

    with reading(globex.scope):
        assert Event.unscoped.count() == 0
