"""All customers of an app as one CSV file, written by the worker and kept sealed for a day."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING
from uuid import UUID

from procrastinate.contrib.django import app

from accounts.events import customer_as_event
from accounts.file_errors import FileGone, FileNotFound
from accounts.file_models import CustomerFile
from accounts.services.customers import live_customers
from accounts.services.imports import AFTER_ALL_ELSE
from accounts.services.imports_rows import safe_cell
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import NIL
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, current, reading, require_change

if TYPE_CHECKING:
    from accounts.models import Customer
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

EXPORT_CUSTOMERS = "accounts.export_customers"
COLUMNS = ("id", "email", "billingEmail", "name", "externalId", "metadata", "createdAt", "updatedAt")
PAGE = 500
Status = CustomerFile.Status


def begin_export(scope: Scope) -> CustomerFile:
    """Have the worker write all customers into a file; who asked is audited."""
    require_change()
    total = live_customers(scope).count()
    file = CustomerFile(
        **owned_by(scope), kind=CustomerFile.Kind.EXPORT, total_rows=total, faults=[], asked_by=scope.actor
    )
    file.save(force_insert=True)
    audit(scope, "customers.export_begun", file.public_id, detail={"rows": total})
    ids = {"tenant_id": str(scope.tenant_id), "app_id": str(scope.app), "file_id": str(file.id)}
    app.configure_task(EXPORT_CUSTOMERS, priority=AFTER_ALL_ELSE).defer(**ids)
    return file


def run_export(scope: Scope, file_id: UUID) -> None:
    """Write the file from its first row; one that was begun by a worker that died begins anew."""
    with change(scope):
        if not _unfinished(scope, file_id).update(status=Status.RUNNING, done_rows=0):
            return
    out, last, done = io.StringIO(newline=""), NIL, 0
    write = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow
    write(COLUMNS)
    while True:
        with reading(scope):
            page = list(live_customers(scope).filter(pk__gt=last).order_by("pk")[:PAGE])
            current().keys.preload([row.pk for row in page])
            for row in page:
                write(cells_of(row))
        if not page:
            break
        last, done = page[-1].pk, done + len(page)
        with change(scope):
            _unfinished(scope, file_id).update(done_rows=done)
    with change(scope):
        for file in _unfinished(scope, file_id).locked():
            file.content, file.status, file.finished_at = out.getvalue(), Status.DONE, wall_clock()
            file.total_rows = file.done_rows = done
            file.save(update_fields=["content", "status", "finished_at", "total_rows", "done_rows"])


def cells_of(customer: Customer) -> list[str]:
    """Return a customer's line, no cell of which a spreadsheet takes for a formula."""
    shown = customer_as_event(customer)
    shown["metadata"] = json.dumps(shown["metadata"], ensure_ascii=False) if shown["metadata"] else ""
    return [safe_cell(str(shown[name] or "")) for name in COLUMNS]


def hand_out(scope: Scope, file_id: str) -> str:
    """Return an exported file's text; each time it is handed out is audited. Raises `FileGone` after a day."""
    require_change()
    rows = CustomerFile.objects.within(scope).filter(kind=CustomerFile.Kind.EXPORT)
    file = rows.fetch(file_id, FileNotFound)
    if file.content is None:
        raise FileGone("The file is kept for a day. Export again.")
    audit(scope, "customers.exported", file.public_id, detail={"rows": file.total_rows})
    return str(file.content)


def drop_exports(scope: Scope) -> int:
    """Drop every exported file of the app: one of the people in it is being erased."""
    require_change()
    rows = CustomerFile.objects.within(scope).filter(kind=CustomerFile.Kind.EXPORT)
    return rows.filter(content__isnull=False).update(content=None)


def _unfinished(scope: Scope, file_id: UUID) -> ScopedQuerySet[CustomerFile]:
    rows = CustomerFile.objects.within(scope).filter(pk=file_id, kind=CustomerFile.Kind.EXPORT)
    return rows.exclude(status=Status.DONE)
