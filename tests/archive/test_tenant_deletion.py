"""An account's deletion: asked for, taken back, and then final, with a receipt."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.erasure_models import Erasure
from accounts.models import App, Customer, Tenant
from accounts.services.receipts import receipt_of
from billing.models import InvoiceReference
from stackbe.archive.holdings import HOLDINGS, Fate
from stackbe.archive.services import deletion
from stackbe.archive.services.reapply import erasure_list, reapply_erasures
from stackbe.kernel.audit import START_OF_CHAIN, chained
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading
from stackbe.trust.services.chains import verify_chain
from tests.cast import Api
from tests.queue import run_jobs, run_periodic, worker_rights

LOOK = "archive.look_after_deletions"


@pytest.fixture
def later(monkeypatch):
    """Moves the wall clock on."""
    real = timezone.now

    def move(**units):
        monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(**units))

    return move


@pytest.fixture
def lived_in(acme, acme_api, desk):
    """Acme, with a customer who was invoiced, one who was not, and every kind of row beside."""
    acme_api.post("/metrics", {"name": "calls"})
    plan = acme_api.post("/plans", {"name": "Free", "priceCents": 0, "currency": "usd", "interval": "month"}).json()
    ann = acme_api.post("/customers", {"email": "ann@shop.example", "name": "Ann"}).json()
    acme_api.post("/customers", {"email": "bob@shop.example"})
    acme_api.post("/subscriptions", {"customerId": ann["id"], "planId": plan["id"]})
    acme_api.post(f"/customers/{ann['id']}/sessions")
    acme_api.post("/webhook-endpoints", {"url": "https://example.com/hook", "events": ["*"]})
    acme_api.post("/organizations", {"name": "Engines", "customerId": ann["id"]})
    with change(acme.scope):
        InvoiceReference(
            **owned_by(acme.scope),
            customer=Customer.objects.within(acme.scope).order_by("id")[0],
            stripe_account="acct_1", stripe_invoice_id="in_1", number="A-1", status="paid", amount_paid_cents=4200,
            currency="usd", hosted_invoice_url="https://pay.example/ann", facts_at=wall_clock(),
        ).save(force_insert=True)  # fmt: skip
    return desk


def ask(desk, name="Acme"):
    return desk.post("account/delete", name=name)


def tenant_of(company):
    with reading(company.scope):
        return Tenant.unscoped.get(pk=company.tenant_id)


def rows_of(company):
    found = {}
    with reading(company.scope), connection.cursor() as cursor:
        for holding in HOLDINGS:
            cursor.execute(f"select count(*) from {holding.table} where tenant_id = %s", [company.tenant_id])
            found[holding.table] = cursor.fetchone()[0]
    return found


def test_nothing_changes_until_the_day_and_the_owners_are_told(acme, acme_api, lived_in, mailbox, later):
    said = ask(lived_in).content.decode()
    run_jobs()
    later(days=settings.TENANT_DELETION_DAYS, minutes=-5)
    run_periodic(LOOK)
    run_jobs()

    assert "will be deleted on" in said
    assert acme_api.get("/me").status_code == 200
    assert tenant_of(acme).erasing_at is None
    assert [mail["subject"].partition(" will be")[0] for mail in mailbox("ada@example.com")] == ["Acme", "Acme"]
    assert "three days" in mailbox.latest("ada@example.com")["subject"]


def test_an_owner_takes_it_back(acme, lived_in, later, mailbox):
    ask(lived_in)
    lived_in.post("account/keep")
    later(days=settings.TENANT_DELETION_DAYS + 1)

    run_periodic(LOOK)

    assert run_jobs().count("archive.mail_deletion_notice") == 2
    assert "will not be deleted" in mailbox.latest("ada@example.com")["subject"]
    assert (tenant_of(acme).deletion_due_at, tenant_of(acme).erased_at) == (None, None)
    with reading(acme.scope):
        assert not Erasure.objects.within(acme.scope).exists()


def test_the_name_must_be_typed(acme, lived_in):
    said = ask(lived_in, "Acme Inc")

    assert "not the account" in said.content.decode()
    assert tenant_of(acme).deletion_due_at is None


@pytest.mark.parametrize("role", ["admin", "developer", "viewer"])
def test_nobody_but_an_owner_sees_or_does_any_of_it(acme, lived_in, desk_of, role):
    other = desk_of(role)

    assert other.get("account").status_code == 403
    assert ask(other).status_code == 403
    assert other.post("account/archives").status_code == 403
    assert f'{other.url("account")}"' not in other.get("settings").content.decode()


def test_after_the_day_all_is_gone_but_what_the_law_keeps(acme, globex, globex_api, lived_in, later, mailbox):
    globex_api.post("/customers", {"email": "theirs@shop.example"})
    before, theirs = rows_of(acme), rows_of(globex)
    ask(lived_in)
    run_periodic("kernel.seal_audit_rows")
    with worker_rights():
        verify_chain(acme.tenant_id)
    later(days=settings.TENANT_DELETION_DAYS, minutes=5)

    run_periodic(LOOK)
    run_jobs()
    run_periodic("kernel.seal_audit_rows")

    left = {table: count for table, count in rows_of(acme).items() if count}
    kept = {holding.table for holding in HOLDINGS if holding.fate != Fate.DELETED}
    assert set(left) == kept
    assert all(before[table] for table in ("apikeys_apikey", "billing_subscriptiontransition", "webhooks_event"))
    assert (left["accounts_customer"], left["accounts_app"], left["billing_invoicereference"]) == (1, 1, 1)
    assert rows_of(globex) | {"kernel_auditseal": 0} == theirs
    for key in (acme.key, acme.tenant_key):
        assert Api(key).get("/me").status_code == 401
    gone = tenant_of(acme)
    assert (gone.name, gone.erased_at is not None) == ("", True)
    with reading(acme.scope):
        invoice = InvoiceReference.objects.within(acme.scope).get()
        assert (invoice.number, invoice.amount_paid_cents, invoice.hosted_invoice_url) == ("A-1", 4200, None)
        assert Customer.objects.within(acme.scope).get().email is None
        assert App.objects.within(acme.scope).get().name == ""
        receipt = receipt_of(Erasure.objects.within(acme.scope).get())
    assert receipt["statement"]["rows"]["accounts_customer"] == 2
    assert receipt["signature"] in mailbox.latest("ada@example.com")["text"].replace("&quot;", '"')
    assert_chain_holds(acme)


def assert_chain_holds(company):
    digest = START_OF_CHAIN
    with reading(company.scope), connection.cursor() as cursor:
        cursor.execute(
            "select s.digest, to_jsonb(a) from kernel_auditseal s join kernel_auditevent a on a.id = s.audit_id"
            " where s.tenant_id = %s order by s.sequence",
            [company.tenant_id],
        )
        rows = cursor.fetchall()
        cursor.execute("select count(*) from kernel_auditevent where tenant_id = %s", [company.tenant_id])
        assert len(rows) == cursor.fetchone()[0] > 5
    for sequence, (sealed, row) in enumerate(rows, start=1):
        digest = chained(digest, sequence, row if isinstance(row, dict) else json.loads(row))
        assert bytes(sealed) == digest


def test_a_worker_killed_in_the_middle_leaves_the_rest_to_the_next(acme, lived_in, later, monkeypatch):
    ask(lived_in)
    later(days=settings.TENANT_DELETION_DAYS, minutes=5)
    run_periodic(LOOK)
    real = deletion._delete

    def dying(scope, table):
        if table == "accounts_organization":
            raise KeyboardInterrupt
        return real(scope, table)

    with monkeypatch.context() as killed:
        killed.setattr(deletion, "_delete", dying)
        with pytest.raises(KeyboardInterrupt):
            run_jobs()
    half = rows_of(acme)

    run_jobs()
    deletion.erase_tenant(acme.tenant_id)

    assert (half["accounts_organization"], half["billing_plan"]) == (1, 0)
    assert tenant_of(acme).erased_at is not None
    with reading(acme.scope):
        counts = Erasure.objects.within(acme.scope).get().rows
    assert (counts["billing_plan"], counts["accounts_organization"]) == (1, 1)


def test_history_is_deleted_through_no_other_door(acme, lived_in, as_worker):
    with pytest.raises(Exception, match="is not being erased"), change(acme.scope):
        deletion._delete(acme.scope, "billing_subscriptiontransition")


def test_a_restored_backup_is_brought_up_to_the_list(acme, acme_api, lived_in):
    """The list says that Ann was erased; the database, restored to an earlier hour, still holds her."""
    ann = acme_api.get("/customers?email=ann@shop.example").json()["data"][0]
    club = acme_api.get("/organizations").json()["data"][0]
    before = transaction.savepoint()
    acme_api.delete(f"/customers/{ann['id']}")
    run_jobs()
    lines = list(erasure_list())
    receipts = acme_api.get("/erasures").json()["data"]
    transaction.savepoint_rollback(before)
    assert acme_api.get(f"/customers/{ann['id']}").status_code == 200

    assert reapply_erasures(lines) == 2  # Ann, and the organization that she was alone in
    assert reapply_erasures(lines) == 0

    assert acme_api.get(f"/customers/{ann['id']}").status_code == 404
    assert acme_api.get(f"/organizations/{club['id']}").status_code == 404
    assert acme_api.get("/erasures").json()["data"] == receipts
    with reading(acme.scope):
        stone = Customer.objects.within(acme.scope).get(erased_at__isnull=False)
        assert stone.email is None


def test_the_list_is_kept_where_the_operator_says(acme, acme_api, lived_in, settings, tmp_path):
    settings.ERASURE_LIST = str(tmp_path / "erasures.jsonl")
    ann = acme_api.get("/customers?email=ann@shop.example").json()["data"][0]
    acme_api.delete(f"/customers/{ann['id']}")
    run_jobs()

    run_periodic("archive.keep_erasure_list")

    text = (tmp_path / "erasures.jsonl").read_text()
    assert ann["id"] in text
    assert "ann@" not in text
