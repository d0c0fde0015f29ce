"""The console's lists, one for each kind of row that staff may look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import messages
from django.contrib.admin import register
from djstripe.models import Account
from djstripe.models import Subscription as MirroredSubscription
from procrastinate.contrib.django.models import ProcrastinateJob

from accounts.models import App, Customer, Tenant, User
from apikeys.models import ApiKey
from billing.models import InvoiceReference, Plan, StripeEvent, Subscription
from stackbe.kernel.models import AuditEvent
from stackbe.staff import services, visits
from stackbe.staff.console import ConsoleAdmin, console, sealed_fields
from stackbe.staff.roles import Power, may
from stackbe.staff.services import reruns
from webhooks.models import Delivery, WebhookEndpoint

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


class Suspendable(ConsoleAdmin):
    """A tenant, an app or a key, which staff may stop and let go on."""

    def deeds(self, user: User, row: Any) -> list[dict[str, Any]]:
        """Offer the one that applies."""
        offered = super().deeds(user, row)
        if row is None or not may(user.staff_role, Power.SUSPEND):
            return offered
        if row.suspended_at is None:
            hint = "Its keys, sessions and links are refused at once. Its owners are mailed the reason."
            return [*offered, {"name": "suspend", "label": "Suspend", "hint": hint, "reason": True, "grave": True}]
        hint = "All of it works again. Its owners are mailed the reason."
        return [*offered, {"name": "resume", "label": "Let go on", "hint": hint, "reason": True, "grave": True}]

    def perform(self, request: HttpRequest, user: User, row: Any, deed: str) -> HttpResponse | None:
        """Stop it or let it go on."""
        if deed not in {"suspend", "resume"}:
            return super().perform(request, user, row, deed)
        reason = request.POST.get("reason", "")
        services.set_suspended(user, row, suspended=deed == "suspend", reason=reason)
        messages.success(request, "Suspended; its owners are told." if deed == "suspend" else "Running again.")
        return None


@register(Tenant, site=console)
class TenantRows(Suspendable):
    """Tenants."""

    plain = ("name", "created_at", "suspended_at")

    def deeds(self, user: User, row: Any) -> list[dict[str, Any]]:
        """Offer a visit as well, where the tenant allows it; say so where it does not."""
        offered = super().deeds(user, row)
        if row is None or not may(user.staff_role, Power.VISIT):
            return offered
        hint = (
            "Shows the tenant’s dashboard as it sees it, read-only, for 30 minutes, if an owner has allowed it under"
            " Settings, Staff access. Every page that you open is listed there, and the owners are mailed the reason."
        )
        return [*offered, {"name": "visit", "label": "Visit", "hint": hint, "reason": True, "grave": True}]

    def perform(self, request: HttpRequest, user: User, row: Any, deed: str) -> HttpResponse | None:
        """Begin a visit."""
        if deed != "visit":
            return super().perform(request, user, row, deed)
        return visits.begin(request, user, row, request.POST.get("reason", ""))


@register(App, site=console)
class AppRows(Suspendable):
    """Apps."""

    plain = ("name", "environment", "tenant_id", "created_at", "archived_at", "suspended_at")


@register(Customer, site=console)
class CustomerRows(ConsoleAdmin):
    """Customers, without who they are."""

    # A tenant's own id for a person may be their address or their name.
    masked: ClassVar[tuple[str, ...]] = (*sealed_fields(Customer), "external_id")
    plain = ("tenant_id", "app_id", "created_at", "deleted_at")


@register(User, site=console)
class UserRows(ConsoleAdmin):
    """Developers and staff."""

    masked: ClassVar[tuple[str, ...]] = sealed_fields(User)
    plain = ("staff_role", "is_active", "created_at", "last_login")

    def deeds(self, user: User, row: Any) -> list[dict[str, Any]]:
        """Offer the roles that the person does not have."""
        offered = super().deeds(user, row)
        if row is None or row.pk == user.pk or not may(user.staff_role, Power.APPOINT):
            return offered
        roles = [role for role in User.StaffRole if role.value != row.staff_role]
        return offered + [
            {
                "name": f"appoint:{role.value or 'none'}",
                "label": f"Make {role.label}",
                "hint": "Takes effect on their next click.",
                "reason": False,
                "grave": True,
            }
            for role in roles
        ]

    def perform(self, request: HttpRequest, user: User, row: Any, deed: str) -> HttpResponse | None:
        """Give or take the role."""
        if not deed.startswith("appoint:"):
            return super().perform(request, user, row, deed)
        role = deed.removeprefix("appoint:")
        services.appoint(user, row.pk, "" if role == "none" else role)
        messages.success(request, "Done.")
        return None


@register(ApiKey, site=console)
class ApiKeyRows(Suspendable):
    """API keys: what may be shown of them."""

    plain = (
        "prefix",
        "name",
        "kind",
        "tenant_id",
        "app_id",
        "scopes",
        "created_at",
        "last_used_at",
        "suspended_at",
        "revoked_at",
    )

    def deeds(self, user: User, row: Any) -> list[dict[str, Any]]:
        """Offer to suspend or revoke a live key."""
        if row is None or row.revoked_at is not None or not may(user.staff_role, Power.SUSPEND):
            return []
        hint = "Refused from the next request on, for good. The owners are mailed the reason."
        revoke = {"name": "revoke", "label": "Revoke", "hint": hint, "reason": True, "grave": True}
        return [*super().deeds(user, row), revoke]

    def perform(self, request: HttpRequest, user: User, row: Any, deed: str) -> HttpResponse | None:
        """Suspend it, let it go on, or revoke it."""
        if deed != "revoke":
            return super().perform(request, user, row, deed)
        services.revoke_key(user, row, request.POST.get("reason", ""))
        messages.success(request, "Revoked.")
        return None


@register(Plan, site=console)
class PlanRows(ConsoleAdmin):
    """Plans."""

    plain = ("name", "slug", "tenant_id", "app_id", "active", "is_default", "version", "push_state", "push_error")


@register(Subscription, site=console)
class SubscriptionRows(ConsoleAdmin):
    """Subscriptions."""

    plain = (
        "status",
        "tenant_id",
        "app_id",
        "quantity",
        "current_period_start",
        "current_period_end",
        "cancel_at_period_end",
        "access_until",
        "stripe_account",
        "stripe_subscription_id",
    )


@register(InvoiceReference, site=console)
class InvoiceRows(ConsoleAdmin):
    """Invoice references."""

    plain = (
        "number",
        "status",
        "tenant_id",
        "app_id",
        "amount_due_cents",
        "amount_paid_cents",
        "currency",
        "disputed",
        "stripe_account",
        "stripe_invoice_id",
        "created_at",
    )


@register(StripeEvent, site=console)
class StripeEventRows(ConsoleAdmin):
    """Stripe's inbox: references, never payloads."""

    plain = (
        "event_id",
        "type",
        "account_id",
        "tenant_id",
        "state",
        "attempts",
        "recovered",
        "error_class",
        "error_code",
        "received_at",
        "processed_at",
    )
    list_filter = ("state", "recovered")

    def deeds(self, user: User, row: Any) -> list[dict[str, Any]]:
        """Offer to work it off once more."""
        if row is None or not may(user.staff_role, Power.RERUN):
            return super().deeds(user, row)
        hint = "Fetches the object from Stripe again and brings our rows in step. Harmless, as often as you like."
        return [{"name": "rerun", "label": "Run again", "hint": hint, "reason": False}]

    def perform(self, request: HttpRequest, user: User, row: Any, deed: str) -> HttpResponse | None:
        """Queue it."""
        reruns.rerun_event(user, row)
        messages.success(request, "Queued: it is worked off in a moment.")
        return None


@register(WebhookEndpoint, site=console)
class EndpointRows(ConsoleAdmin):
    """Where apps take their events."""

    masked: ClassVar[tuple[str, ...]] = ("url",)
    plain = ("tenant_id", "app_id", "enabled", "disabled_reason", "created_at")


@register(Delivery, site=console)
class DeliveryRows(ConsoleAdmin):
    """Deliveries of events."""

    plain = (
        "tenant_id",
        "app_id",
        "event_type",
        "status",
        "attempts",
        "response_status",
        "error",
        "due_at",
        "created_at",
    )
    list_filter = ("status",)

    def deeds(self, user: User, row: Any) -> list[dict[str, Any]]:
        """Offer to send it again once it is over."""
        if row is None or row.status == Delivery.Status.PENDING or not may(user.staff_role, Power.RERUN):
            return super().deeds(user, row)
        hint = "Sends the event to the same endpoint under the same id; a receiver that keeps ids sees a repeat."
        return [{"name": "rerun", "label": "Send again", "hint": hint, "reason": False}]

    def perform(self, request: HttpRequest, user: User, row: Any, deed: str) -> HttpResponse | None:
        """Queue it."""
        reruns.deliver_again(user, row)
        messages.success(request, "On its way again.")
        return None


@register(ProcrastinateJob, site=console)
class JobRows(ConsoleAdmin):
    """Background work. Arguments are ids, never an address and never a secret."""

    plain = ("task_name", "queue_name", "status", "attempts", "scheduled_at", "args")
    list_filter = ("status", "queue_name")

    def deeds(self, user: User, row: Any) -> list[dict[str, Any]]:
        """Offer to put a job that was given up back into the queue."""
        if row is None or row.status != "failed" or not may(user.staff_role, Power.RETRY):
            return []
        hint = "Puts it back into the queue. Jobs are harmless when run twice."
        return [{"name": "retry", "label": "Try again", "hint": hint, "reason": True}]

    def perform(self, request: HttpRequest, user: User, row: Any, deed: str) -> HttpResponse | None:
        """Queue it."""
        reruns.retry_job(user, row, request.POST.get("reason", ""))
        messages.success(request, "Back in the queue.")
        return None


@register(AuditEvent, site=console)
class AuditRows(ConsoleAdmin):
    """The audit log."""

    masked: ClassVar[tuple[str, ...]] = ("detail",)
    plain = ("occurred_at", "action", "actor", "target", "tenant_id", "app_id", "address", "request_id")


@register(Account, site=console)
class MirroredAccountRows(ConsoleAdmin):
    """dj-stripe's mirror of connected accounts."""

    ordering = ("-djstripe_id",)
    plain = ("id", "livemode", "djstripe_updated")


@register(MirroredSubscription, site=console)
class MirroredSubscriptionRows(ConsoleAdmin):
    """dj-stripe's mirror of subscriptions."""

    ordering = ("-djstripe_id",)
    plain = ("id", "livemode", "djstripe_owner_account", "djstripe_updated")
