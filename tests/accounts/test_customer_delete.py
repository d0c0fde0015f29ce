"""DELETE /v1/customers/:id, and the erasure that follows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from accounts import erasure
from accounts.models import Customer, CustomerSession, MagicLink, OneTimeCode, RefreshToken
from stackbe.kernel import ids
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.models import AuditEvent, IdempotencyRecord, SubjectKey
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading
from tests.queue import queued, run_jobs
from tests.refusals import assert_hidden, assert_needs_credential, assert_needs_scope, never

ERASE = "accounts.erase_customer"


@pytest.fixture(autouse=True)
def steps(monkeypatch):
    """Only the steps that a test registers run before an erasure."""
    registered: dict = {}
    monkeypatch.setattr(erasure, "_steps", registered)
    return registered


@pytest.fixture
def signed_in(acme, joe):
    """Joe, with all that a sign-in leaves behind."""
    soon = wall_clock() + timedelta(hours=1)
    with change(acme.scope):
        customer = Customer.objects.within(acme.scope).get()
        session = CustomerSession.unscoped.create(**owned_by(acme.scope), customer=customer, expires_at=soon)
        RefreshToken.unscoped.create(**owned_by(acme.scope), session=session, digest=b"r", expires_at=soon)
        OneTimeCode.unscoped.create(
            **owned_by(acme.scope), customer=customer, digest=b"c", redirect_url="http://x", expires_at=soon
        )
        MagicLink.unscoped.create(
            **owned_by(acme.scope), email=customer.email, email_index=customer.email_index,
            redirect_url="http://x", expires_at=soon,
        )  # fmt: skip
    return joe


def delete(api, customer):
    return api.delete(f"/customers/{customer['id']}")


def test_a_customer_is_gone_from_every_answer_at_once(acme_api, joe):
    response = delete(acme_api, joe)

    assert (response.status_code, response.json()) == (202, {"id": joe["id"], "deleted": True})
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/export"),
    ):
        gone = acme_api.request(method, f"/customers/{joe['id']}{path}", {})
        assert (gone.status_code, gone.json()["code"]) == (404, "CUSTOMER_NOT_FOUND")
    for query in ("", "?email=joe@shop.example", "?externalId=u_1", "?q=shop.example", f"?q={joe['id']}"):
        assert acme_api.get(f"/customers{query}").json()["data"] == []


def test_the_address_and_the_external_id_are_free_at_once(acme_api, joe):
    delete(acme_api, joe)

    again = acme_api.post("/customers", {"email": "joe@shop.example", "externalId": "u_1"})

    assert again.status_code == 201
    assert again.json()["id"] != joe["id"]


def test_sessions_codes_and_links_end_with_the_request(acme, acme_api, signed_in):
    delete(acme_api, signed_in)

    with reading(acme.scope):
        assert CustomerSession.objects.within(acme.scope).get().revoked_at is not None
        for model in (RefreshToken, OneTimeCode, MagicLink):
            assert not model.objects.within(acme.scope).exists()


def test_the_job_carries_ids_and_nothing_personal(acme_api, joe):
    delete(acme_api, joe)

    (arguments,) = [arguments for name, arguments in queued() if name == ERASE]
    assert set(arguments) == {"tenant_id", "app_id", "customer_id"}
    assert arguments["customer_id"] == str(ids.decode("cust", joe["id"]))


def test_erasure_lets_go_of_everything_and_is_announced_once(acme, acme_api, signed_in, events):
    acme_api.patch(f"/customers/{signed_in['id']}", {"name": "Joseph"})
    delete(acme_api, signed_in)
    assert ERASE in run_jobs(tolerate=True)

    told = events()
    assert [kind for kind, _ in told] == ["customer.created", "customer.updated", "customer.deleted"]
    assert [data for _, data in told[:2]] == [None, None]
    assert set(told[2][1]["customer"]) == {"id", "deletedAt"}
    with reading(acme.scope):
        stone = Customer.objects.within(acme.scope).get()
        assert stone.erased_at is not None
        assert (stone.email, stone.name, stone.metadata, stone.external_id) == (None, None, None, None)
        assert not CustomerSession.objects.within(acme.scope).exists()
        assert not SubjectKey.objects.within(acme.scope).filter(subject_id=stone.id).exists()


def test_the_audit_log_keeps_that_it_happened_and_not_to_whom(acme, acme_api, joe):
    acme_api.patch(f"/customers/{joe['id']}", {"name": "Joseph"})
    delete(acme_api, joe)
    run_jobs(tolerate=True)

    with reading(acme.scope):
        rows = AuditEvent.objects.within(acme.scope).filter(target=joe["id"]).order_by("id")
        actions = [row.action for row in rows]
        assert actions == ["customer.created", "customer.updated", "customer.deleted", "customer.erased"]
        assert rows[1].detail is None


def test_stored_replies_go_too(acme, acme_api):
    body = {"email": "ann@shop.example"}
    ann = acme_api.post("/customers", body, **{"Idempotency-Key": "once"}).json()
    delete(acme_api, ann)
    run_jobs(tolerate=True)

    with reading(acme.scope):
        assert not IdempotencyRecord.objects.within(acme.scope).exists()


def test_a_canary_is_in_no_table_in_the_clear_and_cannot_be_opened(acme, acme_api):
    ann = acme_api.post("/customers", {"email": "canary@shop.example", "externalId": "canary-7"}).json()
    delete(acme_api, ann)
    run_jobs(tolerate=True)

    with reading(acme.scope), connection.cursor() as cursor:
        cursor.execute(
            "select c.oid::regclass::text from pg_class c where c.relkind in ('r', 'p')"
            " and c.relnamespace = 'public'::regnamespace and has_table_privilege(c.oid, 'select')"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f"select t::text from {table} t")
            assert "canary" not in "".join(text for (text,) in cursor.fetchall()), table


def test_steps_elsewhere_come_first_and_outside_of_any_transaction(acme_api, joe, steps, events):
    taken = []
    steps["billing"] = lambda scope, customer_id: taken.append((scope.actor, customer_id, len(events())))
    delete(acme_api, joe)
    run_jobs(tolerate=True)

    assert taken == [("erasure", ids.decode("cust", joe["id"]), 1)]


def test_while_a_step_fails_nothing_is_erased(acme, acme_api, joe, steps, events):
    def fail(scope, customer_id):
        raise ConnectionError("Stripe is away")

    steps["billing"] = fail
    delete(acme_api, joe)
    with pytest.raises(ConnectionError):
        run_jobs()
    assert [kind for kind, _ in events()] == ["customer.created"]
    with reading(acme.scope):
        assert Customer.objects.within(acme.scope).get().email == "Joe@shop.example"

    steps.clear()
    run_jobs(tolerate=True)
    assert [kind for kind, _ in events()][-1] == "customer.deleted"


def test_a_job_that_runs_twice_announces_once(acme, acme_api, joe, events):
    delete(acme_api, joe)
    run_jobs(tolerate=True)
    erasure.run_erasure(acme.scope, ids.decode("cust", joe["id"]))

    assert [kind for kind, _ in events()].count("customer.deleted") == 1


def test_a_customer_whom_nobody_deleted_is_not_erased(acme, acme_api, joe):
    erasure.run_erasure(acme.scope, ids.decode("cust", joe["id"]))

    assert acme_api.get(f"/customers/{joe['id']}").json() == joe


def test_a_job_for_another_tenants_app_does_nothing(acme, globex, joe, acme_api):
    erasure.erase_customer_job(
        tenant_id=str(globex.tenant_id),
        app_id=str(acme.app_id),
        customer_id=str(ids.decode("cust", joe["id"])),
    )

    assert acme_api.get(f"/customers/{joe['id']}").status_code == 200


def test_it_needs_a_credential_and_customers_write(acme, joe):
    path = f"/customers/{joe['id']}"

    assert_needs_credential("DELETE", path)
    assert_needs_scope(acme.api("customers:read"), "customers:write", "DELETE", path)


def test_a_rivals_customer_is_hidden_and_lives(acme_api, globex_api, joe):
    assert_hidden(globex_api, "DELETE", f"/customers/{joe['id']}", f"/customers/{never('cust')}")

    assert acme_api.get(f"/customers/{joe['id']}").json() == joe
