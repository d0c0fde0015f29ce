"""A tenant's dashboard as staff see it, with the tenant's consent: read-only, and every page on record.

Who the tenant's customers are stays masked, as everywhere in the console, until it is revealed with a reason: page by
page, since a reason for one person is none for the next.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import InternalError, connection
from django.http import Http404, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import Resolver404, get_script_prefix, resolve, reverse, set_script_prefix

from accounts.dashboard.frame import AppPage, app_uuid
from accounts.models import App, Tenant
from accounts.visiting import Visit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import Forbidden, NotFound, ValidationFailed
from stackbe.kernel.ids import MalformedId, decode
from stackbe.kernel.transactions import reading
from stackbe.staff.roles import Power, may
from stackbe.staff.services import consents, staff_scope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from django.http import HttpRequest, HttpResponse
    from django.urls import ResolverMatch

    from accounts.models import User

KEPT = "console_visit"
SHOWS = ("GET", "HEAD")
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
    request.session[KEPT] = {"tenant": tenant.public_id, "until": until.isoformat(), "revealed": []}
    return redirect("console:visit", tenant.public_id, f"dashboard/{first.public_id}/")


def show(request: HttpRequest, user: User, tenant_id: str, page: str) -> HttpResponse:
    """Show one page of the tenant's dashboard, under the visit's own addresses. What is refused is on record too."""
    kept = _under_way(request, tenant_id)
    if request.method not in SHOWS:
        _refuse(request, user, tenant_id, page)
        return HttpResponseNotAllowed(SHOWS)
    try:
        match, key, app_id = _place(tenant_id, page)
        with reading(staff_scope(user, key)):
            tenant = Tenant.unscoped.filter(pk=key).first()
            if tenant is None or not App.unscoped.filter(pk=app_id, tenant_id=key).exists():
                raise Http404
    except (Http404, PermissionDenied):
        _refuse(request, user, tenant_id, page)
        raise
    here = request.get_full_path().removeprefix(reverse("console:visit", args=[tenant_id, "-"])[:-2])
    revealed = here in kept["revealed"]
    try:
        consents.record_visited(user, key, app_id, f"/{page}", revealed=revealed)
    except Forbidden as refused:
        raise PermissionDenied(str(refused)) from None
    request.visit = Visit(  # type: ignore[attr-defined]  # the dashboard's frame looks for it
        user=user,
        tenant_id=key,
        tenant_name=tenant.name,
        until=datetime.fromisoformat(kept["until"]),
        end_url=reverse("console:visit_end"),
        reveal_url=reverse("console:visit_reveal"),
        page=here,
        masks=not revealed,
        may_reveal=may(user.staff_role, Power.REVEAL),
    )
    with _addresses_below(reverse("console:visit", args=[tenant_id, "-"])[:-1]), _nothing_written():
        response: HttpResponse = match.func(request, *match.args, **match.kwargs)
    return response


def reveal(request: HttpRequest, user: User) -> HttpResponse:
    """Show one page (`page`, with its query) unmasked for the rest of the visit, once the reason is on record."""
    kept = request.session.get(KEPT) or {}
    tenant_id, page = str(kept.get("tenant")), request.POST.get("page", "")
    _under_way(request, tenant_id)
    path = page.partition("?")[0].removeprefix("/")
    try:
        _, key, app_id = _place(tenant_id, path)
        consents.reveal_page(user, key, app_id, f"/{path}", request.POST.get("reason", ""))
    except (Http404, PermissionDenied):
        _refuse(request, user, tenant_id, path)
        raise
    except Forbidden as refused:
        _refuse(request, user, tenant_id, path)
        raise PermissionDenied(str(refused)) from None
    except ValidationFailed as refused:
        _refuse(request, user, tenant_id, path)
        messages.error(request, " ".join(text for texts in (refused.fields or {}).values() for text in texts))
    else:
        request.session[KEPT] = {**kept, "revealed": [*kept["revealed"], page]}
    return redirect(reverse("console:visit", args=[tenant_id, "-"])[:-2] + page)


def end(request: HttpRequest, user: User) -> HttpResponse:
    """Leave."""
    kept = request.session.pop(KEPT, None)
    if kept is not None:
        consents.record_end(user, decode("ten", kept["tenant"]))
    return redirect("console:index")


def _under_way(request: HttpRequest, tenant_id: str) -> dict[str, Any]:
    """Return what the session knows of the visit to a tenant, or refuse: there is none, or its time is over."""
    kept: dict[str, Any] = request.session.get(KEPT) or {}
    if kept.get("tenant") != tenant_id or datetime.fromisoformat(kept["until"]) <= wall_clock():
        raise PermissionDenied("This visit is over. Begin another from the tenant's page in the console.")
    return kept


def _refuse(request: HttpRequest, user: User, tenant_id: str, page: str) -> None:
    """Put on record what was asked for in vain, in the log of the tenant that is visited."""
    try:
        _, _, app_id = _place(tenant_id, page)
    except (Http404, PermissionDenied):
        app_id = None
    key = decode("ten", tenant_id)
    with reading(staff_scope(user, key)):
        if app_id is not None and not App.unscoped.filter(pk=app_id, tenant_id=key).exists():
            app_id = None
    consents.record_refused(user, key, app_id, f"/{page}", str(request.method))


def _place(tenant_id: str, page: str) -> tuple[ResolverMatch, UUID, UUID]:
    """Return what a path of the dashboard leads to, with the tenant and the app that it is about."""
    try:
        match, key = resolve(f"/{page}"), decode("ten", tenant_id)
        view: Any = match.func
        is_page = issubclass(view.view_class, AppPage) and match.url_name not in NEVER
        app_id = app_uuid(match.kwargs["app_id"]) if is_page else None
    except (Resolver404, MalformedId, AttributeError, NotFound):
        raise Http404 from None
    if app_id is None:
        raise PermissionDenied("A visit does not go there.")
    return match, key, app_id


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
