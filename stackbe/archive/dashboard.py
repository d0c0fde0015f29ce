"""The account's data in the dashboard: export it, read receipts, delete it. Owners alone."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from accounts.dashboard.frame import AppPage
from accounts.erasure_models import Erasure
from accounts.errors import ErasureNotFound
from accounts.services.receipts import receipt_of, target_of
from accounts.services.tenants import fetch_tenant
from stackbe.archive.services.deletion import ask_deletion, keep_tenant
from stackbe.archive.services.files import begin_archive, content_of, hand_out, list_archives
from stackbe.kernel.archives import MEDIA_TYPE
from stackbe.kernel.scope import Role
from stackbe.kernel.transactions import change, reading

LATEST = 10


class DeleteForm(forms.Form):
    """The account's name, typed."""

    name = forms.CharField(
        label="The account’s name",
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class AccountPage(AppPage):
    """A page about the whole account rather than one app; the app in its URL is where the member came from."""

    section = "settings"
    resource = "apps"
    least = Role.OWNER
    home = "dashboard-account"
    template = "dashboard/account.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return archives, receipts, and whether the account is on its way out."""
        receipts = Erasure.objects.within(self.scope).order_by("-id")[: LATEST + 1]
        return {
            "tenant": fetch_tenant(self.scope),
            "archives": list(list_archives(self.scope).order_by("-id")[:LATEST]),
            "receipts": [{"row": row, "target": target_of(row)} for row in receipts[:LATEST]],
            "more_receipts": len(receipts) > LATEST,
            "form": DeleteForm(),
        }


class Account(AccountPage):
    """The overview."""


class ExportAccount(AccountPage):
    """Beginning an archive."""

    template = ""

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Begin, and show the passphrase this once."""
        archive, passphrase = self.perform(begin_archive)
        with reading(self.scope):
            shown = {"passphrase": passphrase, "archive": archive}
            return self.show(shown, template="dashboard/account_passphrase.html", status=201)


class DownloadArchive(AccountPage):
    """Handing an archive out."""

    template = ""

    def post(self, request: HttpRequest, app_id: str, archive_id: str) -> StreamingHttpResponse:
        """Send it piece by piece; who had it is on record."""
        archive = self.perform(lambda scope: hand_out(scope, archive_id))
        response = StreamingHttpResponse(content_of(self.scope, archive), content_type=MEDIA_TYPE)
        response["Content-Disposition"] = f'attachment; filename="{archive.public_id}.zip"'
        response["Content-Length"] = str(archive.size)
        response["Cache-Control"] = "no-store"
        return response


class Receipt(AccountPage):
    """One receipt as a file."""

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Send what `examples/archive.py receipt` checks."""
        with reading(self.scope):
            row = Erasure.objects.within(self.scope).filter(done_at__isnull=False)
            found = row.fetch(kwargs["erasure_id"], ErasureNotFound)
            content = json.dumps(receipt_of(found), indent=2, sort_keys=True)
        response = HttpResponse(content, content_type="application/json")
        response["Content-Disposition"] = f'attachment; filename="{found.public_id}.json"'
        response["Cache-Control"] = "no-store"
        return response


class DeleteAccount(AccountPage):
    """Asking for the account's deletion."""

    template = ""

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Set the day, once the name was typed."""
        with change(self.scope):
            tenant = ask_deletion(self.scope, request.POST.get("name", ""))
        day = tenant.deletion_due_at
        said = f"{day.day} {day:%B %Y}" if day else ""
        return self.done(f"The account will be deleted on {said}. Until then you can take it back.", self.home)


class KeepAccount(AccountPage):
    """Taking it back."""

    template = ""

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Keep the account."""
        self.perform(keep_tenant)
        return self.done("The account stays. Nothing was lost.", self.home)
