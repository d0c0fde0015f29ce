"""The console's site: Django admin with our roles, our sign-in, and an audit row for every look."""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any, ClassVar

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, path, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django_ratelimit.core import is_ratelimited
from django_ratelimit.exceptions import Ratelimited
from unfold.admin import ModelAdmin
from unfold.sites import UnfoldAdminSite

from accounts.models import User
from stackbe.kernel import ids
from stackbe.kernel.errors import ApiError
from stackbe.kernel.fields import MASK, Sealed
from stackbe.kernel.scope import PLATFORM, platform_scope
from stackbe.kernel.transactions import reading
from stackbe.mail.outgoing import waiting
from stackbe.staff import entry, health, services, visits
from stackbe.staff.roles import Power, may, may_view

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db import models
    from django.db.models import QuerySet

STAFF_DATABASE = "staff"
# Columns that name a row elsewhere, and the prefix of its public id.
PREFIXES = {"tenant_id": "ten", "app_id": "app"}
PLATFORM_SHOWN = "the platform"
# In the session: what somebody was about to do when a fresh proof was asked for.
DRAFT = "console_draft"
SECTIONS = {
    "accounts": "People and tenants",
    "apikeys": "API keys",
    "billing": "Plans and payments",
    "djstripe": "Mirrored from Stripe",
    "kernel": "Audit",
    "procrastinate": "Background work",
    "trust": "Tickets and audit chains",
    "webhooks": "Webhooks",
}
LISTS = {
    "ApiKey": "API keys",
    "Chain": "Audit chains",
    "Delivery": "Deliveries",
    "InvoiceReference": "Invoices",
    "ProcrastinateJob": "Jobs",
}
# Alpine, which the console's theme is built on, evaluates expressions. No inline script runs.
CONTENT_POLICY = {
    "script-src": [SELF, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
    "form-action": [SELF, settings.BASE_URL],
    "frame-ancestors": [NONE],
}


READING, TAKING = frozenset({"GET", "HEAD"}), frozenset({"POST"})
# What the framework serves and nobody here needs: nobody has a password, nothing is edited.
UNUSED = frozenset({"password_change", "password_change_done", "autocomplete", "view_on_site"})


def takes_forms(view: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a view of the console that takes forms, and nothing else."""
    view.takes_forms = True  # type: ignore[attr-defined]  # a mark on a function
    return view


def as_the_dashboard(view: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a view of the console that shows the dashboard's own pages, under their stricter content policy.

    It refuses every form itself, since the tenant is to see that there was one: so none is turned away before it
    for want of a token.
    """
    view.as_the_dashboard = True  # type: ignore[attr-defined]  # a mark on a function
    return csrf_exempt(view)


def staff_user(request: HttpRequest) -> User:
    """Return who is asking, where the site has let them in."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


class Console(UnfoldAdminSite):
    """The staff console."""

    site_header = site_title = "StackBE staff console"
    index_title = "What runs here"
    enable_nav_sidebar = True
    password_change_template = None
    index_template = "admin/console_index.html"

    def has_permission(self, request: HttpRequest) -> bool:
        """Let in whoever holds a staff role, gave a second factor and has not been idle since."""
        return isinstance(request.user, User) and request.user.is_staff and entry.is_live(request.session)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send whoever is not in to sign in and give a second factor."""
        return entry.send_to_sign_in(request, request.GET.get("next", ""))

    @takes_forms
    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """End the console's session; the dashboard's goes on."""
        if request.method == "POST":
            logout(request)
        return redirect(f"{settings.BASE_URL}{settings.LOGIN_REDIRECT_URL}")

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Return the console's own places: of the framework's, those that it has a use for."""
        kept = [place for place in super().get_urls() if getattr(place, "name", None) not in UNUSED]
        return [
            path("arrive", csp_replace(CONTENT_POLICY)(entry.arrive), name="arrive"),
            path("health/", self.admin_view(self.health), name="health"),
            path("visit/end", self.admin_view(self.end_visit), name="visit_end"),
            path("visit/reveal", self.admin_view(self.reveal_visited), name="visit_reveal"),
            path("visit/<str:tenant_id>/<path:page>", self.admin_view(self.visit), name="visit"),
            *kept,
        ]

    @as_the_dashboard
    def visit(self, request: HttpRequest, tenant_id: str, page: str) -> HttpResponse:
        """Show a page of a tenant's dashboard."""
        return visits.show(request, staff_user(request), tenant_id, page)

    @takes_forms
    def reveal_visited(self, request: HttpRequest) -> HttpResponse:
        """Show who is on a page of a tenant's dashboard."""
        return visits.reveal(request, staff_user(request))

    @takes_forms
    def end_visit(self, request: HttpRequest) -> HttpResponse:
        """Leave a tenant's dashboard."""
        return visits.end(request, staff_user(request))

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:  # noqa: FBT001, FBT002  # Django's signature
        """Guard every page: its content policy, its limit, who comes in, and that only deeds take forms."""
        guarded = super().admin_view(view, cacheable)
        methods = TAKING if getattr(view, "takes_forms", False) else READING
        refuses_itself = getattr(view, "as_the_dashboard", False)

        def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method not in methods and not refuses_itself:
                return HttpResponseNotAllowed(sorted(methods))
            if is_ratelimited(request, group="console", key="user_or_ip", rate="120/m", increment=True):
                raise Ratelimited
            if self.has_permission(request):
                entry.touch(request.session)
            response: HttpResponse = guarded(request, *args, **kwargs)
            return response

        policy = {} if refuses_itself else CONTENT_POLICY
        wrapped: Callable[..., Any] = csp_replace(policy)(never_cache(update_wrapper(limited, view)))
        return wrapped

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show what runs here, and whether developers wait for their sign-in mails: no tenant's page tells of those."""
        scope = platform_scope("console")
        with reading(scope):
            found = waiting(scope)
        if found is not None:
            messages.warning(request, f"Developers wait for mail. {found.sentence}")
        shown = {**(extra_context or {}), "panels": health.panels(STAFF_DATABASE)}
        response: HttpResponse = super().index(request, shown)
        return response

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Add our own stylesheet to the theme's."""
        context: dict[str, Any] = super().each_context(request)
        return {**context, "styles": [static("css/console.css")]}

    def health(self, request: HttpRequest) -> HttpResponse:
        """Show how each part of the service fares, with plots of the last day."""
        context = {
            **self.each_context(request),
            **health.hour_shown(),
            "title": "Health",
            "panels": health.panels(STAFF_DATABASE),
        }
        return TemplateResponse(request, "admin/console_health.html", context)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """Name the sections and lists as people do, not as the code does."""
        sections: list[dict[str, Any]] = super().get_app_list(request, app_label)
        for section in sections:
            section["name"] = SECTIONS.get(section["app_label"], section["name"])
            for listed in section["models"]:
                listed["name"] = LISTS.get(listed["object_name"], listed["name"])
        return sections


console = Console(name="console")


class ConsoleAdmin(ModelAdmin):
    """Rows to look at. Nothing is added, changed or deleted here: actions are services of their own.

    Rows are read as the staff role of the database, which sees all tenants and may not bypass its
    policies to write. Sealed fields show a mask; `reveal` opens them, with a reason.
    """

    masked: ClassVar[tuple[str, ...]] = ()
    plain: ClassVar[tuple[str, ...]] = ()
    ordering: tuple[str, ...] = ("-pk",)
    list_per_page = 50
    show_full_result_count = False
    actions = None
    change_form_template = "admin/console_row.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read all tenants' rows with the staff role."""
        manager: Any = getattr(self.model, "unscoped", self.model._default_manager)
        rows: QuerySet[Any] = manager.using(STAFF_DATABASE).order_by(*self.ordering)
        return rows

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Show the id and what is plain."""
        return ("__str__", *map(shown_as, self.plain))

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[str]:
        """Show what is plain, and masks for what is sealed."""
        return [*map(shown_as, self.plain), *(f"masked_{name}" for name in self.masked)]

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[str]:
        """Everything is read-only."""
        return self.get_fields(request, obj)

    def __getattr__(self, name: str) -> Any:
        """Answer `masked_email` and its like with a mask, `public_app_id` with the id that the API shows."""
        if name.startswith("masked_") and name.removeprefix("masked_") in type(self).masked:

            def mask(row: models.Model) -> str:
                return MASK

            mask.short_description = name.removeprefix("masked_").replace("_", " ")  # type: ignore[attr-defined]  # how the admin names a column
            return mask
        if (column := name.removeprefix("public_")) != name and column in PREFIXES:

            def public(row: models.Model) -> str:
                identifier = getattr(row, column)
                if identifier is None or identifier == PLATFORM:
                    return PLATFORM_SHOWN if identifier else ""
                return ids.encode(PREFIXES[column], identifier)

            public.short_description = column.removesuffix("_id")  # type: ignore[attr-defined]  # how the admin names a column
            public.admin_order_field = column  # type: ignore[attr-defined]  # so that the list still sorts by it
            return public
        raise AttributeError(name)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the model to the roles that may see it."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Ask the table of roles."""
        user = request.user
        return isinstance(user, User) and may_view(user.staff_role, self.model._meta.label)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds rows here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Nobody edits rows here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Nobody deletes rows here."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, and put the look on record."""
        response: HttpResponse = super().changelist_view(request, extra_context)
        if response.status_code == 200:  # noqa: PLR2004  # a refused look shows nothing
            services.record_look(staff_user(request), "staff.listed", self.model._meta.label)
        return response

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a row, and put the look on record in its tenant's log."""
        row = self.get_object(request, object_id) if object_id else None
        if row is not None and self.has_view_permission(request, row):
            services.record_look(staff_user(request), "staff.viewed", str(row), row)
        context = {**(extra_context or {}), "deeds": self.offered(request, row)}
        response: HttpResponse = super().changeform_view(request, object_id, form_url, context)
        return response

    def deeds(self, user: User, row: Any) -> list[dict[str, Any]]:
        """Return the forms that the row's page offers this role."""
        if row is None or not self.masked or not may(user.staff_role, Power.REVEAL):
            return []
        hint = "Shows what is masked. The reason goes on record."
        return [{"name": "reveal", "label": "Reveal", "hint": hint, "reason": True}]

    def offered(self, request: HttpRequest, row: Any) -> list[dict[str, Any]]:
        """Return the same, with the reason that was typed before a proof was asked for."""
        kept = request.session.get(DRAFT) or {}
        if row is None or kept.get("row") != str(row):
            return self.deeds(staff_user(request), row)
        del request.session[DRAFT]
        return [
            {**deed, "typed": kept["reason"], "again": True} if deed["name"] == kept["deed"] else deed
            for deed in self.deeds(staff_user(request), row)
        ]

    def get_urls(self) -> list[URLPattern]:
        """Return the list, the row and its deeds: what nobody may do (add, edit, delete) has no place."""
        name, view = f"{self.opts.app_label}_{self.opts.model_name}", self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name=f"{name}_changelist"),
            path("<path:object_id>/do/<str:deed>", view(self.deed_view), name=f"{name}_deed"),
            path("<path:object_id>/change/", view(self.change_view), name=f"{name}_change"),
        ]

    @takes_forms
    def deed_view(self, request: HttpRequest, object_id: str, deed: str) -> HttpResponse:
        """Run one deed on one row, through its service. A grave one wants a fresh proof first."""
        user, row = staff_user(request), self.get_object(request, object_id)
        back = redirect(f"console:{self.opts.app_label}_{self.opts.model_name}_change", object_id)
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        found = next((offered for offered in self.deeds(user, row) if offered["name"] == deed), None)
        if found is None:
            raise PermissionDenied
        if found.get("grave") and not entry.is_fresh(request.session):
            request.session[DRAFT] = {"row": str(row), "deed": deed, "reason": request.POST.get("reason", "")[:300]}
            return entry.send_to_sign_in(request, back["Location"])
        try:
            return self.perform(request, user, row, deed) or back
        except ApiError as refused:
            words = [text for texts in (refused.fields or {}).values() for text in texts]
            messages.error(request, " ".join(words) or str(refused))
            return back

    def perform(self, request: HttpRequest, user: User, row: Any, deed: str) -> HttpResponse | None:
        """Do it; the answer is a page, or None to go back to the row."""
        if deed != "reveal":
            raise PermissionDenied
        shown = services.reveal(user, row, self.masked, request.POST.get("reason", ""))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Revealed: {row}",
            "opts": self.opts,
            "shown": shown,
            "back": reverse(f"console:{self.opts.app_label}_{self.opts.model_name}_change", args=[row.pk]),
        }
        return TemplateResponse(request, "admin/console_revealed.html", context)


def shown_as(column: str) -> str:
    """Return what the console shows for a column: ids as the API and the dashboard write them."""
    return f"public_{column}" if column in PREFIXES else column


def sealed_fields(model: type[models.Model]) -> tuple[str, ...]:
    """Return the names of a model's sealed fields."""
    return tuple(f.name for f in model._meta.get_fields() if isinstance(f, Sealed))
