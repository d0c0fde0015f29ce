"""A tenant's dashboard as staff see it, with the tenant's consent: read-only, and every page on record."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import InternalError, connection
from django.http import Http404
from django.shortcuts import redirect
from django.urls import Resolver404, get_script_prefix, resolve, reverse, set_script_prefix

from accounts.dashboard.frame import AppPage, app_uuid
from accounts.models import App, Tenant
from accounts.visiting import Visit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import Forbidden, NotFound
from stackbe.kernel.ids import MalformedId, decode
from stackbe.kernel.transactions import reading
from stackbe.staff.services import consents, staff_scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest, HttpResponse

    from accounts.models import User

KEPT = "console_visit"
# Pages that hand out more than they show.
NEVER = frozenset({"dashboard-file-download", "dashboard-account-receipt", "stripe-connect", "stripe-callback"})


def begin(request: HttpRequest, user: User, tenant: Tenant, reason: str) -> HttpResponse:
    """Begin a visit and go to the tenant's first app."""
    with reading(staff_scope(user, tenant.pk)):
        apps = App.unscoped.filter(tenant_id=tenant.pk, archived_at__isnull=True)
        first = apps.order_by("created_at").first()
    if first is None:
        raise Forbidden("This tenant has no app to look at.")
    until = consents.begin_visit(user, tenant, reason)
    request.session[KEPT] = {"tenant": tenant.public_id, "until": until.isoformat()}
    return redirect("console:visit", tenant.public_id, f"dashboard/{first.public_id}/")


def show(request: HttpRequest, user: User, tenant_id: str, page: str) -> HttpResponse:
    """Show one page of the tenant's dashboard, under the visit's own addresses."""
    kept = request.session.get(KEPT) or {}
    if kept.get("tenant") != tenant_id or datetime.fromisoformat(kept["until"]) <= wall_clock():
        request.session.pop(KEPT, None)
        raise PermissionDenied("This visit is over. Begin another from the tenant's page in the console.")
    try:
        match, key = resolve(f"/{page}"), decode("ten", tenant_id)
        view: Any = match.func
        is_page = issubclass(view.view_class, AppPage) and match.url_name not in NEVER
        app_id = app_uuid(match.kwargs["app_id"]) if is_page else None
    except (Resolver404, MalformedId, AttributeError, NotFound):
        raise Http404 from None
    if app_id is None:
        raise PermissionDenied("A visit does not go there.")
    with reading(staff_scope(user, key)):
        tenant = Tenant.unscoped.filter(pk=key).first()
        if tenant is None or not App.unscoped.filter(pk=app_id, tenant_id=key).exists():
            raise Http404
    try:
        consents.record_visited(user, key, app_id, f"/{page}")
    except Forbidden as refused:
        raise PermissionDenied(str(refused)) from None
    request.visit = Visit(  # type: ignore[attr-defined]  # the dashboard's frame looks for it
        user=user,
        tenant_id=key,
        tenant_name=tenant.name,
        until=datetime.fromisoformat(kept["until"]),
        end_url=reverse("console:visit_end"),
    )
    with _addresses_below(reverse("console:visit", args=[tenant_id, "-"])[:-1]), _nothing_written():
        response: HttpResponse = match.func(request, *match.args, **match.kwargs)
    return response


def end(request: HttpRequest) -> HttpResponse:
    """Leave."""
    request.session.pop(KEPT, None)
    return redirect("console:index")


@contextmanager
def _addresses_below(prefix: str) -> Iterator[None]:
    """Let every address that a page names lie below the visit's own."""
    before = get_script_prefix()
    set_script_prefix(prefix)
    try:
        yield
    finally:
        set_script_prefix(before)


@contextmanager
def _nothing_written() -> Iterator[None]:
    """Let the database refuse whatever a page would write; behind the refusal of every method but GET."""
    statement: Any = "set session characteristics as transaction read {}"
    with connection.cursor() as cursor:
        cursor.execute(statement.format("only"))
    try:
        yield
    except InternalError as refused:
        raise PermissionDenied("A visit changes nothing.") from refused
    finally:
        with connection.cursor() as cursor:
            cursor.execute(statement.format("write"))
