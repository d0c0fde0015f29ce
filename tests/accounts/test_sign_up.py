"""POST /v1/tenants."""

from __future__ import annotations

import pytest
from django.db import connection

from accounts.models import DeveloperLink, Membership, User
from accounts.services.members import memberships_of
from accounts.services.users import user_by_email
from stackbe.kernel import ids
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.scope import platform_scope, system_scope
from stackbe.kernel.transactions import reading
from tests.cast import Api
from tests.refusals import CARD, assert_refuses_each

OWNER = {"name": "Acme", "ownerEmail": "Ann@acme.example"}


@pytest.fixture
def stranger(db):
    """Somebody without a credential."""
    return Api(None)


def known(email):
    with reading(platform_scope()):
        return user_by_email(email)


def test_a_tenant_is_founded_and_its_owner_mailed(stranger):
    response = stranger.post("/tenants", OWNER)

    assert response.status_code == 201
    assert list(response.json()) == ["tenantId"]
    tenant_id = ids.decode("ten", response.json()["tenantId"])
    (place,) = memberships_of(known("ann@ACME.example").id)
    assert (place.tenant_id, place.role, place.tenant_name) == (tenant_id, "owner", "Acme")
    assert DeveloperLink.unscoped.count() == 1
    with connection.cursor() as cursor:
        cursor.execute("select task_name, args::text from procrastinate_jobs")
        ((task, arguments),) = cursor.fetchall()
    assert task.startswith("accounts.")
    assert "acme.example" not in arguments


def test_a_known_address_gets_the_same_answer_and_a_second_tenant(stranger):
    first = stranger.post("/tenants", OWNER)
    second = stranger.post("/tenants", OWNER | {"ownerEmail": "ANN@acme.example"})

    assert first.status_code == second.status_code == 201
    assert len(first.content) == len(second.content)
    assert {k for k in first.headers if k != "X-Request-Id"} == {k for k in second.headers if k != "X-Request-Id"}
    assert User.objects.count() == 1
    assert len(memberships_of(known("ann@acme.example").id)) == 2


def test_founding_is_audited(stranger):
    tenant_id = ids.decode("ten", stranger.post("/tenants", OWNER).json()["tenantId"])
    scope = system_scope(tenant_id, actor_name="test")

    with reading(scope):
        (row,) = AuditEvent.objects.within(scope).filter(action="tenant.created")
        assert row.actor == "signup"


def test_the_address_lies_nowhere_in_the_clear(stranger):
    stranger.post("/tenants", OWNER)

    with connection.cursor() as cursor:
        for table in ("accounts_user", "accounts_developerlink", "kernel_auditevent", "procrastinate_jobs"):
            cursor.execute(f"select t::text from {table} t")
            dump = "".join(text for (text,) in cursor.fetchall()).lower()
            assert "acme.example" not in dump
            assert b"acme.example".hex() not in dump


def test_a_repeat_under_one_idempotency_key_founds_one_tenant(stranger):
    first = stranger.post("/tenants", OWNER, **{"Idempotency-Key": "once"})
    again = stranger.post("/tenants", OWNER, **{"Idempotency-Key": "once"})
    other = stranger.post("/tenants", OWNER | {"name": "B"}, **{"Idempotency-Key": "once"})

    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len(memberships_of(known("ann@acme.example").id)) == 1
    assert DeveloperLink.unscoped.count() == 1


def test_strangers_with_the_same_idempotency_key_do_not_meet(stranger):
    first = stranger.post("/tenants", OWNER, **{"Idempotency-Key": "1"})
    stranger.client.defaults["REMOTE_ADDR"] = "192.0.2.1"
    second = stranger.post("/tenants", OWNER, **{"Idempotency-Key": "1"})

    assert first.status_code == second.status_code == 201
    assert first.json() != second.json()


def test_an_address_may_sign_up_a_few_times_an_hour(stranger, settings):
    settings.ADDRESS_LIMITS = settings.ADDRESS_LIMITS | {"signup": (2, 3600)}

    answers = [stranger.post("/tenants", OWNER) for _ in range(3)]

    assert [r.status_code for r in answers] == [201, 201, 429]
    assert int(answers[2].headers["Retry-After"]) > 60


def test_so_may_an_e_mail_address_from_wherever(stranger, settings):
    settings.ADDRESS_LIMITS = settings.ADDRESS_LIMITS | {"signup": (100, 3600)}
    answers = []
    for n in range(6):
        stranger.client.defaults["REMOTE_ADDR"] = f"192.0.2.{n}"
        answers.append(stranger.post("/tenants", OWNER).status_code)

    assert answers == [201] * 5 + [429]
    with reading(platform_scope()):
        assert Membership.unscoped.count() == 0  # no tenant's places are the platform's to see
    assert len(memberships_of(known("ann@acme.example").id)) == 5


def test_bad_input_is_named(stranger, settings):
    settings.ADDRESS_LIMITS = settings.ADDRESS_LIMITS | {"signup": (100, 3600)}
    assert_refuses_each(
        stranger,
        "POST",
        "/tenants",
        [
            (OWNER | {"name": 1}, "name"),
            (OWNER | {"name": ""}, "name"),
            (OWNER | {"name": "x" * 121}, "name"),
            (OWNER | {"name": "a\0"}, "name"),
            (OWNER | {"name": CARD}, "name"),
            (OWNER | {"name": "a\r\nBcc: x"}, "name"),
            (OWNER | {"ownerEmail": ["a@b.example"]}, "ownerEmail"),
            (OWNER | {"ownerEmail": "a\0@b.example"}, "ownerEmail"),
            (OWNER | {"plan": "pro"}, "plan"),
        ],
    )
    assert_refuses_each(stranger, "POST", "/tenants", [(OWNER | {"ownerEmail": "ann"}, "ownerEmail")], "INVALID_EMAIL")
    assert_refuses_each(stranger, "POST", "/tenants", [({"name": "x"}, "ownerEmail")], "MISSING_REQUIRED_FIELD")
    assert User.objects.count() == 0


def test_other_methods_are_named_as_refused(stranger):
    response = stranger.get("/tenants")

    assert (response.status_code, response.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert response.headers["Allow"] == "POST"
