"""Roles changed, places taken away, given up and handed over."""

from __future__ import annotations

import re
import threading

import pytest
from django.db import connections

from accounts.errors import LastOwner
from accounts.models import Membership, User
from accounts.services.members import add_member, leave_tenant, member_scope, memberships_of, transfer_ownership
from accounts.services.tenants import open_tenant
from apikeys.models import ApiKey
from stackbe.kernel.errors import ApiError, Forbidden
from stackbe.kernel.transactions import change, reading
from tests.cast import Api
from tests.members.conftest import audited, roles, seated, words


def place_of(desk):
    (place,) = memberships_of(desk.user.id)
    return Membership(id=place.id).public_id


def test_the_page_names_everybody_with_their_role(desk, desk_of):
    desk_of("viewer")

    page = words(desk.get("members"))

    assert "ada@example.com" in page
    assert "viewer@example.com" in page


def test_another_role_counts_from_the_next_click_on(desk, desk_of):
    kim = desk_of("viewer")
    assert kim.post("customers", email="c@example.com").status_code == 403

    desk.post(f"members/{place_of(kim)}/role", role="developer")

    assert kim.post("customers", email="c@example.com").status_code == 200


def test_a_role_above_ones_own_is_neither_given_nor_taken(acme, desk, desk_of):
    admin = desk_of("admin")

    given = admin.post(f"members/{place_of(admin)}/role", role="owner")
    taken = admin.post(f"members/{place_of(desk)}/role", role="viewer")
    removed = admin.post(f"members/{place_of(desk)}/remove")

    assert "Nothing was changed" in words(given)
    assert (taken.status_code, removed.status_code) == (403, 403)
    assert roles(acme) == ["admin", "owner"]


def test_a_removed_member_is_signed_out_and_finds_nothing(acme, desk, desk_of):
    kim = desk_of("developer")

    desk.post(f"members/{place_of(kim)}/remove")

    answer = kim.get("customers")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login")
    kim.client.force_login(kim.user, "accounts.backends.MagicLinkBackend")
    assert kim.get("customers").status_code == 404
    assert roles(acme) == ["owner"]
    assert "member.removed" in audited(acme.scope)


def test_removing_takes_the_keys_that_are_ticked_and_leaves_the_others(acme, desk, desk_of):
    kim = desk_of("admin")
    texts = []
    for name in ("theirs", "shared"):
        page = kim.post("keys", name=name, reach="all").content.decode()
        texts.append(re.search(r"sbk_test_[A-Za-z0-9]{44}", page)[0])
    with reading(acme.scope):
        ticked = ApiKey.objects.within(acme.scope).get(name="theirs").public_id
        foreign = ApiKey.objects.within(acme.scope).get(name="app").public_id

    page = words(desk.get(f"members/{place_of(kim)}"))
    desk.post(f"members/{place_of(kim)}/remove", keys=[ticked, foreign])

    assert "theirs" in page
    assert "shared" in page
    assert [Api(text).get("/me").status_code for text in texts] == [401, 200]
    assert Api(acme.key).get("/me").status_code == 200


def test_a_member_may_leave_and_the_last_owner_may_not(acme, desk, desk_of):
    viewer = desk_of("viewer")

    viewer.post("members/leave")
    refused = desk.post("members/leave")

    assert "at least one owner" in words(refused)
    assert roles(acme) == ["owner"]
    assert viewer.get("customers").status_code == 404


def test_ownership_is_handed_over_in_one_step(acme, desk, desk_of):
    kim = desk_of("developer")

    desk.post(f"members/{place_of(kim)}/transfer")

    assert roles(acme) == ["admin", "owner"]
    assert [place.role for place in memberships_of(kim.user.id)] == ["owner"]
    assert "tenant.ownership_transferred" in audited(acme.scope)


@pytest.mark.parametrize("role", ["viewer", "developer", "admin"])
def test_only_an_owner_hands_over(acme, desk, desk_of, role):
    kim = desk_of(role)
    scope = member_scope(kim.user, acme.tenant_id)

    assert kim.post(f"members/{place_of(kim)}/transfer").status_code == 403
    with pytest.raises(Forbidden), change(scope):
        transfer_ownership(scope, place_of(desk))


def test_nobody_hands_over_to_themselves(desk):
    assert "Choose another member" in words(desk.post(f"members/{place_of(desk)}/transfer"))


def test_a_rivals_member_is_not_found(desk, globex):
    rival = seated(globex, "owner", "hank@example.com")

    for action in ("role", "remove", "transfer"):
        assert desk.post(f"members/{place_of(rival)}/{action}", role="viewer").status_code == 404
    assert desk.get(f"members/{place_of(rival)}").status_code == 404
    assert roles(globex) == ["owner"]


def test_of_two_owners_who_hand_over_or_leave_at_once_one_owner_stays(committed):
    for _ in range(5):
        tenant, one, _ = open_tenant("Initech", "one@initech.example")
        first = member_scope(one, tenant.id)
        with change(first):
            second_place = add_member(first, email="two@initech.example", role="owner")
        deeds = [
            lambda scope=first, heir=second_place: transfer_ownership(scope, heir.public_id),
            lambda scope=first: leave_tenant(scope),
        ]
        start, losers = threading.Barrier(len(deeds)), []

        def act(deed, scope=first, start=start, losers=losers):
            start.wait()
            try:
                with change(scope):
                    deed()
            except ApiError as refused:
                losers.append(refused)
            connections.close_all()

        threads = [threading.Thread(target=act, args=(deed,)) for deed in deeds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        with reading(first):
            owners = Membership.objects.within(first).filter(role="owner").count()
        assert owners == 1
        assert len(losers) <= 1


def test_two_last_owners_cannot_both_leave(committed):
    tenant, one, _ = open_tenant("Initech", "one@initech.example")
    first = member_scope(one, tenant.id)
    with change(first):
        place = add_member(first, email="two@initech.example", role="owner")
    second = member_scope(User.objects.get(pk=place.user_id), tenant.id)
    start, refused = threading.Barrier(2), []

    def leave(scope):
        start.wait()
        try:
            with change(scope):
                leave_tenant(scope)
        except LastOwner:
            refused.append(scope)
        connections.close_all()

    threads = [threading.Thread(target=leave, args=(scope,)) for scope in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 1
    with reading(first):
        assert list(Membership.objects.within(first).values_list("role", flat=True)) == ["owner"]
