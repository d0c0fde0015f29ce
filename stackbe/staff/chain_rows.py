"""The audit chains: how long each is, where its head was kept, and whether it held when it was last gone through."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import register
from django.db.models import Exists, OuterRef, Subquery
from unfold.decorators import display

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import first_id
from stackbe.kernel.models import AuditEvent, AuditSeal
from stackbe.staff.console import ConsoleAdmin, console
from stackbe.staff.roles import Power, may
from stackbe.staff.services import verifying
from stackbe.trust.models import Chain
from stackbe.trust.services.chains import LATE

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

    from accounts.models import User

# Sealing and keeping heads come every minute: what waits for longer than this, waits for a worker that is not there.
DUE, WINDOW = timedelta(minutes=10), timedelta(hours=2)
ON_ITS_PAGE = frozenset({"kept_in", "outcome", "found"})
HOLDS, NEW, LATE_SHOWN = "Holds", "New", "Late"
NOT_SEALED, NOT_KEPT, BROKEN = "Not sealed", "Head not kept", "Broken"


@register(Chain, site=console)
class ChainRows(ConsoleAdmin):
    """One row a tenant, and the platform's: what is broken first, then what nobody has gone through for longest."""

    ordering = ("holds", "verified_at", "pk")
    plain = (
        "tenant_id", "state", "length", "last_sealed", "last_head", "kept_in", "verified_at", "outcome", "found",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read each chain's end from its seals, by one step of their index."""
        moment = wall_clock()
        seals = AuditSeal.unscoped.filter(tenant_id=OuterRef("tenant_id")).order_by("-sequence")
        late = AuditEvent.unscoped.filter(
            tenant_id=OuterRef("tenant_id"), pk__lt=first_id(moment - DUE), pk__gt=first_id(moment - DUE - WINDOW)
        )
        sealed = AuditSeal.unscoped.filter(audit_id=OuterRef("pk"))
        rows: QuerySet[Any] = super().get_queryset(request)
        found: QuerySet[Any] = rows.annotate(
            seals=Subquery(seals.values("sequence")[:1]),
            sealed_at=Subquery(seals.values("sealed_at")[:1]),
            waits=Exists(late.filter(~Exists(sealed))),
        )
        return found

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Leave out what only its own page has the room for."""
        return tuple(name for name in super().get_list_display(request) if name not in ON_ITS_PAGE)

    @display(
        description="state",
        label={
            HOLDS: "success", NEW: "info", BROKEN: "danger",
            LATE_SHOWN: "danger", NOT_SEALED: "danger", NOT_KEPT: "danger",
        },
    )  # fmt: skip
    def state(self, row: Any) -> str:
        """Return how it stands, the worst first."""
        return state_of(row)

    @display(description="rows in the chain", ordering="seals")
    def length(self, row: Any) -> str:
        """Return how many rows are chained."""
        return f"{row.seals or 0:,}"

    @display(description="last sealed", ordering="sealed_at")
    def last_sealed(self, row: Any) -> str:
        """Return when the last row was chained."""
        return "" if row.sealed_at is None else f"{row.sealed_at:%d %b %Y, %H:%M:%S} UTC"

    @display(description="last head kept elsewhere")
    def last_head(self, row: Any) -> str:
        """Return which head was signed and kept, and when."""
        if row.kept_at is None:
            return "None yet" if settings.AUDIT_HEADS else "AUDIT_HEADS is not set"
        return f"{row.kept_sequence:,} on {row.kept_at:%d %b %Y, %H:%M:%S} UTC"

    @display(description="last pass")
    def outcome(self, row: Any) -> str:
        """Return what the last pass went through, and how long it took."""
        if row.verified_at is None:
            return "None yet"
        against = "compared with the kept head" if row.compared else "no kept head to compare with"
        return f"{row.verified_rows:,} rows in {row.verified_ms / 1000:.2f} s, {against}"

    @display(description="found")
    def found(self, row: Any) -> str:
        """Return the faults that the last pass found."""
        return " ".join(row.faults) or "No fault"

    def deeds(self, user: User, row: Any) -> list[dict[str, Any]]:
        """Offer to have it gone through now."""
        if row is None or not may(user.staff_role, Power.VERIFY):
            return super().deeds(user, row)
        hint = (
            "Goes through every row of this chain and compares it with the head that was kept elsewhere. The worker"
            " does so once a day."
        )
        return [{"name": "verify", "label": "Verify now", "hint": hint, "reason": False}]

    def perform(self, request: HttpRequest, user: User, row: Any, deed: str) -> HttpResponse | None:
        """Queue it."""
        verifying.ask_verification(user, row)
        messages.success(request, "Asked for: reload this page in a moment to see what was found.")
        return None


def state_of(row: Any) -> str:
    """Return a chain's state in a word or three."""
    moment = wall_clock()
    if row.holds is False:
        return BROKEN
    if row.waits:
        return NOT_SEALED
    behind = (row.kept_sequence or 0) < (row.seals or 0) and row.sealed_at is not None
    if settings.AUDIT_HEADS and behind and row.sealed_at < moment - DUE:
        return NOT_KEPT
    if row.verified_at is None:
        # The worker's first pass comes within the hour.
        return NEW if row.pk >= first_id(moment - LATE) else LATE_SHOWN
    return LATE_SHOWN if row.verified_at < moment - LATE else HOLDS
