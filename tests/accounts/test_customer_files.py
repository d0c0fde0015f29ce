"""Customers in and out as CSV files, in the dashboard, worked off by the worker."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from procrastinate.contrib.django import app

from accounts.file_models import CustomerFile
from accounts.models import Customer
from accounts.services import imports
from accounts.services.customers import delete_customer
from accounts.services.imports_rows import plain_cell, rows_of, safe_cell, text_of
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.transactions import change, reading
from tests.cast import Api
from tests.dashboard.conftest import seated
from tests.queue import queued, run_jobs, run_periodic

pytestmark = pytest.mark.django_db
SMALL = 'email,name,externalId,metadata\nada@example.com,Ada,u1,"{""plan"": ""gold""}"\nbob@example.com,Bob,,\n'


@pytest.fixture
def desk(acme):
    return seated(acme, email="grace@example.com")


def upload(desk, text: str | bytes, **fields: Any) -> Any:
    raw = text.encode() if isinstance(text, str) else text
    return desk.post("customers/files", file=SimpleUploadedFile("c.csv", raw, "text/csv"), **fields)


def newest(company) -> CustomerFile:
    with reading(company.scope):
        file = CustomerFile.objects.within(company.scope).order_by("-id").first()
        _ = (file.content, file.faults)
        return file


def customers(company) -> dict[str, Customer]:
    with reading(company.scope):
        rows = list(Customer.objects.within(company.scope))
        return {row.email: (row.name, row.external_id, row.metadata, row.billing_email) for row in rows}


def take_in(desk, text: str, **fields: Any) -> CustomerFile:
    """Upload, try, and take in for real."""
    upload(desk, text, **fields)
    run_jobs()
    desk.post(f"customers/files/{newest(desk.company).public_id}")
    run_jobs()
    return newest(desk.company)


def test_a_file_is_tried_first_and_changes_nothing(acme, desk):
    answer = upload(desk, SMALL)
    assert "Nothing is changed yet" in answer.content.decode()

    run_jobs()

    file = newest(acme)
    assert (file.status, file.is_trial, file.created_rows, file.refused_rows) == ("done", True, 2, 0)
    assert customers(acme) == {}
    assert "Import 2 customers" in desk.get(f"customers/files/{file.public_id}").content.decode()


def test_what_was_tried_is_taken_in_and_the_file_dropped(acme, desk, audited):
    file = take_in(desk, SMALL)

    assert (file.status, file.is_trial, file.created_rows, file.content) == ("done", False, 2, None)
    assert customers(acme) == {
        "ada@example.com": ("Ada", "u1", {"plan": "gold"}, None),
        "bob@example.com": ("Bob", None, {}, None),
    }
    assert audited().count("customer.created") == 2
    assert audited()[-1] == "customers.imported"


def test_each_row_that_is_refused_is_told_with_its_line_and_the_rest_go_in(acme, desk):
    lines = [
        "email;billingEmail;name;externalId;metadata",
        "ada@example.com;books@example.com;Ada;u1;",
        "no address;;;;",
        "ADA@example.com;;;;",
        "bob@example.com;x;;;",
        "carl@example.com;;;u1;",
        "dan@example.com;;;;[1]",
        "eve@example.com;;;;{broken",
        ";;Nobody;;",
        "fay@example.com;;;4242424242424242;",
        "gus@example.com;;;;;one;too;many",
        "hal@example.com;;;;",
    ]

    file = take_in(desk, "\r\n".join(lines))

    assert sorted(customers(acme)) == ["ada@example.com", "hal@example.com"]
    assert (file.created_rows, file.refused_rows, file.done_rows) == (2, 9, 11)
    told = {fault["row"]: fault["field"] for fault in file.faults}
    assert told == {
        3: "email", 4: "email", 5: "billingEmail", 6: "externalId", 7: "metadata", 8: "metadata", 9: "email",
        10: "externalId", 11: "",
    }  # fmt: skip
    assert "Line 2 has the same address." in [fault["problem"] for fault in file.faults]


def test_customers_who_exist_stay_as_they_are_unless_asked_otherwise(acme, desk):
    take_in(desk, SMALL)
    changed = SMALL.replace("Bob", "Robert").replace("gold", "silver")

    assert take_in(desk, changed).unchanged_rows == 2
    assert customers(acme)["bob@example.com"][0] == "Bob"
    file = take_in(desk, changed, updates_existing="on")

    assert (file.updated_rows, file.unchanged_rows) == (2, 0)
    assert customers(acme)["bob@example.com"][0] == "Robert"
    assert customers(acme)["ada@example.com"][2] == {"plan": "silver"}


def test_an_empty_cell_takes_nothing_away(acme, desk):
    take_in(desk, SMALL)

    take_in(desk, "email,name,externalId\nada@example.com,,\n", updates_existing="on")

    assert customers(acme)["ada@example.com"][:2] == ("Ada", "u1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "empty"),
        (b"email\n", "no row"),
        (b"name\nAda\n", "no column “email”"),
        (b"email,phone\na@example.com,1\n", "“phone” is not known"),
        (b"email,email\na@example.com,b@example.com\n", "comes twice"),
        (b"email\n\xff\xfe\n", "not UTF-8"),
        (b"email\na\0@example.com\n", "NUL"),
        (b'email\n"a@example.com\n', "no CSV"),
        (b"email\n" + b"a@example.com\n" * 400_000, "larger than 5 MiB"),
        (b"email\n" + b"x@y.zz\n" * 50_001, "more than 50,000 rows"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_cannot_be_taken_as_a_whole_says_why(acme, desk, text, words):
    answer = upload(desk, text)

    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert queued() == []


def test_a_file_that_is_larger_than_any_upload_may_be_is_refused(acme, desk):
    answer = upload(desk, b"email\n" + b"a" * (7 * 1024 * 1024))

    assert answer.status_code == 400
    assert "at most 5 MiB" in answer.content.decode()


def test_spreadsheets_write_a_mark_before_the_first_column_and_spell_names_freely():
    rows = rows_of(text_of("\ufeffEmail\tExternal ID\na@example.com\t7\n".encode()))

    assert rows[0].values == {"email": "a@example.com", "externalId": "7"}


def killed_in_batch(company, monkeypatch, batch: int) -> None:
    """Let the worker die in the middle of a batch, its change rolled back."""
    take, seen = imports._take_row, []

    def dying(*args: Any) -> Any:
        seen.append(args)
        if len(seen) == batch * imports.BATCH + 7:
            raise SystemError("killed")
        return take(*args)

    monkeypatch.setattr(imports, "_take_row", dying)
    with pytest.raises(SystemError):
        run_jobs()
    monkeypatch.setattr(imports, "_take_row", take)


def test_a_worker_that_is_killed_leaves_no_row_out_and_takes_none_twice(acme, desk, monkeypatch, events):
    lines = [f"u{n:03}@example.com" for n in range(180)]
    upload(desk, "email\n" + "\n".join(lines) + "\n")
    run_jobs()
    desk.post(f"customers/files/{newest(acme).public_id}")

    killed_in_batch(acme, monkeypatch, 2)
    half = newest(acme)
    assert (half.status, half.done_rows, half.created_rows) == ("running", 2 * imports.BATCH, 2 * imports.BATCH)
    assert len(customers(acme)) == 2 * imports.BATCH
    run_jobs()

    file = newest(acme)
    assert (file.status, file.done_rows, file.created_rows, file.unchanged_rows) == ("done", 180, 180, 0)
    assert sorted(customers(acme)) == lines
    assert len(events()) == 180


def test_two_workers_with_the_same_file_take_each_row_once(acme, desk):
    take_in(desk, SMALL)
    file = newest(acme)

    imports.run_import(acme.scope, file.id, lambda values: values)

    assert newest(acme).created_rows == 2
    assert len(customers(acme)) == 2


def test_a_file_is_sealed_where_it_lies_and_its_job_names_it_alone(acme, desk):
    upload(desk, SMALL)

    with connection.cursor() as cursor:
        cursor.execute("set role stackbe_staff")
        cursor.execute("select t::text from accounts_customerfile t")
        stored = str(cursor.fetchall())
        cursor.execute("set role stackbe_web")
    assert b"ada@example.com".hex() not in stored
    assert "ada@example.com" not in stored
    ((name, arguments),) = queued()
    assert name == "accounts.import_customers"
    assert set(arguments) == {"tenant_id", "app_id", "file_id"}


# Out.


def exported(desk) -> list[dict[str, str]]:
    desk.post("customers/files/export")
    run_jobs()
    answer = desk.post(f"customers/files/{newest(desk.company).public_id}/download")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


def test_all_customers_are_written_and_who_had_the_file_is_audited(acme, desk, audited, monkeypatch):
    monkeypatch.setattr("accounts.services.exports.PAGE", 2)
    take_in(desk, SMALL + "carl@example.com,Carl,,\n")

    rows = exported(desk)

    assert [row["email"] for row in rows] == ["ada@example.com", "bob@example.com", "carl@example.com"]
    assert rows[0]["metadata"] == '{"plan": "gold"}'
    assert rows[0]["externalId"] == "u1"
    assert rows[0]["id"].startswith("cust_")
    assert audited()[-2:] == ["customers.export_begun", "customers.exported"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", '=HYPERLINK("http://x","y")'])
def test_no_cell_is_a_formula_and_what_was_written_comes_back(acme, globex, desk, name):
    take_in(desk, 'email,name\nada@example.com,"{}"\n'.format(name.replace('"', '""')))
    assert customers(acme)["ada@example.com"][0] == name

    (row,) = exported(desk)

    assert row["name"] == f"'{name}"
    theirs = seated(globex, email="hans@example.com")
    take_in(theirs, 'email,name\nada@example.com,"{}"\n'.format(row["name"].replace('"', '""')))
    assert customers(globex)["ada@example.com"][0] == name


@given(st.text())
def test_a_cell_is_never_a_formula_and_reads_back_unless_it_began_with_our_mark(value):
    written = safe_cell(value)

    assert not written.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert plain_cell(written) == value or value.startswith("'")


def test_an_exported_file_is_kept_for_a_day(acme, desk):
    exported(desk)
    with change(acme.scope):
        CustomerFile.objects.within(acme.scope).update(created_at=wall_clock() - timedelta(hours=25))

    run_periodic("trust.purge")

    assert newest(acme).content is None
    page = desk.post(f"customers/files/{newest(acme).public_id}/download")
    assert "kept for a day" in page.content.decode()
    with change(acme.scope):
        CustomerFile.objects.within(acme.scope).update(created_at=wall_clock() - timedelta(days=31))
    run_periodic("trust.purge")
    with reading(acme.scope):
        assert not CustomerFile.objects.within(acme.scope).exists()


def test_erasing_a_customer_drops_the_exports_that_hold_them(acme, desk):
    take_in(desk, SMALL)
    (ada, _) = exported(desk)
    assert newest(acme).content is not None

    with change(acme.scope):
        delete_customer(acme.scope, ada["id"])
    run_jobs()

    assert newest(acme).content is None


# Who may.


def test_a_viewer_gets_no_file_of_everybody(acme):
    desk = seated(acme, "viewer")

    assert desk.get("customers/files").status_code == 403
    assert upload(desk, SMALL).status_code == 403
    assert desk.post("customers/files/export").status_code == 403
    assert queued() == []


def test_a_rivals_file_was_never_there(acme, globex, desk):
    theirs = seated(globex, email="hans@example.com")
    upload(theirs, SMALL)
    file = newest(globex).public_id

    assert desk.get(f"customers/files/{file}").status_code == 404
    assert desk.post(f"customers/files/{file}").status_code == 404
    assert desk.post(f"customers/files/{file}/download").status_code == 404


def test_an_import_is_no_export_to_download_and_a_finished_one_is_not_taken_twice(acme, desk):
    file = take_in(desk, SMALL).public_id

    assert desk.post(f"customers/files/{file}/download").status_code == 404
    again = desk.post(f"customers/files/{file}")

    assert "Upload it again" in again.content.decode()
    assert newest(acme).created_rows == 2


def test_the_page_of_a_file_that_moves_asks_again_and_one_that_is_done_does_not(acme, desk):
    upload(desk, SMALL)
    path = f"customers/files/{newest(acme).public_id}"
    assert "hx-get" in desk.get(path, HX_Request="true").content.decode()

    run_jobs()

    html = desk.get(path).content.decode()
    assert 'hx-trigger="load' not in html
    assert "2 of 2 rows" in html


@pytest.mark.parametrize("junk", ["\x00", "", "email", '"', "email\n\n\n"])
def test_junk_is_refused_in_words(junk):
    with pytest.raises(ValidationFailed):
        rows_of(junk)


def test_the_pages_load_nothing_from_elsewhere_and_are_usable_without_scripts(acme, desk):
    upload(desk, SMALL)

    for path in ("customers/files", f"customers/files/{newest(acme).public_id}"):
        html = desk.get(path).content.decode()
        assert html.count("<h1") == 1
        assert "style=" not in html
        assert not re.search(r"\son[a-z]+=", html)
        assert re.findall(r'(?:src|href|action)="https?://', html) == []
    assert "Look again" in html


def test_a_long_file_lets_a_sign_in_mail_go_first(acme, desk, monkeypatch):
    monkeypatch.setattr(imports, "BATCHES_A_TURN", 1)
    upload(desk, "email\n" + "".join(f"u{n}@example.com\n" for n in range(120)))
    Api(acme.key).post(f"/apps/{acme.app}/auth/magic-link", {"email": "ada@example.com"})

    done = run_jobs()

    mine = [name for name in done if name in {"accounts.import_customers", "accounts.mail_magic_link"}]
    assert mine == ["accounts.mail_magic_link", *["accounts.import_customers"] * 3]
    assert newest(acme).done_rows == 120


def test_a_turn_ends_before_the_file_does(acme, desk, monkeypatch):
    monkeypatch.setattr(imports, "BATCHES_A_TURN", 1)
    upload(desk, "email\n" + "".join(f"u{n}@example.com\n" for n in range(120)))
    ((_, arguments),) = queued()

    app.tasks["accounts.import_customers"](**arguments)

    assert (newest(acme).done_rows, newest(acme).status) == (imports.BATCH, "running")
    assert [name for name, _ in queued()] == ["accounts.import_customers"] * 2
