"""`manage.py rotate_keys`: every key is replaced while everything is read, and a run that was killed is taken up."""

from __future__ import annotations

import base64
import secrets
import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from accounts.models import Customer
from stackbe.kernel import crypto
from stackbe.kernel.ids import encode
from stackbe.kernel.models import SubjectKey, TenantKey, TenantSecret
from stackbe.kernel.transactions import reading
from stackbe.trust.services.rotation import keys, values
from tests.cast import Api, found_company
from tests.queue import worker_rights

APP_KINDS = "master,tenant,subject,jwt,webhook"


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
            kind, *counts = line.partition(":")[0].replace(",", "").split()
            found[kind] = tuple(int(word) for word in counts if word.isdigit())
        return found

    return run


@pytest.fixture
def new_master(settings):
    """Set another master key before the present one; the caller says when the old one goes."""
    fresh = f"next:{base64.b64encode(secrets.token_bytes(32)).decode()}"

    def forget():
        crypto.master_keys.cache_clear()
        crypto.open_tenant_key.cache_clear()

    def chosen(*, alone):
        settings.STACKBE_MASTER_KEY = fresh if alone else f"{fresh},{old}"
        forget()

    old = settings.STACKBE_MASTER_KEY
    yield chosen
    settings.STACKBE_MASTER_KEY = old
    forget()


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
    rotate("--older-than", "0", "--only", "master,tenant,subject,jwt")
    over.set()
    reader.join()

    assert wrong == []
    assert len(reads) > 2
    with reading(company.scope):
        assert {c.name for c in Customer.objects.within(company.scope)} == {f"Customer {n}" for n in range(4)}
