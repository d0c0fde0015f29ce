"""`manage.py rotate_keys`: every key is replaced while everything is read, and a run that was killed is taken up."""

from __future__ import annotations

import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from accounts import opaque
from accounts.models import Customer
from apikeys import hot
from apikeys.models import ApiKey
from stackbe.kernel import attest, crypto
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.models import AuditEvent, SubjectKey, TenantKey, TenantSecret
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import change, current, reading
from stackbe.trust.services.rotation import keys, telling, values
from tests.cast import Api, found_company
from tests.queue import worker_rights

APP_KINDS = "master,tenant,subject,pepper,jwt,webhook"


@pytest.fixture
def rotate(capsys):
    """Run the command as the worker's role; return `{kind: (done, to do)}`, or its complaints if it has any."""

    def run(*words, status=0):
        ended = 0
        with worker_rights():
            try:
                call_command("rotate_keys", *words)
            except SystemExit as end:
                ended = int(end.code or 0)
        said = capsys.readouterr()
        assert ended == status, said
        if status:
            return said.err
        found = {}
        for line in said.out.splitlines():
            if ":" not in line:
                continue
            kind, *counts = line.partition(":")[0].replace(",", "").split()
            found[kind] = tuple(int(word) for word in counts if word.isdigit())
        return found

    return run


def fill(company, people=3):
    """Let a company have values of all sorts: under its own key, and under people's."""
    api = Api(company.key)
    for number in range(people):
        made = api.post("/customers", {"email": f"c{number}@shop.example", "name": f"Customer {number}"})
        assert made.status_code == 201
        api.post("/webhook-endpoints", {"url": f"https://example.com/{number}", "events": ["*"]})
    product = api.post("/products", {"name": "Box", "metadata": {"a": "b"}})
    session = api.post(f"/customers/{made.json()['id']}/sessions")
    assert (product.status_code, session.status_code) == (201, 201)


def read_all(api):
    """Return what a client sees of it."""
    customers = api.get("/customers").json()["data"]
    return {
        "customers": sorted((c["email"], c["name"]) for c in customers),
        "hooks": [hook["url"] for hook in api.get("/webhook-endpoints").json()["data"]],
        "products": [product["metadata"] for product in api.get("/products").json()["data"]],
        "events": len(api.get("/events").json()["data"]),
    }


def keys_named(company):
    """Return the names of the keys that a company's wrapped keys, secrets and values lie under now."""
    with reading(company.scope):
        rows = [*SubjectKey.objects.within(company.scope), *TenantSecret.objects.within(company.scope)]
        return {crypto.key_id_of(bytes(row.wrapped)) for row in rows}


def test_every_key_is_replaced_and_all_that_lay_under_it_is_read_as_before(acme, rotate, new_master):
    fill(acme)
    before, api = read_all(Api(acme.key)), Api(acme.key)
    with reading(acme.scope):
        (old,) = TenantKey.objects.within(acme.scope)
    new_master(alone=False)

    counted = rotate("--dry-run", "--older-than", "0", "--only", APP_KINDS)
    assert {kind: number for kind, (number,) in counted.items() if number == 0} == {}
    assert keys_named(acme) == {old.id.bytes}
    done = rotate("--older-than", "0", "--only", APP_KINDS)

    assert {kind: left for kind, (_, left) in done.items() if left} == {}
    assert {kind: count for kind, (count, _) in done.items() if not count} == {}
    new_master(alone=True)
    assert read_all(api) == before
    with reading(acme.scope):
        retired, newest = TenantKey.objects.within(acme.scope).order_by("id")
        assert (retired.id, retired.retired_at is None, newest.retired_at) == (old.id, False, None)
    assert keys_named(acme) == {newest.id.bytes}
    assert values.under_keys(acme.scope) == 0
    assert api.post("/customers", {"email": "later@shop.example"}).status_code == 201
    # What is young is left alone, so that a run that is taken up does not begin anew.
    again = rotate("--only", APP_KINDS)
    assert {kind: count for kind, (count, _) in again.items() if count} == {}


def test_a_run_that_was_killed_is_taken_up_where_it_stood(acme, globex, rotate, monkeypatch):
    for company in (acme, globex):
        fill(company)
    before = [read_all(Api(company.key)) for company in (acme, globex)]
    monkeypatch.setattr(keys, "AT_ONCE", 2)
    monkeypatch.setattr(values, "AT_ONCE", 2)
    real, calls = values._store, []

    def dies(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(values, "_store", dies)
    with pytest.raises(KeyboardInterrupt):
        rotate("--older-than", "0", "--only", "tenant,subject", "--tenant", encode("ten", acme.tenant_id))
    monkeypatch.setattr(values, "_store", real)
    assert [read_all(Api(company.key)) for company in (acme, globex)] == before
    with reading(acme.scope):
        made = TenantKey.objects.within(acme.scope).count()

    done = rotate("--only", "tenant,subject")

    assert done["tenant"][0] > 0
    assert (done["tenant"][1], done["subject"][1]) == (0, 0)
    with reading(acme.scope):
        assert TenantKey.objects.within(acme.scope).count() == made == 2
    assert [read_all(Api(company.key)) for company in (acme, globex)] == before


def test_a_value_that_was_changed_or_moved_is_named_and_the_rest_goes_on(acme, rotate):
    fill(acme)
    api = Api(acme.key)
    with reading(acme.scope), connection.cursor() as cursor:
        cursor.execute("select id, url from webhooks_webhookendpoint order by id")
        (first, url), (second, _), _ = cursor.fetchall()
        cursor.execute("update webhooks_webhookendpoint set url = %s where id = %s", [url, second])

    complaints = rotate("--older-than", "0", "--only", "tenant", status=1)

    assert f"webhooks_webhookendpoint.url|{second} does not open" in complaints
    assert str(first) not in complaints
    assert api.get("/products").json()["data"][0]["metadata"] == {"a": "b"}
    with reading(acme.scope):
        assert TenantKey.objects.within(acme.scope).filter(retired_at__isnull=False).count() == 0


CHECK = "/entitlements/check/anything?customerId={}"


def test_a_key_of_before_goes_on_working_and_is_hashed_anew_when_it_is_used(acme, rotate):
    fill(acme, people=1)
    app, tenant = Api(acme.key), Api(acme.tenant_key)
    customer = app.get("/customers").json()["data"][0]["id"]
    assert app.get(CHECK.format(customer)).status_code == 200  # the short way knows its pepper now
    with change(acme.scope):
        ApiKey.objects.within(acme.scope).update(pepper_id=None)  # as from before a key named its pepper

    rotate("--older-than", "0", "--only", "pepper")

    with reading(acme.scope):
        old, new = TenantSecret.objects.within(acme.scope).filter(kind="pepper").order_by("id")
        assert (old.retired_at is None, new.retired_at) == (False, None)
    assert peppers_of(acme) == {"app": old.id, "tenant": old.id}
    assert app.get(CHECK.format(customer)).status_code == 200  # still by the pepper that it knows
    assert app.get("/customers").status_code == 200
    assert peppers_of(acme) == {"app": new.id, "tenant": old.id}
    assert [app.get(CHECK.format(customer)).status_code for _ in range(2)] == [200, 200]
    hot._peppers.clear()
    assert tenant.get("/me").status_code == 200
    assert peppers_of(acme) == {"app": new.id, "tenant": new.id}
    assert Api(acme.key[:-1] + ("A" if acme.key[-1] != "A" else "B")).get("/customers").status_code == 401


def test_a_key_that_only_the_short_way_sees_is_hashed_anew_too(acme, rotate):
    fill(acme, people=1)
    customer = Api(acme.key).get("/customers").json()["data"][0]["id"]
    rotate("--older-than", "0", "--only", "pepper")
    hot._peppers.clear()  # as a process that has just begun

    assert Api(acme.key).get(CHECK.format(customer)).status_code == 200

    assert peppers_of(acme)["app"] != peppers_of(acme)["tenant"]


def test_peppers_that_are_dropped_take_the_keys_along_that_were_not_used(acme, rotate):
    rotate("--older-than", "0", "--only", "pepper")
    assert Api(acme.key).get("/customers").status_code == 200

    rotate("--only", "pepper", "--drop-peppers", "0", "--dry-run")
    assert Api(acme.key).get("/customers").status_code == 200
    rotate("--only", "pepper", "--drop-peppers", "0")

    assert Api(acme.key).get("/customers").status_code == 200
    assert Api(acme.tenant_key).get("/me").status_code == 401
    with reading(acme.scope):
        assert TenantSecret.objects.within(acme.scope).filter(kind="pepper").count() == 1
        assert ApiKey.objects.within(acme.scope).get(name="tenant").revoked_at is not None


def test_codes_of_before_are_good_under_the_pepper_that_was_replaced(acme, rotate):
    with reading(acme.scope):
        before = current().keys.secrets("pepper")
    row = new_id()
    digest = opaque.code_digest(before[0], row, "123456")

    rotate("--older-than", "0", "--only", "pepper")

    with reading(acme.scope):
        after = current().keys.secrets("pepper")
    assert after[1:] == before
    assert opaque.is_code(after, row, "123456", digest)
    assert not opaque.is_code(after[:1], row, "123456", digest)
    assert not opaque.is_code(after, row, "654321", digest)


def test_what_a_replaced_signing_key_signed_can_still_be_checked(db, rotate):
    with change(platform_scope("test")):
        signed = attest.attest(attest.RECEIPT, b"content")

    rotate("--older-than", "0", "--only", "attestation")

    with change(platform_scope("test")):
        again = attest.attest(attest.RECEIPT, b"content")
        public = {key["kid"]: attest.decoded(key["x"]) for key in attest.public_keys()}
    assert again["kid"] != signed["kid"]
    for each in (signed, again):
        assert attest.holds(public[each["kid"]], attest.RECEIPT, b"content", each["signature"])


def peppers_of(company):
    """Return the pepper that each secret key of a company was hashed with."""
    with reading(company.scope):
        keys_ = ApiKey.objects.within(company.scope).filter(kind="secret")
        return dict(keys_.values_list("name", "pepper_id"))


def test_owners_are_told_once_of_a_rotation_and_not_of_what_only_lies_under_another_key(
    desk, rotate, new_master, mailbox, monkeypatch
):
    owner, scope = "ada@example.com", desk.company.scope
    fill(desk.company)

    def subjects():
        return [mail["subject"] for mail in mailbox(owner)]

    quiet = subjects()
    new_master(alone=False)
    rotate("--older-than", "0", "--only", "master,subject")
    rotate("--older-than", "0", "--only", APP_KINDS, "--dry-run")
    assert subjects() == quiet
    real = telling.tell_owners
    monkeypatch.setattr(telling, "tell_owners", lambda scope: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # as one that is killed before it can tell
        rotate("--older-than", "0", "--only", "tenant,pepper,webhook", "--tenant", encode("ten", scope.tenant_id))
    monkeypatch.setattr(telling, "tell_owners", real)

    rotate("--only", APP_KINDS)
    first = subjects()
    rotate("--only", APP_KINDS)
    again = subjects()
    rotate("--only", "pepper", "--drop-peppers", "0")
    call_command("rotate_jwt_keys", "--all", "--at-once")

    assert len(first) == len(quiet) + 1
    assert again == first
    assert len(subjects()) == len(first) + 2
    texts = [mail["text"] for mail in mailbox(owner)]
    (told,) = [text for text in texts if "https://example.com/0, https://example.com/1, https://example.com/2" in text]
    assert "choose Rotate secret" in " ".join(told.split())
    assert "hashed anew" in " ".join(told.split())
    assert any("an older key signed are refused" in " ".join(text.split()) for text in texts)
    with reading(scope):
        rows = list(AuditEvent.objects.within(scope).filter(action=telling.TOLD).order_by("pk"))
        assert (rows[0].actor, len(rows[0].detail["webhookEndpoints"])) == ("operator", 3)
        assert [row.detail["olderTokensRefused"] for row in rows] == [False, False, True]


def test_wrong_words_are_told(db, rotate):
    for words, sentence in ((["--only", "master,luck"], "not luck"), (["--tenant", "acme"], "wants an id")):
        with pytest.raises(CommandError, match=sentence):
            rotate(*words)


def test_nobody_who_reads_meanwhile_meets_an_error(committed, rotate, new_master, monkeypatch):
    company = found_company("Acme")
    fill(company, people=4)
    expected = read_all(Api(company.key))
    new_master(alone=False)
    monkeypatch.setattr(keys, "AT_ONCE", 2)
    monkeypatch.setattr(values, "AT_ONCE", 2)
    over, wrong, reads = threading.Event(), [], []

    def read():
        try:
            while not over.is_set():
                found = read_all(Api(company.key))
                reads.append(1)
                if found != expected:
                    wrong.append(found)
        except Exception as error:  # noqa: BLE001  # whatever it is, the test names it
            wrong.append(error)
        finally:
            connections.close_all()

    reader = threading.Thread(target=read)
    reader.start()
    rotate("--older-than", "0", "--only", "master,tenant,subject,pepper,jwt")
    over.set()
    reader.join()

    assert wrong == []
    assert len(reads) > 2
    with reading(company.scope):
        assert {c.name for c in Customer.objects.within(company.scope)} == {f"Customer {n}" for n in range(4)}
