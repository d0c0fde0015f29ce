"""Customers from a CSV file: tried or taken in, row by row, by the worker.

A batch of rows and the count of rows done commit together, so a worker that is killed leaves neither a
row taken twice nor one left out. A row that is refused is told with its line; the others go in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from procrastinate.contrib.django import app

from accounts.errors import EmailTaken, ExternalIdTaken
from accounts.file_errors import FileGone, FileNotFound
from accounts.file_models import CustomerFile
from accounts.services.customers import create_customer, customer_by_email, live_customers, update_customer
from accounts.services.imports_rows import Row, rows_of, text_of
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading, require_change

if TYPE_CHECKING:
    from accounts.models import Customer
    from stackbe.kernel.scope import Scope

IMPORT_CUSTOMERS = "accounts.import_customers"
# procrastinate takes the job of the highest priority first; all others have 0.
AFTER_ALL_ELSE = -10
BATCH = 50
BATCHES_A_TURN = 20
MOST_FAULTS = 500
Status = CustomerFile.Status
# Cleaned values of a row, or the fields that are wrong with what is wrong with them.
Judge = Callable[[dict[str, Any]], dict[str, Any]]


def begin_import(scope: Scope, raw: bytes, *, is_trial: bool, updates_existing: bool) -> CustomerFile:
    """Keep an uploaded file, sealed, and have the worker try it or take it in.

    Raises `ValidationFailed` for a file that cannot be read as a whole.
    """
    require_change()
    text = text_of(raw)
    file = CustomerFile(
        **owned_by(scope),
        kind=CustomerFile.Kind.IMPORT,
        content=text,
        is_trial=is_trial,
        updates_existing=updates_existing,
        total_rows=len(rows_of(text)),
        faults=[],
        asked_by=scope.actor,
    )
    file.save(force_insert=True)
    audit(scope, "customers.import_begun", file.public_id, detail={"rows": file.total_rows, "trial": is_trial})
    _queue(scope, file.id)
    return file


def take_tried_file(scope: Scope, file_id: str) -> CustomerFile:
    """Take in for real what was tried. Raises `FileGone` where its content has been dropped meanwhile."""
    require_change()
    rows = CustomerFile.objects.within(scope).locked().filter(kind=CustomerFile.Kind.IMPORT)
    file = rows.fetch(file_id, FileNotFound)
    if not file.is_trial or file.status != Status.DONE or file.content is None:
        raise FileGone
    file.is_trial, file.status, file.faults, file.finished_at = False, Status.WAITING, [], None
    file.done_rows = file.created_rows = file.updated_rows = file.unchanged_rows = file.refused_rows = 0
    file.save()
    audit(scope, "customers.import_begun", file.public_id, detail={"rows": file.total_rows, "trial": False})
    _queue(scope, file.id)
    return file


def run_import(scope: Scope, file_id: UUID, judge: Judge) -> None:
    """Work a file off from where it stands, a change for each batch. Does nothing for one that is done.

    After a turn of a thousand rows it goes to the end of the queue, behind whoever waits for a sign-in mail.
    """
    with reading(scope):
        file = CustomerFile.objects.within(scope).filter(pk=file_id).exclude(status=Status.DONE).first()
        text = None if file is None else file.content
    if text is None:
        return
    rows = rows_of(text)
    for _ in range(BATCHES_A_TURN):
        if not _take_batch(scope, file_id, rows, judge):
            return
    with change(scope):
        _queue(scope, file_id)


def _take_batch(scope: Scope, file_id: UUID, rows: list[Row], judge: Judge) -> bool:
    """Take the next rows in; return whether any are left."""
    with change(scope):
        file = CustomerFile.objects.within(scope).locked().defer("content").get(pk=file_id)
        if file.status == Status.DONE:
            return False
        faults = list(file.faults or [])
        for row in rows[file.done_rows : file.done_rows + BATCH]:
            outcome, problems = _take_row(scope, file, row, judge)
            setattr(file, outcome, getattr(file, outcome) + 1)
            faults += [{"row": row.number, "field": field, "problem": said} for field, said in problems]
            file.done_rows += 1
        file.faults = faults[:MOST_FAULTS]
        file.status = Status.RUNNING
        written = ["faults", "status", "done_rows", "created_rows", "updated_rows", "unchanged_rows", "refused_rows"]
        if file.done_rows >= len(rows):
            file.status, file.finished_at = Status.DONE, wall_clock()
            written.append("finished_at")
            if not file.is_trial:
                file.content = None
                written.append("content")
                counts = {"created": file.created_rows, "updated": file.updated_rows, "refused": file.refused_rows}
                audit(scope, "customers.imported", file.public_id, detail=counts)
        file.save(update_fields=written)
        return file.status != Status.DONE


def _take_row(scope: Scope, file: CustomerFile, row: Row, judge: Judge) -> tuple[str, list[tuple[str, str]]]:
    """Take one row in, or say what would become of it; return the count that it belongs to, and its problems."""
    if row.problem is not None:
        return "refused_rows", [row.problem]
    try:
        values = judge(row.values)
        known = customer_by_email(scope, values["email"])
        with transaction.atomic():
            return (_create(scope, file, values) if known is None else _update(scope, file, known, values)), []
    except (ValidationFailed, EmailTaken, ExternalIdTaken) as refusal:
        fields = refusal.fields or {"": [str(refusal)]}
        return "refused_rows", [(field, said) for field, sentences in fields.items() for said in sentences]


def _create(scope: Scope, file: CustomerFile, values: dict[str, Any]) -> str:
    if not file.is_trial:
        create_customer(scope, **values)
    elif live_customers(scope).filter(external_id=values.get("external_id"), external_id__isnull=False).exists():
        raise ExternalIdTaken(fields={"externalId": [ExternalIdTaken.message]})
    return "created_rows"


def _update(scope: Scope, file: CustomerFile, known: Customer, values: dict[str, Any]) -> str:
    given = {name: value for name, value in values.items() if name != "email"}
    metadata = known.metadata or {}
    changes = {
        name: value
        for name, value in given.items()
        if (value != getattr(known, name) if name != "metadata" else {**metadata, **value} != metadata)
    }
    if not (file.updates_existing and changes):
        return "unchanged_rows"
    if not file.is_trial:
        update_customer(scope, known.public_id, **changes)
    return "updated_rows"


def _queue(scope: Scope, file_id: UUID) -> None:
    ids = {"tenant_id": str(scope.tenant_id), "app_id": str(scope.app), "file_id": str(file_id)}
    app.configure_task(IMPORT_CUSTOMERS, priority=AFTER_ALL_ELSE).defer(**ids)
