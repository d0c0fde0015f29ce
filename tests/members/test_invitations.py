"""Asking somebody to join: mailed, taken once, taken back; and who may not."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from accounts.errors import TokenAlreadyUsed
from accounts.models import MemberInvitation, Membership, SpentToken
from accounts.services.member_invitations import accept_link, invite_member, resend_invitation
from accounts.services.members import member_scope, memberships_of, remove_member
from accounts.services.tenants import open_tenant
from accounts.services.users import user_by_email
from stackbe.kernel.crypto import token_digest
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import change, reading
from tests.members.conftest import audited, roles, seated, signed_in, words
from tests.queue import queued, run_jobs
from tests.signin.people import Browser, token_of

KIM = "kim@example.com"


@pytest.fixture
def invite(desk, mailbox):
    """Invite somebody as the dashboard does; return the token in their mail."""

    def asked(email=KIM, role="developer", by=desk):
        response = by.post("members", email=email, role=role)
        assert response.status_code == 200, words(response)
        return token_of(mailbox.latest(email))

    return asked


def take(browser, token):
    """Look at an invitation's page, then press its button."""
    browser.get("/auth/invitation")
    first = browser.post("/auth/invitation", {"token": token})
    return first if first.status_code != 200 else browser.post("/auth/invitation", {"token": token})


def invitations(company):
    with reading(company.scope):
        return list(MemberInvitation.objects.within(company.scope))


def known(email=KIM):
    with reading(platform_scope()):
        return user_by_email(email)


def test_a_newcomer_joins_by_the_link_and_is_signed_in(desk, acme, invite):
    token, browser = invite(), Browser()

    response = take(browser, token)

    assert response.status_code == 302
    assert response["Location"] == f"/dashboard/?account={acme.tenant_id}"
    assert browser.signed_in
    assert [place.role for place in memberships_of(known().id)] == ["developer"]
    assert browser.get(f"/dashboard/{acme.app}/customers").status_code == 200
    assert "member.joined" in audited(acme.scope)


def test_the_mail_says_what_is_offered_and_for_how_long(desk, mailbox):
    desk.post("members", email=KIM, role="viewer")

    mail = mailbox.latest(KIM)

    assert mail["subject"] == "Join Acme on StackBE"
    assert "as viewer" in mail["text"]
    assert "works once, until" in mail["text"]


def test_nothing_in_the_table_or_the_queue_opens_the_invitation(desk, acme, mailbox):
    desk.post("members", email=KIM, role="viewer")
    waiting = queued()
    token = token_of(mailbox.latest(KIM))

    (row,) = invitations(acme)

    assert [name for name, _ in waiting] == ["accounts.mail_member_invitation"]
    assert KIM not in str(waiting)
    assert bytes(row.token_digest) == token_digest(token)
    assert token.encode() not in bytes(row.token_digest)


def test_looking_at_the_page_spends_nothing_and_names_the_account_first(invite):
    token, browser = invite(), Browser()
    browser.get("/auth/invitation")

    for _ in range(3):
        told = browser.post("/auth/invitation/peek", {"token": token}).json()
    plain = Browser()
    plain.get("/auth/invitation")
    shown = plain.post("/auth/invitation", {"token": token})

    assert told == {"email": "k•••@example.com", "tenant": "Acme", "role": "developer"}
    assert "Join Acme" in words(shown)
    assert not plain.signed_in
    assert take(browser, token).status_code == 302


def test_an_invitation_works_once(acme, invite):
    token = invite()
    take(Browser(), token)

    again = take(Browser(), token)

    assert again.status_code == 410
    assert "used already" in words(again)
    assert roles(acme) == ["developer", "owner"]


def test_an_invitation_lives_seven_days(desk, clock, invite, acme):
    token = invite()
    clock.move(days=7, seconds=1)

    late = take(Browser(), token)

    assert late.status_code == 410
    assert "expired" in words(late)
    assert roles(acme) == ["owner"]


def test_a_forged_link_says_no_more_than_that_it_is_not_valid(invite):
    forged = invite()[:-4] + "AAAA"

    assert "not valid" in words(take(Browser(), forged))
    assert "not valid" in words(take(Browser(), "sbv_nonsense"))


def test_sending_again_ends_the_earlier_link(desk, acme, invite, mailbox):
    early = invite()
    (row,) = invitations(acme)

    desk.post(f"invitations/{row.public_id}/resend")
    late = token_of(mailbox.latest(KIM))

    assert late != early
    assert take(Browser(), early).status_code == 410
    assert take(Browser(), late).status_code == 302


def test_a_revoked_invitation_opens_nothing(desk, acme, invite):
    token = invite()
    (row,) = invitations(acme)

    desk.post(f"invitations/{row.public_id}/revoke")

    assert take(Browser(), token).status_code == 410
    assert roles(acme) == ["owner"]
    assert "member.invitation_revoked" in audited(acme.scope)


def test_a_mail_that_is_still_in_the_queue_is_not_sent_for_a_revoked_invitation(desk, acme, mailbox):
    desk.post("members", email=KIM, role="viewer")
    (row,) = invitations(acme)

    desk.post(f"invitations/{row.public_id}/revoke")

    assert mailbox(KIM) == []


def test_somebody_signed_in_with_the_address_joins_and_stays_who_they_are(acme, invite, mailbox):
    browser = signed_in(KIM, mailbox)
    token = invite()

    take(browser, token)

    assert [place.tenant_id for place in memberships_of(known().id)][-1] == acme.tenant_id
    assert browser.signed_in


def test_somebody_signed_in_with_another_address_takes_nothing(acme, invite, mailbox):
    browser = signed_in("mallory@example.com", mailbox)
    token = invite()

    refused = take(browser, token)

    assert refused.status_code == 409
    assert "k•••@example.com" in words(refused)
    assert roles(acme) == ["owner"]
    assert take(Browser(), token).status_code == 302


def test_without_the_link_an_invitation_waits_for_who_signs_in(acme, invite, mailbox):
    invite()

    browser = signed_in(KIM, mailbox)
    start = browser.get("/dashboard/")
    page = browser.get("/account/invitations")
    (row,) = invitations(acme)
    browser.post("/account/invitations", {"invitation": row.public_id, "answer": "accept"})

    assert start["Location"] == "/account/invitations"
    assert "Acme" in words(page)
    assert [place.tenant_name for place in memberships_of(known().id)] == ["Acme"]


def test_an_invitation_may_be_declined(acme, invite, mailbox):
    invite()
    browser = signed_in(KIM, mailbox)
    (row,) = invitations(acme)

    browser.post("/account/invitations", {"invitation": row.public_id, "answer": "decline"})

    assert invitations(acme) == []
    assert memberships_of(known().id) == []
    assert "member.invitation_declined" in audited(acme.scope)


def test_nobody_takes_what_was_offered_to_another(acme, invite, mailbox):
    invite()
    browser = signed_in("mallory@example.com", mailbox)
    (row,) = invitations(acme)

    refused = browser.post("/account/invitations", {"invitation": row.public_id, "answer": "accept"})
    malformed = browser.post("/account/invitations", {"invitation": "x", "answer": "accept"})

    assert (refused.status_code, malformed.status_code) == (404, 404)
    assert roles(acme) == ["owner"]


def test_an_invitation_of_somebody_who_was_removed_gives_nothing(desk, acme, desk_of, invite):
    admin = desk_of("admin")
    token = invite(by=admin)
    (place,) = (p for p in memberships_of(admin.user.id))
    owner = member_scope(desk.user, acme.tenant_id)

    with change(owner):
        remove_member(owner, Membership(id=place.id).public_id)

    assert invitations(acme) == []
    assert take(Browser(), token).status_code == 410
    assert roles(acme) == ["owner"]


def test_an_invitation_of_somebody_who_lost_the_role_gives_nothing(acme, desk_of, invite):
    admin = desk_of("admin")
    token = invite(by=admin)
    with change(acme.scope):
        Membership.objects.within(acme.scope).filter(user_id=admin.user.id).update(role="developer")

    refused = take(Browser(), token)

    assert refused.status_code == 410
    assert "can no longer" in words(refused)
    assert roles(acme) == ["developer", "owner"]


def test_known_and_unknown_addresses_are_invited_with_the_same_answer(desk, globex):
    seated(globex, "owner", "known@example.com")

    known_one = desk.client.post(desk.url("members"), {"email": "known@example.com", "role": "viewer"})
    unknown = desk.client.post(desk.url("members"), {"email": "unknown@example.com", "role": "viewer"})

    assert (known_one.status_code, known_one["Location"]) == (unknown.status_code, unknown["Location"])
    run_jobs()


def test_who_is_a_member_or_invited_already_is_not_invited_twice(desk, acme, desk_of, invite):
    desk_of("viewer")
    invite()

    member = desk.post("members", email="VIEWER@example.com", role="viewer")
    again = desk.post("members", email="KIM@example.com", role="viewer")

    assert "a member already" in words(member)
    assert "invited already" in words(again)
    assert len(invitations(acme)) == 1


@pytest.mark.parametrize("role", ["viewer", "developer"])
def test_lesser_roles_invite_nobody_and_see_no_invitation(acme, desk_of, invite, role):
    invite()
    desk = desk_of(role)

    assert desk.post("members", email="x@example.com", role="viewer").status_code == 403
    assert KIM not in words(desk.get("members"))
    assert len(invitations(acme)) == 1


def test_an_admin_invites_no_owner(acme, desk_of):
    refused = desk_of("admin").post("members", email=KIM, role="owner")

    assert refused.status_code == 400
    assert invitations(acme) == []


def test_an_account_sends_thirty_invitations_an_hour(desk, acme, one_window):
    for number in range(30):
        desk.client.post(desk.url("members"), {"email": f"p{number}@example.com", "role": "viewer"})

    refused = desk.post("members", email=KIM, role="viewer")

    assert "Thirty invitations an hour" in words(refused)
    assert len(invitations(acme)) == 30


def test_a_rivals_invitation_is_not_found(desk, globex, mailbox):
    rival = seated(globex, "owner", "hank@example.com")
    rival.post("members", email=KIM, role="viewer")
    (row,) = invitations(globex)

    assert desk.post(f"invitations/{row.public_id}/revoke").status_code == 404
    assert desk.post(f"invitations/{row.public_id}/resend").status_code == 404
    assert len(invitations(globex)) == 1


def test_of_sixteen_racers_with_one_link_one_gets_in(committed, mailbox):
    tenant, owner, _ = open_tenant("Initech", "owner@example.com")
    scope = member_scope(owner, tenant.id)
    with change(scope):
        invite_member(scope, email=KIM, role="developer")
    token = token_of(mailbox.latest(KIM))
    start, outcomes = threading.Barrier(16), []

    def race():
        start.wait()
        try:
            accept_link(token, None, lambda user: None)
            outcomes.append("in")
        except TokenAlreadyUsed:
            outcomes.append("late")
        connections.close_all()

    threads = [threading.Thread(target=race) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["in"] + ["late"] * 15
    with reading(scope):
        assert Membership.objects.within(scope).count() == 2
        assert SpentToken.unscoped.count() == 1


def test_a_job_that_runs_twice_leaves_the_newest_link_good(desk, acme, mailbox):
    desk.post("members", email=KIM, role="viewer")
    first = token_of(mailbox.latest(KIM))
    owner = member_scope(desk.user, acme.tenant_id)
    (row,) = invitations(acme)
    with change(owner):
        resend_invitation(owner, row.public_id)

    second = token_of(mailbox.latest(KIM))

    assert take(Browser(), first).status_code == 410
    assert take(Browser(), second).status_code == 302
