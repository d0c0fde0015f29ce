"""A fresh proof before what cannot be undone, over every page that the table names."""

from __future__ import annotations

import re

import pytest
from django.urls import get_resolver

from accounts.dashboard.step_up import ASKED_FOR
from apikeys.models import ApiKey
from stackbe.kernel.transactions import reading
from tests.members.authenticators import app_code
from tests.members.conftest import signed_in, words
from tests.members.test_factors import ADA, enrol, moment
from tests.members.test_permissions import PAGES, path_of
from tests.signin.people import Browser

pytestmark = pytest.mark.django_db
ASKS = "Is it you?"
# Names that sound as if they could not be undone, and why they are not asked for.
HARMLESS = {
    "dashboard-coupon-archive": "who has it keeps it, and another can be made",
    "dashboard-feature-archive": "nothing is lost: it is made again under the same key",
    "dashboard-invitation-revoke": "it only ever takes something away from a stranger",
    "dashboard-metric-archive": "counts are kept",
    "dashboard-organization-remove": "who was removed can be added again",
    "dashboard-organization-revoke": "it only ever takes something away from a stranger",
    "dashboard-plan-archive": "subscribers keep it",
}
SOUNDS_FINAL = re.compile(r"archive|delete|disconnect|remove|revoke|rotate|transfer|erase|reveal")
PAGES_ASKED = [page for page in PAGES if page.name in ASKED_FOR]


def stale(desk):
    """Let the desk's session be as old as one that was opened this morning."""
    session = desk.client.session
    session.pop("proof", None)
    session.save()


def asked_path(desk, page):
    actions = ASKED_FOR[page.name]
    path = path_of(page, desk.company.app)
    return path if actions is None else path.removesuffix("test") + min(actions)


@pytest.mark.parametrize("page", PAGES_ASKED, ids=[page.name for page in PAGES_ASKED])
def test_a_stale_session_is_asked_first_and_the_mailed_code_goes_on(desk, mailbox, page):
    stale(desk)
    path = asked_path(desk, page)

    asked = desk.client.post(path, {"name": "kept", "grace_seconds": "0"})
    code = mailbox.latest(ADA)["code"]
    wrong = desk.client.post(path, {"proof_code": "000000" if code != "000000" else "111111"})
    passed = desk.client.post(path, {"name": "kept", "proof_code": code})

    assert asked.status_code == wrong.status_code == 403
    assert ASKS in words(asked)
    assert 'name="name" value="kept"' in asked.content.decode()
    assert ASKS in words(wrong)
    assert ASKS not in words(passed)


def test_the_table_names_only_urls_that_there_are():
    names = {key for key in get_resolver().reverse_dict if isinstance(key, str)}

    assert set(ASKED_FOR) <= names
    assert {page.name for page in PAGES_ASKED} == set(ASKED_FOR)


def test_every_page_that_sounds_final_asks_or_says_why_not():
    final = {page.name for page in PAGES if SOUNDS_FINAL.search(page.name)}

    assert final - set(ASKED_FOR) - set(HARMLESS) == set()


def test_nothing_happens_before_the_proof_and_the_form_is_done_with_it(desk, acme, mailbox):
    stale(desk)
    with reading(acme.scope):
        key = ApiKey.objects.within(acme.scope).get(name="app")

    desk.client.post(desk.url(f"keys/{key.public_id}/revoke"))
    with reading(acme.scope):
        before = ApiKey.objects.within(acme.scope).get(pk=key.pk).revoked_at
    desk.client.post(desk.url(f"keys/{key.public_id}/revoke"), {"proof_code": mailbox.latest(ADA)["code"]})
    with reading(acme.scope):
        after = ApiKey.objects.within(acme.scope).get(pk=key.pk).revoked_at

    assert before is None
    assert after is not None


def test_the_proof_holds_for_ten_minutes(desk, clock, mailbox):
    stale(desk)
    desk.client.post(desk.url("keys"), {"name": "one", "reach": "all"})
    code = mailbox.latest(ADA)["code"]
    first = desk.client.post(desk.url("keys"), {"name": "one", "reach": "all", "proof_code": code})
    clock.move(minutes=10)
    within = desk.client.post(desk.url("keys"), {"name": "two", "reach": "all"})
    clock.move(seconds=1)
    late = desk.client.post(desk.url("keys"), {"name": "three", "reach": "all"})

    assert (first.status_code, within.status_code, late.status_code) == (201, 201, 403)


def test_a_mailed_code_works_once_and_signs_nobody_in(desk, clock, mailbox):
    stale(desk)
    desk.client.post(desk.url("keys"), {"name": "one", "reach": "all"})
    code = mailbox.latest(ADA)["code"]

    elsewhere = Browser()
    refused = elsewhere.post("/auth/developer/code", {"email": ADA, "code": code})
    desk.client.post(desk.url("keys"), {"name": "one", "reach": "all", "proof_code": code})
    stale(desk)
    again = desk.client.post(desk.url("keys"), {"name": "two", "reach": "all", "proof_code": code})

    assert refused.status_code == 400
    assert not elsewhere.signed_in
    assert again.status_code == 403


def test_who_has_a_factor_is_asked_for_it_and_no_mail_will_do(clock, mailbox):
    browser = signed_in(ADA, mailbox)
    secret, _ = enrol(browser)
    clock.move(minutes=11)
    mails = len(mailbox(ADA))

    asked = browser.post("/account/security/recovery-codes", {})
    by_mail = browser.post("/account/security/recovery-codes", {"proof_code": mailbox.latest(ADA).get("code") or "1"})
    by_app = browser.post("/account/security/recovery-codes", {"proof_code": app_code(secret, moment())})

    assert "authenticator app" in words(asked)
    assert by_mail.status_code == 403
    assert by_app.status_code == 201
    assert len(mailbox(ADA)) == mails + 1  # the notice that the codes are new


def test_a_role_that_may_not_is_refused_before_it_is_asked(desk_of):
    viewer = desk_of("viewer")
    stale(viewer)

    refused = viewer.client.post(viewer.url("keys"), {"name": "x", "reach": "all"})

    assert refused.status_code == 403
    assert ASKS not in words(refused)


def test_looking_is_never_asked(desk):
    stale(desk)

    assert ASKS not in words(desk.get("keys"))
    assert ASKS not in words(desk.get("members"))
