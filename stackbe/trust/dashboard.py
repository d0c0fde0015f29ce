"""The tenant's audit log in the dashboard: look through it, and take it along signed. Owners and admins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import Q
from django.http import HttpRequest, StreamingHttpResponse

from accounts.dashboard.frame import AppPage
from accounts.services.members import list_members
from stackbe.kernel import ids
from stackbe.kernel.models import AuditEvent, AuditSeal
from stackbe.kernel.scope import Role
from stackbe.trust.audit_export import MEDIA_TYPE, begin_export, details_of, export_lines
from stackbe.trust.models import Chain

if TYPE_CHECKING:
    from stackbe.kernel.tenancy import ScopedQuerySet

ACTORS = {"mem_": "Members", "key_": "API keys", "cust_": "Customers", "staff_": "StackBE’s staff"}


class AuditSearch(forms.Form):
    """What the log is narrowed to."""

    about = forms.CharField(
        label="Action, id, request or address",
        required=False,
        max_length=80,
        widget=forms.TextInput(attrs={"placeholder": "api_key.revoked, cust_…", "spellcheck": "false"}),
    )
    by = forms.ChoiceField(
        label="By", required=False, choices=[("", "By anybody"), *ACTORS.items(), ("system", "The system")]
    )
    since = forms.DateField(label="Since", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="Until", required=False, widget=forms.DateInput(attrs={"type": "date"}))

    @property
    def words(self) -> list[forms.BoundField]:
        """Return the fields whose placeholder or first choice says what they are."""
        return [self["about"], self["by"]]

    @property
    def days(self) -> list[forms.BoundField]:
        """Return the fields that need their label shown."""
        return [self["since"], self["until"]]

    def narrow(self, rows: ScopedQuerySet[AuditEvent]) -> ScopedQuerySet[AuditEvent]:
        """Return the rows that fit. What makes no sense narrows nothing and is said."""
        self.is_valid()
        asked = self.cleaned_data
        if about := (asked.get("about") or "").strip():
            exact = Q(target=about) | Q(actor=about) | Q(request_id=about) | Q(address=about)
            rows = rows.filter(exact | Q(action__icontains=about))
        if asked.get("by") == "system":
            for prefix in ACTORS:
                rows = rows.exclude(actor__startswith=prefix)
        elif asked.get("by"):
            rows = rows.filter(actor__startswith=asked["by"])
        if since := asked.get("since"):
            rows = rows.filter(occurred_at__date__gte=since)
        if until := asked.get("until"):
            rows = rows.filter(occurred_at__date__lte=until)
        return rows


class AuditPage(AppPage):
    """A page about the account's log; the app in its URL is where the member came from."""

    section = "settings"
    resource = "apps"
    least = Role.ADMIN
    home = "dashboard-audit"


class AuditLog(AuditPage):
    """The log, newest first."""

    template = "dashboard/audit.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return a page of rows with the names of members who are still here, and the details in the clear."""
        search = AuditSearch(self.request.GET, auto_id="search-%s")
        found = self.page_of(
            search.narrow(AuditEvent.objects.within(self.scope)),
            **{name: self.request.GET.get(name, "") for name in search.fields},
        )
        names = {place.public_id: user.email for place, user in list_members(self.scope)}
        details = details_of(self.scope, [row.pk for row in found["rows"]])
        found["rows"] = [
            {
                "row": row,
                "actor": names.get(row.actor) or row.actor,
                "detail": json.dumps(details[row.pk], indent=2, ensure_ascii=False) if details.get(row.pk) else "",
            }
            for row in found["rows"]
        ]
        chain = Chain.objects.within(self.scope).first()
        newest = AuditSeal.objects.within(self.scope).order_by("-sequence").first()
        return {**found, "search": search, "chain": chain, "newest": newest}


class ExportAudit(AuditPage):
    """Taking the whole log along."""

    def post(self, request: HttpRequest, app_id: str) -> StreamingHttpResponse:
        """Send it as JSON Lines; who had it is on record in it."""
        head = self.perform(begin_export)
        response = StreamingHttpResponse(export_lines(self.scope, head), content_type=MEDIA_TYPE)
        name = f"audit-{ids.encode('ten', self.scope.tenant_id)}-{head['statement']['sequence']}.jsonl"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        response["Cache-Control"] = "no-store"
        return response
