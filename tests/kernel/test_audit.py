"""The audit log: written in the change, chained after it, never altered."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import ProgrammingError, connection

from stackbe.kernel.audit import audit, seal_audit_rows
from stackbe.kernel.ids import new_id
from stackbe.kernel.models import AuditEvent, AuditSeal
from stackbe.kernel.scope import Credential, Role
from stackbe.kernel.transactions import change, reading


def write(scope, count=1):
    with change(scope):
        return [audit(scope, "thing.done", str(n), detail={"n": n}) for n in range(count)]


def sealed(scope):
    with change(scope):
        return seal_audit_rows(scope.tenant_id)


def test_a_row_says_who_did_what_and_its_detail_is_sealed(acme):
    (row,) = write(acme.scope)

    with reading(acme.scope):
        kept = AuditEvent.objects.within(acme.scope).get(pk=row.pk)
        assert (kept.action, kept.target, kept.actor, kept.detail) == ("thing.done", "0", "test", {"n": 0})
        with connection.cursor() as cursor:
            cursor.execute("select detail from kernel_auditevent where id = %s", [row.pk])
            assert b'"n"' not in bytes(cursor.fetchone()[0])


def test_a_row_says_in_which_role_its_actor_acted(acme):
    staff = replace(acme.scope, credential=Credential.STAFF, credential_id=new_id(), actor_name="staff:support")
    member = replace(acme.scope, credential=Credential.MEMBER, credential_id=new_id(), role=Role.ADMIN)

    assert [write(scope)[0].actor_role for scope in (staff, member, acme.scope)] == ["support", "admin", ""]


def test_outside_of_a_change_nothing_is_recorded(acme):
    with reading(acme.scope), pytest.raises(RuntimeError):
        audit(acme.scope, "thing.done")
    with pytest.raises(RuntimeError):
        audit(acme.scope, "thing.done")


def test_a_change_that_fails_leaves_no_row(acme):
    with pytest.raises(ZeroDivisionError), change(acme.scope):
        audit(acme.scope, "thing.undone")
        _ = 1 / 0

    with reading(acme.scope):
        assert not AuditEvent.objects.within(acme.scope).filter(action="thing.undone").exists()


@pytest.mark.parametrize("statement", ["update kernel_auditevent set action = 'x'", "delete from kernel_auditevent"])
def test_no_row_can_be_altered(acme, statement):
    write(acme.scope)

    with pytest.raises(ProgrammingError), change(acme.scope), connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_sealer_chains_each_row_once_in_order(acme):
    rows = write(acme.scope, 3)

    before = sealed(acme.scope)
    assert before >= 3
    assert sealed(acme.scope) == 0
    write(acme.scope)
    assert sealed(acme.scope) == 1
    with reading(acme.scope):
        seals = list(AuditSeal.objects.within(acme.scope).order_by("sequence"))
        assert [s.sequence for s in seals] == list(range(1, before + 2))
        assert [s.audit_id for s in seals][before - 3 : before] == [row.pk for row in rows]
        assert len({bytes(s.digest) for s in seals}) == len(seals)


def test_a_row_that_came_to_light_late_is_chained_by_the_thorough_pass(acme):
    write(acme.scope)
    sealed(acme.scope)
    long_ago = new_id(at_ms=1_700_000_000_000)
    with change(acme.scope):
        late = audit(acme.scope, "thing.done")
        AuditEvent.unscoped.create(**{**fields_of(late), "id": long_ago})

    assert sealed(acme.scope) == 1
    with change(acme.scope):
        assert seal_audit_rows(acme.tenant_id, thorough=True) == 1
        assert AuditSeal.objects.within(acme.scope).order_by("-sequence")[0].audit_id == long_ago


def fields_of(row):
    return {field.attname: getattr(row, field.attname) for field in AuditEvent._meta.concrete_fields}


def test_tenants_have_chains_of_their_own(acme, globex):
    write(acme.scope)
    write(globex.scope)

    sealed(acme.scope)
    with reading(globex.scope):
        assert not AuditSeal.objects.within(globex.scope).exists()
