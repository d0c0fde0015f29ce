"""The tenant's side of what staff may see: give leave, take it back, and read what they looked at. Owners alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.urls import URLPattern, path

from accounts.dashboard.frame import AppPage
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.scope import Role
from stackbe.staff.services.consents import give_consent, live_consent, take_consent_back
from stackbe.trust.audit_export import details_of

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

WORDS = {
    "staff.viewed": "Looked at a row in the console",
    "staff.revealed": "Revealed what was masked",
    "staff.visit_began": "Began a visit of the dashboard",
    "staff.visited": "Opened a page of the dashboard",
    "staff.visit_refused": "Asked for what a visit refuses",
    "staff.visit_ended": "Left the dashboard",
}


class StaffAccess(AppPage):
    """Leave for staff to look, and all that they looked at."""

    section = "settings"
    resource = "apps"
    least = Role.OWNER
    home = "dashboard-staff"
    template = "dashboard/staff.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return the leave that stands, and a page of staff's looks, newest first."""
        found = self.page_of(AuditEvent.objects.within(self.scope).filter(action__startswith="staff."))
        details = details_of(self.scope, [row.pk for row in found["rows"]])
        found["rows"] = [
            {"row": row, "words": WORDS.get(row.action, row.action), "detail": details.get(row.pk) or {}}
            for row in found["rows"]
        ]
        return {**found, "leave": live_consent(self.scope)}

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Give leave for the hours chosen, or take it back."""
        hours = request.POST.get("hours", "")
        if request.POST.get("answer") == "revoke":
            self.perform(take_consent_back)
            return self.done("Taken back. A visit ends with its next click.", self.home)
        self.perform(lambda scope: give_consent(scope, self.user, int(hours) if hours.isdecimal() else 0))
        return self.done("Allowed. You can take it back at any time.", self.home)


PAGES: list[URLPattern] = [path("dashboard/<str:app_id>/staff", StaffAccess.as_view(), name="dashboard-staff")]
