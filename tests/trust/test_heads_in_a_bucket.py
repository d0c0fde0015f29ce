"""Signed heads of the audit log in an object store: nothing overwritten, nothing forgotten, silence never taken for yes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from stackbe.archive.trusted import trusted_keys
from stackbe.kernel.audit import audit, seal_audit_rows
from stackbe.kernel.ids import encode
from stackbe.kernel.transactions import change
from stackbe.trust import heads
from stackbe.trust.checks.access import kept_heads
from stackbe.trust.checks.asking import as_role
from stackbe.trust.checks.shapes import Found, State
from stackbe.trust.objects import ObjectStore, StoreFailed, signature
from stackbe.trust.shelves import shelf
from tests.cast import found_company
from tests.queue import run_periodic
from tests.trust import bucket
from tests.trust.conftest import nth


@pytest.fixture
def acme(committed):
    return found_company("Acme")


@pytest.fixture
def store(settings):
    server = bucket.serve()
    settings.AUDIT_HEADS = f"s3://{bucket.NAME}/heads"
    settings.AUDIT_HEADS_ENDPOINT = server.endpoint
    settings.AUDIT_HEADS_KEY_ID, settings.AUDIT_HEADS_SECRET = bucket.KEY_ID, bucket.SECRET
    yield server
    server.shutdown()
    server.server_close()


def moved(company):
    with change(company.scope):
        audit(company.scope, "thing.done")
        seal_audit_rows(company.tenant_id)


def kept(server):
    """Return `(day, [(tenant, sequence)])` of each object, oldest first."""
    found = []
    for name, content in server.objects.items():
        statements = [json.loads(line)["statement"] for line in content.decode().splitlines()]
        found.append((name.split("/")[1], [(each["tenantId"], each["sequence"]) for each in statements]))
    return found


def looked():
    found = Found()
    with as_role("staff") as staff:
        kept_heads(found, staff)
    return found.state, found.evidence


def test_each_minute_is_an_object_and_a_day_begins_with_every_tenants_highest_head(
    chain, acme, store, settings, monkeypatch, capsys
):
    run_periodic("trust.keep_heads")
    run_periodic("trust.keep_heads")
    moved(acme)
    run_periodic("trust.keep_heads")
    heads._seen.clear()  # the worker is started anew
    run_periodic("trust.keep_heads")
    real = timezone.now
    for days in (1, 3):
        monkeypatch.setattr(timezone, "now", lambda days=days: real() + timedelta(days=days))
        heads._seen.clear()
        moved(acme)
        run_periodic("trust.keep_heads")
    call_command("verify_audit")

    me = encode("ten", acme.tenant_id)
    first, second, tomorrow, later = kept(store)
    assert len(first[1]) == 2
    assert second[1] == [(me, dict(first[1])[me] + 1)]
    assert dict(tomorrow[1]) == {**dict(first[1]), me: dict(first[1])[me] + 2}
    assert dict(later[1]) == {**dict(first[1]), me: dict(first[1])[me] + 3}
    assert len({each[0] for each in kept(store)}) == 3
    assert "Compared with 2 signed heads" in capsys.readouterr().out
    assert looked()[0] == State.OK
    # The listing of days has two pages; whoever read the first alone would miss the newest.
    newest = heads.read_heads(shelf(settings.AUDIT_HEADS), trusted_keys(None), recent=True).heads
    assert newest[str(acme.tenant_id)][0] == dict(later[1])[me]


def test_a_log_that_was_cut_stays_found_out_however_long_ago_and_whoever_starts_anew(
    chain, acme, owner, store, monkeypatch
):
    run_periodic("trust.keep_heads")
    last = dict(kept(store)[0][1])[encode("ten", acme.tenant_id)]
    owner.execute(f"delete from kernel_auditevent where id = {nth(chain, last)}")
    owner.execute("delete from kernel_auditseal where tenant_id = %s and sequence = %s", [chain, last])
    real, seen = timezone.now, []
    for days in range(4):
        monkeypatch.setattr(timezone, "now", lambda days=days: real() + timedelta(days=days))
        heads._seen.clear()
        run_periodic("trust.keep_heads")
        seen.append(looked())

    with pytest.raises(SystemExit):
        call_command("verify_audit")
    assert [state for state, _ in seen] == [State.FAILED] * 4
    assert seen[-1][1] == "1 chains were cut off."


def test_nothing_is_overwritten_and_what_fails_is_said_and_tried_again(chain, acme, store, settings):
    place = shelf(settings.AUDIT_HEADS)
    place.store.put_new("heads/2026-01-01/taken", b"first")
    with pytest.raises(StoreFailed, match="412 PreconditionFailed to PUT audit/heads/2026-01-01/taken"):
        place.store.put_new("heads/2026-01-01/taken", b"second")
    assert store.objects.pop("heads/2026-01-01/taken") == b"first"

    settings.AUDIT_HEADS_SECRET = "another"
    with pytest.raises(StoreFailed, match="403 SignatureDoesNotMatch"):
        run_periodic("trust.keep_heads")
    said = f"{store.endpoint[7:]} answered 403 SignatureDoesNotMatch to GET audit/."
    assert looked() == (State.NOT_RUN, f"The heads that are kept elsewhere could not be read: {said}")
    with pytest.raises(CommandError, match="403"):
        call_command("verify_audit")
    settings.AUDIT_HEADS_SECRET = bucket.SECRET
    run_periodic("trust.keep_heads")
    assert len(kept(store)) == 1
    with pytest.raises(CommandError, match="no s3://bucket/folder"):
        call_command("verify_audit", "--heads", "s3://audit/a b")
    with pytest.raises(CommandError, match="There are no heads"):
        call_command("verify_audit", "--heads", "s3://audit/elsewhere")
    assert {method for method, _, _ in store.asked} == {"GET", "PUT"}
    assert "another" not in repr(place)


# The worked examples of AWS's own description of the signature, and the key that they are made with.
PUBLISHED_KEY = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")  # pragma: allowlist secret
PUBLISHED = {
    "an object": ("GET", "/test.txt", "", b"", {"Range": "bytes=0-9"},
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    "a new object": ("PUT", "/test%24file.text", "", b"Welcome to Amazon S3.",
        {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    "a listing": ("GET", "/", "max-keys=2&prefix=J", b"", {},
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "query", "content", "headers", "wanted"), PUBLISHED.values(), ids=PUBLISHED)
def test_requests_are_signed_as_published(method, path, query, content, headers, wanted):
    store = ObjectStore("https://s3.amazonaws.com", "us-east-1", "examplebucket", *PUBLISHED_KEY)
    sent = {"Host": "examplebucket.s3.amazonaws.com", **headers}

    signed = signature(store, method, path, query, content, sent, datetime(2013, 5, 24, tzinfo=UTC))

    assert signed["Authorization"].endswith(f"Signature={wanted}")
