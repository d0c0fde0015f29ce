"""Who belongs to a tenant."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from accounts.errors import AlreadyMember, AppNotFound, LastOwner, MemberNotFound, TenantNotFound
from accounts.services.members import (
    add_member,
    change_role,
    list_members,
    member_scope,
    memberships_of,
    remove_member,
)
from accounts.services.tenants import open_tenant, rename_tenant
from stackbe.kernel.errors import Forbidden
from stackbe.kernel.scope import Credential, Role
from stackbe.kernel.transactions import change, reading


@pytest.fixture
def founded(db):
    """A tenant and its owner."""
    tenant, owner, _ = open_tenant("Initech", "owner@initech.example")
    return tenant, owner


@pytest.fixture
def owner(founded):
    """The owner's scope."""
    tenant, user = founded
    return member_scope(user, tenant.id)


def added(scope, email, role):
    with change(scope):
        return add_member(scope, email=email, role=role)


def roles(scope):
    with reading(scope):
        return {user.email: place.role for place, user in list_members(scope)}


def test_a_members_scope_says_who_they_are(founded, owner):
    tenant, _ = founded

    assert (owner.tenant_id, owner.credential, owner.role) == (tenant.id, Credential.MEMBER, Role.OWNER)
    assert owner.allows("anything")
    assert owner.actor.startswith("mem_")


def test_somebody_elses_tenant_is_not_found(founded, acme):
    with pytest.raises(TenantNotFound):
        member_scope(founded[1], acme.tenant_id)


def test_somebody_elses_app_is_not_found(founded, acme):
    with pytest.raises(AppNotFound):
        member_scope(founded[1], founded[0].id, acme.app_id)


def test_one_person_may_belong_to_several_tenants(founded, owner):
    open_tenant("Second", "OWNER@initech.example")

    assert [place.tenant_name for place in memberships_of(founded[1].id)] == ["Initech", "Second"]


def test_members_are_added_listed_and_removed(owner):
    place = added(owner, "dev@initech.example", "developer")
    assert roles(owner) == {"owner@initech.example": "owner", "dev@initech.example": "developer"}

    with change(owner):
        remove_member(owner, place.public_id)

    assert roles(owner) == {"owner@initech.example": "owner"}
    assert memberships_of(place.user_id) == []


def test_nobody_has_two_places(owner):
    added(owner, "dev@initech.example", "developer")

    with pytest.raises(AlreadyMember):
        added(owner, "DEV@initech.example", "viewer")


def test_the_last_owner_stays(founded, owner):
    (place,) = memberships_of(founded[1].id)
    name = f"mem_{owner.actor.removeprefix('mem_')}"

    with pytest.raises(LastOwner), change(owner):
        remove_member(owner, name)
    with pytest.raises(LastOwner), change(owner):
        change_role(owner, name, role="viewer")

    assert memberships_of(founded[1].id) == [place]


def test_an_owner_may_leave_once_there_is_another(owner):
    added(owner, "two@initech.example", "owner")

    with change(owner):
        change_role(owner, owner.actor, role="viewer")

    assert roles(owner)["owner@initech.example"] == "viewer"


def test_nobody_gives_or_takes_a_role_above_their_own(owner):
    admin_place = added(owner, "admin@initech.example", "admin")
    with reading(owner):
        admin_user = next(u for p, u in list_members(owner) if p.id == admin_place.id)
    admin = member_scope(admin_user, owner.tenant_id)

    for attempt in (
        lambda: add_member(admin, email="x@initech.example", role="owner"),
        lambda: change_role(admin, admin.actor, role="owner"),
        lambda: change_role(admin, owner.actor, role="viewer"),
        lambda: remove_member(admin, owner.actor),
    ):
        with pytest.raises(Forbidden), change(admin):
            attempt()
    with change(admin):
        add_member(admin, email="x@initech.example", role="developer")


def test_a_rivals_member_is_not_found(owner):
    _, rival_user, rival_place = open_tenant("Globex", "hank@globex.example")

    with pytest.raises(MemberNotFound), change(owner):
        remove_member(owner, rival_place.public_id)

    assert len(memberships_of(rival_user.id)) == 1


def test_a_tenant_may_be_renamed(founded, owner):
    with change(owner):
        rename_tenant(owner, name="Initrode")

    assert memberships_of(founded[1].id)[0].tenant_name == "Initrode"


def test_of_two_owners_who_leave_at_once_one_stays(committed):
    tenant, one, _ = open_tenant("Initech", "one@initech.example")
    scope = member_scope(one, tenant.id)
    with change(scope):
        add_member(scope, email="two@initech.example", role="owner")
    with reading(scope):
        names = [place.public_id for place, _ in list_members(scope)]
    start, refused = threading.Barrier(2), []

    def leave(name):
        start.wait()
        try:
            with change(scope):
                remove_member(scope, name)
        except LastOwner:
            refused.append(name)
        connections.close_all()

    threads = [threading.Thread(target=leave, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 1
    assert len(roles(scope)) == 1
