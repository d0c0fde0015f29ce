"""Signing keys are replaced with an overlap: no valid token is refused, no retired one accepted (security check 18)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from threading import Event
from typing import Any

import jwt
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import SigningKey
from accounts.services.tokens import OVERLAP, PUBLISHED_AHEAD, rotate_signing_key
from accounts.tasks import rotate_signing_keys
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading
from tests.cast import Api, found_company
from tests.queue import run_periodic
from tests.signin.conftest import Front

ROTATIONS = 6
CALLERS = 6
ROUNDS = 12


def kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def published(company) -> dict[str, Any]:
    answer = Api(None).get(f"/apps/{company.app}/.well-known/jwks.json")
    return {key["kid"]: jwt.PyJWK(key).key for key in answer.json()["keys"]}


def keys_of(company) -> list[SigningKey]:
    with reading(company.scope):
        return list(SigningKey.objects.within(company.scope).order_by("id"))


def rotate(company, **how: bool) -> SigningKey:
    with change(company.scope):
        return rotate_signing_key(company.scope, **how)


def pass_time(company, by: timedelta) -> None:
    """Make every key older, as time does; tokens stay what they are."""
    with change(company.scope):
        for key in SigningKey.objects.within(company.scope):
            key.created_at -= by
            key.activates_at -= by
            key.retired_at = key.retired_at and key.retired_at - by
            key.save(update_fields=["created_at", "activates_at", "retired_at"])


@pytest.mark.django_db
def test_a_new_key_is_published_before_it_signs(front, acme):
    before = front.sign_in()["sessionToken"]

    new = rotate(acme)

    assert list(published(acme)) == [new.public_id, kid(before)]
    assert kid(front.sign_in()["sessionToken"]) == kid(before)
    pass_time(acme, PUBLISHED_AHEAD)
    assert kid(front.sign_in()["sessionToken"]) == new.public_id
    assert front.session(before).status_code == 200


@pytest.mark.django_db
def test_the_key_set_may_be_kept_for_less_time_than_a_key_is_published_ahead(front, acme):
    answer = Api(None).get(f"/apps/{acme.app}/.well-known/jwks.json")

    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert timedelta(seconds=300) < PUBLISHED_AHEAD


@pytest.mark.django_db
def test_the_old_key_verifies_until_its_last_token_has_ended_and_not_after(front, acme):
    rotate(acme)
    before = front.sign_in()["sessionToken"]
    new = rotate(acme)
    old = next(key for key in keys_of(acme) if key.public_id == kid(before))
    assert old.retired_at == new.activates_at + OVERLAP

    pass_time(acme, PUBLISHED_AHEAD + OVERLAP - timedelta(seconds=30))
    assert front.session(before).status_code == 200
    pass_time(acme, timedelta(seconds=30))

    assert front.session(before).status_code == 401
    assert list(published(acme)) == [new.public_id]


@pytest.mark.django_db
def test_two_rotations_in_a_row_leave_no_gap(front, acme):
    first = front.sign_in()["sessionToken"]
    second, third = rotate(acme), rotate(acme)
    assert set(published(acme)) == {kid(first), second.public_id, third.public_id}

    seen = []
    for _ in range(12):
        token = front.sign_in()["sessionToken"]
        assert front.session(token).status_code == 200
        seen.append(kid(token))
        pass_time(acme, timedelta(minutes=4))

    assert seen[0] == kid(first)
    assert seen[-1] == third.public_id
    assert seen == sorted(seen)


@pytest.mark.django_db
def test_a_leaked_key_is_replaced_at_once_with_those_that_wait(front, acme):
    before = front.sign_in()
    waiting = rotate(acme)

    new = rotate(acme, at_once=True)

    assert front.session(before["sessionToken"]).status_code == 401
    assert list(published(acme)) == [new.public_id]
    pass_time(acme, PUBLISHED_AHEAD)
    fresh = front.refresh(before["refreshToken"]).json()["sessionToken"]
    assert kid(fresh) == new.public_id != waiting.public_id
    assert front.session(fresh).status_code == 200


@pytest.mark.django_db
def test_the_command_replaces_the_key_of_one_app(front, acme, rival):
    before, theirs = front.sign_in()["sessionToken"], rival.sign_in()["sessionToken"]
    out, told = StringIO(), StringIO()

    call_command("rotate_jwt_keys", "--app", acme.app, stdout=out, stderr=told)

    app, new = out.getvalue().split()
    assert app == acme.app
    assert set(published(acme)) == {new, kid(before)}
    assert list(published(rival.company)) == [kid(theirs)]
    assert "signs in 6 minutes" in told.getvalue()


@pytest.mark.django_db
def test_the_command_replaces_the_keys_of_all_apps_that_have_one(front, acme, rival):
    tokens = [side.sign_in()["sessionToken"] for side in (front, rival)]
    out = StringIO()

    call_command("rotate_jwt_keys", "--all", "--at-once", stdout=out, stderr=StringIO())

    lines = dict(line.split() for line in out.getvalue().splitlines())
    assert lines == {side.company.app: next(iter(published(side.company))) for side in (front, rival)}
    assert [side.session(token).status_code for side, token in zip((front, rival), tokens, strict=True)] == [401, 401]


@pytest.mark.django_db
@pytest.mark.parametrize("words", [["--app", "app_nonsense"], [], ["--app", "app_x", "--all"]])
def test_the_command_says_what_it_wants(words):
    with pytest.raises(CommandError, match=r"no app|required|not allowed"):
        call_command("rotate_jwt_keys", *words, stdout=StringIO(), stderr=StringIO())


@pytest.mark.django_db
def test_the_worker_replaces_a_key_after_ninety_days_and_deletes_the_old_one_a_day_after_its_end(front, acme):
    before = front.sign_in()["sessionToken"]
    run_periodic(rotate_signing_keys.name)
    assert len(keys_of(acme)) == 1
    pass_time(acme, timedelta(days=91))

    run_periodic(rotate_signing_keys.name)

    assert len(keys_of(acme)) == 2
    assert front.session(before).status_code == 200
    pass_time(acme, timedelta(hours=24) + PUBLISHED_AHEAD + OVERLAP + timedelta(minutes=1))
    run_periodic("trust.purge")
    (left,) = keys_of(acme)
    assert left.public_id == kid(front.sign_in()["sessionToken"])


def bring_on(company, new: SigningKey) -> None:
    """Let the moment come at which a published key begins to sign, however young today's tokens are."""
    with change(company.scope):
        wait = new.activates_at - wall_clock()
        for key in SigningKey.objects.within(company.scope).locked():
            if key.id == new.id:
                key.activates_at -= wait
            elif key.retired_at == new.activates_at + OVERLAP:
                key.retired_at -= wait
            key.save(update_fields=["activates_at", "retired_at"])


class Backend:
    """An app's server that verifies offline and keeps its copy of the key set for as long as it is told."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.keys = published(front.company)

    def accepts(self, token: str) -> bool:
        """Verify without asking for a key again: only what was published ahead is known."""
        key = self.keys.get(kid(token))
        if key is None:
            return False
        jwt.decode(token, key, algorithms=["EdDSA"], audience=self.front.company.app)
        return True


def test_rotation_under_load_refuses_no_valid_token_and_accepts_no_retired_one(committed, mailbox, settings):
    settings.ADDRESS_LIMITS = dict.fromkeys(settings.ADDRESS_LIMITS, (1_000_000, 60))
    front = Front(found_company("Acme"), mailbox)
    company = front.company
    customer = front.backend.post("/customers", {"email": "ada@example.com"}).json()["id"]
    front.backend.post(f"/customers/{customer}/sessions")
    backend, over = Backend(front), Event()

    def call(_: int) -> list[tuple[str, int, bool]]:
        """Sign in, call with every token so far, verify each offline with the last published keys."""
        seen: list[tuple[str, int, bool]] = []
        held: list[str] = []
        try:
            while not (over.is_set() and len(held) >= ROUNDS):
                opened = front.backend.post(f"/customers/{customer}/sessions").json()
                held.append(opened["sessionToken"])
                seen += [(kid(t), front.session(t).status_code, backend.accepts(t)) for t in held[-3:]]
        finally:
            connection.close()
        return seen

    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(call, n) for n in range(CALLERS)]
        try:
            for _ in range(ROTATIONS):
                new = rotate(company)
                # Verifiers renew their copy within the time that a key is published ahead; then it signs.
                backend.keys = published(company)
                bring_on(company, new)
        finally:
            over.set()
        seen = [entry for done in calls for entry in done.result()]

    assert {(status, offline) for _, status, offline in seen} == {(200, True)}
    assert len({key for key, _, _ in seen}) > 1

    tokens = {}
    for _ in range(3):
        token = front.backend.post(f"/customers/{customer}/sessions").json()["sessionToken"]
        tokens[kid(token)] = token
        rotate(company)
        pass_time(company, PUBLISHED_AHEAD)
    pass_time(company, OVERLAP)
    live = front.backend.post(f"/customers/{customer}/sessions").json()["sessionToken"]
    with ThreadPoolExecutor(CALLERS) as pool:
        retired = list(pool.map(lambda t: closing(front.session, t), list(tokens.values()) * 4))
        good = list(pool.map(lambda t: closing(front.session, t), [live] * 8))
    assert set(retired) == {401}
    assert set(good) == {200}
    assert list(published(company)) == [kid(live)]
    assert wall_clock() > next(k for k in keys_of(company) if k.public_id == kid(live)).activates_at


def closing(ask: Any, token: str) -> int:
    """Ask in a thread of its own and leave no connection behind."""
    try:
        return int(ask(token).status_code)
    finally:
        connection.close()
