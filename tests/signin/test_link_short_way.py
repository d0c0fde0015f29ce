"""A link is asked for in three calls, and the answer is the one that the ordinary way gives."""

from __future__ import annotations

import pytest

from accounts.models import App, MagicLink
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.transactions import change, reading
from stackbe.mail.models import OutgoingMail
from tests.cast import Api
from tests.queue import queued

pytestmark = pytest.mark.django_db
ORDINARY = {"Accept": "application/json, text/plain"}


@pytest.fixture
def ask(front, acme):
    """Ask both ways; return the answer that both give."""

    def ask(email="ada@example.com", *, key=acme.key, where=front.auth, **body):
        asked = {"email": email, **body}
        both = [Api(key).post(f"{where}/magic-link", asked, **headers) for headers in ({}, ORDINARY)]
        told = [{name: value for name, value in each.json().items() if name != "requestId"} for each in both]
        assert told[0] == told[1]
        assert both[0].status_code == both[1].status_code
        assert set(both[1].headers) - set(both[0].headers) <= {"Allow"}
        return both[0]

    return ask


def test_it_takes_three_queries(front, django_assert_num_queries):
    front.ask()

    with django_assert_num_queries(3):
        assert front.ask().json()["success"] is True


def test_both_ways_count_in_one_bucket(front):
    left = [
        int(
            front.backend.post(f"{front.auth}/magic-link", {"email": "ada@example.com"}, **headers)[
                "X-RateLimit-Remaining"
            ]
        )
        for headers in ({}, ORDINARY, {}, ORDINARY)
    ]

    assert left == [left[0], left[0] - 1, left[0] - 2, left[0] - 3]


def test_each_leaves_a_link_its_mail_and_a_job(front, acme, ask):
    ask("ada@example.com")

    with reading(acme.scope):
        links = set(MagicLink.objects.within(acme.scope).values_list("pk", flat=True))
        assert {link.email for link in MagicLink.objects.within(acme.scope)} == {"ada@example.com"}
        assert set(OutgoingMail.objects.within(acme.scope).values_list("pk", flat=True)) == links
    jobs = [arguments for name, arguments in queued() if name == "accounts.mail_magic_link"]
    assert {job["link_id"] for job in jobs} == {str(link) for link in links}
    assert len(links) == 2


def test_faults_are_told_alike(front, rival, ask):
    assert ask(redirectUrl="https://evil.example/").json()["code"] == "REDIRECT_NOT_ALLOWED"
    assert ask(useDev=True).status_code == 400
    assert ask(organizationId=encode("org", new_id())).status_code == 404
    assert ask("nobody").status_code == 400
    assert ask(surprise=1).status_code == 400
    assert ask(where=rival.auth).json()["code"] == "APP_NOT_FOUND"
    assert ask(key="sbk_test_wrong").status_code == 401


def test_only_the_apps_own_backend_hears_of_an_unknown_address(front, acme, ask):
    front.set(auto_create_customer=False)

    narrow = acme.api("customers:read").headers["Authorization"].removeprefix("Bearer ")

    assert ask("bob@example.com").json()["code"] == "CUSTOMER_NOT_FOUND"
    assert ask("bob@example.com", key=narrow).status_code == 200


def test_a_key_past_its_limit_is_told_to_wait(acme, front, ask):
    with change(acme.scope):
        App.objects.within(acme.scope).update(api_limit_per_minute=1)
    front.ask()

    refused = ask()

    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 0
