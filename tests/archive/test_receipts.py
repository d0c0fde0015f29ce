"""Receipts of erasures: GET /v1/erasures and /v1/erasures/:id."""

from __future__ import annotations

import pytest

from accounts.erasure import run_erasure
from stackbe.kernel import attest
from stackbe.kernel.ids import decode
from stackbe.kernel.models import SubjectKey
from stackbe.kernel.transactions import change, reading
from tests.queue import run_jobs
from tests.refusals import assert_hidden, assert_needs_credential, assert_needs_scope, never


@pytest.fixture
def ann(acme_api):
    return acme_api.post("/customers", {"email": "ann@shop.example", "name": "Ann"}).json()


def listed(api):
    return api.get("/erasures").json()["data"]


def test_a_deletion_is_on_the_list_at_once_and_its_receipt_once_it_is_done(acme_api, ann):
    acme_api.delete(f"/customers/{ann['id']}")
    (asked,) = listed(acme_api)

    run_jobs()

    assert (asked["kind"], asked["targetId"], asked["status"], asked["receipt"]) == (
        "customer",
        ann["id"],
        "pending",
        None,
    )
    done = acme_api.get(f"/erasures/{asked['id']}").json()
    assert done["status"] == "done"
    statement = done["receipt"]["statement"]
    assert (statement["targetId"], statement["doneAt"]) == (ann["id"], done["doneAt"])
    assert statement["rows"]["customer"] == 1
    assert listed(acme_api) == [done]


def test_an_organizations_erasure_leaves_one_and_takes_its_key(acme, acme_api, ann):
    club = acme_api.post("/organizations", {"name": "Engines", "customerId": ann["id"]}).json()
    with reading(acme.scope):
        before = SubjectKey.objects.within(acme.scope).count()

    acme_api.delete(f"/organizations/{club['id']}")
    run_jobs()

    (told,) = listed(acme_api)
    assert (told["kind"], told["targetId"], told["status"]) == ("organization", club["id"], "done")
    with reading(acme.scope):
        assert SubjectKey.objects.within(acme.scope).count() == before - 1


def test_erasing_twice_leaves_the_one_receipt(acme, acme_api, ann):

    acme_api.delete(f"/customers/{ann['id']}")
    run_jobs()
    before = listed(acme_api)

    run_erasure(acme.scope, decode("cust", ann["id"]))

    assert listed(acme_api) == before


def test_no_personal_data_is_in_a_receipt(acme_api, ann):
    acme_api.delete(f"/customers/{ann['id']}")
    run_jobs()

    told = acme_api.get("/erasures").content.decode()
    assert "ann@" not in told
    assert "Ann" not in told


def test_anybody_can_check_a_receipt_with_the_published_key(acme_api, ann, stand_alone):
    acme_api.delete(f"/customers/{ann['id']}")
    run_jobs()
    receipt = listed(acme_api)[0]["receipt"]
    forged = receipt | {"statement": receipt["statement"] | {"targetId": never("cust")}}

    good, bad = stand_alone.receipt(receipt), stand_alone.receipt(forged)

    assert (good.returncode, ann["id"] in good.stdout) == (0, True), good.stderr
    assert (bad.returncode, "changed after it was signed" in bad.stderr) == (1, True)


def test_an_archives_signature_is_none_for_a_receipt(acme_api, acme):

    with change(acme.scope):
        proof = attest.attest(attest.ARCHIVE, b"the same bytes")
        (key,) = attest.public_keys()

    public = attest.decoded(key["x"])
    assert attest.holds(public, attest.ARCHIVE, b"the same bytes", proof["signature"])
    assert not attest.holds(public, attest.RECEIPT, b"the same bytes", proof["signature"])
    assert key["kid"] == proof["kid"]


def test_the_list_is_the_apps_own(acme, acme_api, globex_api, ann):
    acme_api.delete(f"/customers/{ann['id']}")
    (told,) = listed(acme_api)

    assert listed(globex_api) == []
    assert_hidden(globex_api, "GET", f"/erasures/{told['id']}", f"/erasures/{never('era')}")
    assert_needs_credential("GET", "/erasures")
    assert_needs_scope(acme.api("plans:read"), "customers:read", "GET", "/erasures")
