"""One Idempotency-Key: one effect, the same reply. Check 8."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections

from accounts.models import Customer
from stackbe.kernel import crypto, idempotency
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import IdempotencyInProgress, IdempotencyKeyReused, ValidationFailed
from stackbe.kernel.idempotency import Claim, Replay
from stackbe.kernel.models import IdempotencyRecord
from stackbe.kernel.transactions import change, reading
from tests.cast import Api, found_company

KEY = {"Idempotency-Key": "one"}


@pytest.fixture
def at(monkeypatch):
    """Move the clock of claims by some seconds."""
    started = wall_clock()

    def move(seconds):
        monkeypatch.setattr(idempotency, "wall_clock", lambda: started + timedelta(seconds=seconds))

    return move


def claim(company, key="one", request=b"body", credential="sbk"):
    return Claim(company.scope, credential, key, request)


def taken(company, made, **options):
    with change(company.scope):
        return made.take(**options)


def test_thirty_two_racers_have_one_effect_and_get_the_same_bytes(committed):
    company = found_company("Acme")
    answers: list[tuple[int, bytes, bool]] = []
    start = threading.Barrier(32)

    def race():
        start.wait()
        response = Api(company.key).post("/customers", {"email": "joe@shop.example"}, **KEY)
        replayed = response.headers.get("Idempotency-Replayed") == "true"
        answers.append((response.status_code, response.content, replayed))
        connections.close_all()

    threads = [threading.Thread(target=race) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {status for status, _, _ in answers} == {201}
    assert len({body for _, body, _ in answers}) == 1
    assert sum(not replayed for _, _, replayed in answers) == 1
    with reading(company.scope):
        assert Customer.objects.within(company.scope).count() == 1


def test_a_cut_reply_is_given_again(acme, acme_api):
    lost = acme_api.post("/customers", {"email": "joe@shop.example"}, **KEY).content

    assert acme_api.post("/customers", {"email": "joe@shop.example"}, **KEY).content == lost


def test_the_order_of_fields_makes_no_other_request(acme_api):
    first = acme_api.post("/customers", {"email": "joe@shop.example", "name": "Joe"}, **KEY)
    again = acme_api.post("/customers", {"name": "Joe", "email": "joe@shop.example"}, **KEY)

    assert again.content == first.content


def test_another_body_or_path_under_the_key_is_refused(acme_api):
    acme_api.post("/customers", {"email": "joe@shop.example"}, **KEY)

    for path, body in (
        ("/customers", {"email": "x@shop.example"}),
        ("/customers?upsert=true", {"email": "joe@shop.example"}),
    ):
        response = acme_api.post(path, body, **KEY)
        assert (response.status_code, response.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_tenants_are_independent(acme_api, globex_api):
    one = acme_api.post("/customers", {"email": "joe@shop.example"}, **KEY).json()
    two = globex_api.post("/customers", {"email": "joe@shop.example"}, **KEY).json()

    assert one["id"] != two["id"]


def test_an_app_named_by_a_tenant_key_is_independent_of_the_next(acme):
    other = Api(acme.tenant_key).post("/apps", {"name": "Other"}).json()["id"]
    ids = {
        Api(acme.tenant_key, **{"X-StackBE-App": app})
        .post("/customers", {"email": "j@shop.example"}, **KEY)
        .json()["id"]
        for app in (acme.app, other)
    }

    assert len(ids) == 2


def test_a_key_does_not_touch_other_methods(acme_api):
    made = acme_api.post("/customers", {"email": "joe@shop.example"}, **KEY).json()
    path = f"/customers/{made['id']}"

    assert acme_api.patch(path, {"name": "One"}, **KEY).json()["name"] == "One"
    assert acme_api.patch(path, {"name": "Two"}, **KEY).json()["name"] == "Two"
    assert acme_api.get(path, **KEY).status_code == 200


def test_after_a_day_the_key_is_fresh(acme, at):
    first = claim(acme)
    assert taken(acme, first) is None
    with change(acme.scope):
        first.store(201, b"reply")

    at(24 * 3600 + 1)
    later = claim(acme, request=b"other")
    assert taken(acme, later) is None
    assert later.id != first.id


def test_while_a_leased_request_runs_racers_are_told_to_wait(acme):
    assert taken(acme, claim(acme), lease=True) is None

    with pytest.raises(IdempotencyInProgress) as refused, change(acme.scope):
        claim(acme).take(lease=True)
    assert refused.value.retry_after_seconds == 1


def test_after_the_lease_a_retry_takes_over_under_the_same_id(acme, at):
    first, retry = claim(acme), claim(acme)
    taken(acme, first, lease=True)

    at(61)
    assert taken(acme, retry, lease=True) is None
    assert retry.id == first.id

    with pytest.raises(IdempotencyInProgress), change(acme.scope):
        claim(acme).take(lease=True)


def test_a_released_claim_may_be_taken_at_once(acme):
    first = claim(acme)
    taken(acme, first, lease=True)
    with change(acme.scope):
        first.release()

    assert taken(acme, claim(acme), lease=True) is None


def test_a_stored_reply_is_repeated(acme):
    first = claim(acme)
    taken(acme, first)
    with change(acme.scope):
        first.store(201, b"reply")

    assert taken(acme, claim(acme)) == Replay(201, b"reply")
    with pytest.raises(IdempotencyKeyReused), change(acme.scope):
        claim(acme, request=b"other").take()


def test_the_stored_reply_opens_only_for_who_holds_credential_and_key(acme):
    first = claim(acme)
    taken(acme, first)
    with change(acme.scope):
        first.store(201, b"a secret of the reply")

    with reading(acme.scope):
        row = IdempotencyRecord.objects.within(acme.scope).get()
    assert b"secret" not in bytes(row.reply)
    for other in (claim(acme, key="two"), claim(acme, credential="sbk2")):
        assert other.lookup != bytes(row.lookup)
        for context in (other._context(), first._context()):
            with pytest.raises(crypto.SealBroken):
                crypto.unseal(other._reply_key, bytes(row.reply), context)


def test_a_crash_leaves_no_claim_behind(acme, acme_api, monkeypatch):
    def crash(*_, **__):
        raise RuntimeError("in the middle")

    with monkeypatch.context() as broken:
        broken.setattr("accounts.services.customers.emit", crash)
        assert acme_api.post("/customers", {"email": "joe@shop.example"}, **KEY).status_code == 500

    assert acme_api.post("/customers", {"email": "joe@shop.example"}, **KEY).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "a\0b"])
def test_an_odd_key_is_refused(acme, key):
    with pytest.raises(ValidationFailed):
        claim(acme, key=key)


def test_a_key_of_no_use_is_named(acme_api):
    for key in ("", "x" * 256, "tab\there"):
        response = acme_api.post("/customers", {"email": "joe@acme.example"}, **{"Idempotency-Key": key})
        assert (response.status_code, list(response.json()["fields"])) == (400, ["Idempotency-Key"])
