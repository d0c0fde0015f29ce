"""Customers in and out as CSV files: upload and try, take in, export, watch, download."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse

from accounts.dashboard.frame import AppPage
from accounts.file_errors import FileNotFound
from accounts.file_models import CustomerFile
from accounts.services.exports import begin_export, hand_out
from accounts.services.imports import begin_import, take_tried_file
from accounts.services.imports_rows import MOST_BYTES
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import Forbidden
from stackbe.kernel.scope import Role
from stackbe.kernel.transactions import reading


class ImportForm(forms.Form):
    """A file of customers to try."""

    file = forms.FileField(
        label="CSV file",
        help_text="UTF-8, at most 5 MiB. First line: email, and any of billingEmail, name, externalId, metadata.",
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv"}),
        error_messages={"required": "Choose a CSV file of at most 5 MiB."},
    )
    updates_existing = forms.BooleanField(
        label="Update customers whose address exists", required=False, help_text="Else they stay as they are."
    )


class FilesPage(AppPage):
    """A page whose files hold all customers: viewers, who see one at a time, do not get them as a file."""

    section = "customers"
    resource = "customers"

    def enter(self, **kwargs: Any) -> None:
        """Ask for a developer."""
        super().enter(**kwargs)
        if self.role.rank < Role.DEVELOPER.rank:
            raise Forbidden("Developers, admins and owners import and export customers.")


class Files(FilesPage):
    """The app's files, newest first, and the way to a new one."""

    template = "dashboard/customer_files.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return a page of files."""
        return {**self.page_of(CustomerFile.objects.within(self.scope).defer("content")), "form": ImportForm()}

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Take an uploaded file and have it tried; nothing is changed by that."""
        form = ImportForm(request.POST, request.FILES)

        def act() -> HttpResponse:
            # One byte too many tells a file that is too large, without reading all of it.
            raw = form.cleaned_data["file"].read(MOST_BYTES + 1)
            updates = form.cleaned_data["updates_existing"]
            file = self.perform(lambda scope: begin_import(scope, raw, is_trial=True, updates_existing=updates))
            return self.done("The file is being tried. Nothing is changed yet.", "dashboard-file", file.public_id)

        return self.submit(form, act, {"form": form})


class Export(FilesPage):
    """Writing all customers into a file."""

    home = "dashboard-files"

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Begin."""
        file = self.perform(begin_export)
        return self.done("All customers are being written into a file.", "dashboard-file", file.public_id)


class OneFile(FilesPage):
    """How far a file is, and what became of its rows."""

    template = "dashboard/customer_file.html"

    def context(self, file_id: str) -> dict[str, Any]:
        """Return the file."""
        file = CustomerFile.objects.within(self.scope).fetch(file_id, FileNotFound)
        return {"file": file, "faults": file.faults or [], "is_kept": file.content is not None}

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Show the page, or only how far the file is to htmx while it moves."""
        with reading(self.scope):
            partial = bool(getattr(request, "htmx", False))
            template = "dashboard/_customer_file.html" if partial else ""
            return self.show(self.context(kwargs["file_id"]), template=template)

    def post(self, request: HttpRequest, app_id: str, file_id: str) -> HttpResponse:
        """Take in for real what was tried."""
        self.perform(lambda scope: take_tried_file(scope, file_id))
        return self.done("The file is being taken in.", "dashboard-file", file_id)


class Download(FilesPage):
    """Handing an exported file out."""

    home = "dashboard-files"

    def post(self, request: HttpRequest, app_id: str, file_id: str) -> HttpResponse:
        """Send the file; who had it is on record."""
        text = self.perform(lambda scope: hand_out(scope, file_id))
        response = HttpResponse(text.encode("utf-8-sig"), content_type="text/csv; charset=utf-8")
        name = f"customers-{wall_clock():%Y-%m-%d}.csv"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        response["Cache-Control"] = "no-store"
        return response
