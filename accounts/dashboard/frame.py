"""What every page of the dashboard shares: who asks, for which app, and what they may do there.

A page names the `resource` that it shows. Reading and changing it take the role that the table of
routes asks for the same thing (`least_role`), so that the dashboard never allows what the API refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.views import View
from django_ratelimit.core import is_ratelimited
from django_ratelimit.exceptions import Ratelimited

from accounts.dashboard import step_up
from accounts.errors import AppNotFound
from accounts.lookups import known_app
from accounts.models import App, User
from accounts.services.apps import list_apps
from accounts.services.devices import note_seen
from accounts.services.members import Place, member_scope, memberships_of
from accounts.services.suspension import refuse_suspended
from accounts.visiting import Visit
from stackbe.kernel import http, ids
from stackbe.kernel.errors import ApiError, Forbidden, NotFound, ValidationFailed
from stackbe.kernel.paging import keyset_page
from stackbe.kernel.routes import least_role
from stackbe.kernel.scope import Role, Scope
from stackbe.kernel.serializers import Input, camel
from stackbe.kernel.transactions import change, current, reading
from stackbe.mail.outgoing import waiting
from webhooks.services.endpoints import silenced_endpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django import forms
    from django.db.models import QuerySet

PAGE_SIZE = 25
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORMS_PER_MINUTE = "60/m"
# (section, words, icon, URL name); None parts what one does daily from what one sets up.
NAVIGATION = (
    ("overview", "Overview", "overview", "dashboard-overview"),
    ("customers", "Customers", "customers", "dashboard-customers"),
    ("organizations", "Organizations", "organizations", "dashboard-organizations"),
    ("subscriptions", "Subscriptions", "subscriptions", "dashboard-subscriptions"),
    ("usage", "Usage", "usage", "dashboard-usage"),
    None,
    ("plans", "Plans", "plans", "dashboard-plans"),
    ("stripe", "Stripe", "stripe", "dashboard-stripe"),
    ("webhooks", "Webhooks", "webhooks", "dashboard-webhooks"),
    ("keys", "API keys", "keys", "dashboard-keys"),
    ("members", "Members", "customers", "dashboard-members"),
    ("settings", "Settings", "settings", "dashboard-settings"),
)


class MemberPage(View):
    """A page for whoever is signed in."""

    request: HttpRequest
    user: User
    place: Place | None = None
    app: App | None = None
    visit: Visit | None = None
    section: ClassVar[str] = ""
    template: ClassVar[str] = ""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Let in whoever is signed in; turn the API's failures into pages or notices."""
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path(), settings.LOGIN_URL)
        self.user = request.user
        if is_ratelimited(
            request, group="dashboard", key="user_or_ip", rate=FORMS_PER_MINUTE, method=("POST",), increment=True
        ):
            raise Ratelimited
        self.visit = getattr(request, "visit", None)
        try:
            self.enter(**kwargs)
            if self.visit is None:
                note_seen(request.session)
            return step_up.demand(request, self.user) or super().dispatch(request, *args, **kwargs)
        except NotFound:
            raise Http404 from None
        except Forbidden as refused:
            raise PermissionDenied(str(refused)) from None
        except ApiError as failure:
            if request.method in SAFE:
                return self.failure_page(failure.status if failure.status in {400, 429} else 503)
            messages.error(request, in_words(failure))
            return self.back()

    def back(self) -> HttpResponse:
        """Return to where a refused form came from."""
        return redirect(self.request.path)

    def enter(self, **kwargs: Any) -> None:
        """Settle what the page is about before a method runs."""

    def failure_page(self, status: int) -> HttpResponse:
        """Return the error page for a status."""
        context = {"status": status, "request_id": http.request_id.get()}
        return HttpResponse(render_to_string(f"errors/{status}.html", context), status=status)

    def show(self, context: Mapping[str, Any] | None = None, *, template: str = "", status: int = 200) -> HttpResponse:
        """Return the page. Call it with a change or a reading open: templates read sealed fields."""
        shell = {
            "app": self.app,
            "place": self.place,
            "section": self.section,
            "navigation": NAVIGATION if self.app else (),
            **self.shell(),
        }
        html = render_to_string(template or self.template, {**shell, **(context or {})}, self.request)
        response = HttpResponse(html, status=status)
        response["Cache-Control"] = "no-store"
        return response

    def shell(self) -> dict[str, Any]:
        """Return what the frame around the page shows; pages that need less return less."""
        return {}


class AppPage(MemberPage):
    """A page about one app, which its URL names. `least` is the least role where the resource does not say it."""

    resource: ClassVar[str]
    home: ClassVar[str] = ""
    least: ClassVar[Role | None] = None
    scope: Scope
    app: App | None = None

    def enter(self, **kwargs: Any) -> None:
        """Find the app among those of the member's tenants; a stranger's looks like none."""
        app_id = app_uuid(kwargs["app_id"])
        known = known_app(app_id)
        if known is None:
            raise AppNotFound
        if self.visit is not None:
            self.scope, self.place, self.places = self.visit.scope(known), self.visit.place, [self.visit.place]
            self._refuse_low_role()
            return
        self.places = memberships_of(self.user.id)
        if known.closed and any(place.tenant_id == known.tenant_id for place in self.places):
            refuse_suspended(known.tenant_id, app_id)
        self.scope = member_scope(self.user, known.tenant_id, app_id)
        self.place = next(place for place in self.places if place.tenant_id == known.tenant_id)
        self._refuse_low_role()
        if self.request.session.get("app") != kwargs["app_id"]:
            self.request.session["app"] = kwargs["app_id"]

    def _refuse_low_role(self) -> None:
        verb = "read" if self.request.method in SAFE else "write"
        if self.role.rank < (self.least or least_role(f"{self.resource}:{verb}")).rank:
            raise Forbidden("Your role in this account does not allow that. An owner or admin can change it.")

    def back(self) -> HttpResponse:
        """Return to the page that `home` names, for URLs that only take forms."""
        return redirect(self.home, self.kwargs["app_id"]) if self.home else super().back()

    @property
    def role(self) -> Role:
        """Return the member's role in the app's tenant."""
        return self.scope.role or Role.VIEWER

    @property
    def may_write(self) -> bool:
        """Say whether the member may change what the page shows, so that it offers no dead button."""
        return self.role.rank >= least_role(f"{self.resource}:write").rank

    def shell(self) -> dict[str, Any]:
        """Return the app, its siblings and the member."""
        apps = list(list_apps(self.scope).order_by("created_at"))
        self.app = next(app for app in apps if app.pk == self.scope.app_id)
        return {
            "app": self.app,
            "apps": apps,
            "places": self.places,
            "role": self.role,
            "may_write": self.may_write,
            "waiting_mail": waiting(self.scope),
            "silenced_endpoints": list(silenced_endpoints(self.scope)),
            "navigation": NAVIGATION,
            **identity(self.user),
        }

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Show the page with what `context` finds; an address that only takes forms shows nothing."""
        if not self.template:
            return self.http_method_not_allowed(request)
        del kwargs["app_id"]
        with reading(self.scope):
            return self.show(self.context(**kwargs))

    def context(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return what the page's template needs."""
        return {}

    def page_of(self, rows: QuerySet[Any], **query: str) -> dict[str, Any]:
        """Return one page of rows and the parameters that lead on, as components/pager.html takes them."""
        cursor = self.request.GET.get("cursor") or None
        found, following = keyset_page(rows, PAGE_SIZE, cursor)
        return {
            "rows": found,
            "cursor": cursor,
            "next_cursor": following,
            "query": urlencode({name: value for name, value in query.items() if value}),
        }

    def submit(self, form: forms.Form, act: Callable[[], HttpResponse], shown: dict[str, Any]) -> HttpResponse:
        """Run `act` on a valid form; show the page again with every refusal beside its field.

        `act` opens its own change, so that a refusal leaves nothing behind.
        """
        if form.is_valid():
            try:
                return act()
            except ValidationFailed as failure:
                put_errors(form, failure)
            except ApiError as failure:
                if isinstance(failure, Forbidden | NotFound):
                    raise
                form.add_error(None, str(failure))
        with reading(self.scope):
            return self.show({**self.context(**shown.pop("kwargs", {})), **shown}, status=400)

    def done(self, sentence: str, name: str, *args: str) -> HttpResponseRedirect:
        """Say what was done on the page that comes next."""
        messages.success(self.request, sentence)
        return redirect(name, self.kwargs["app_id"], *args)

    def perform(self, act: Callable[[Scope], Any]) -> Any:
        """Run one service in a change of its own."""
        with change(self.scope):
            return act(self.scope)


def app_uuid(app_id: str) -> UUID:
    """Return an app's id from its public form, or the API's 404."""
    try:
        return ids.decode("app", app_id)
    except ids.MalformedId:
        raise AppNotFound from None


def identity(user: User) -> dict[str, str]:
    """Return the address and name that the frame shows of the member. Needs an open reading."""
    current().keys.preload([user.id], user.tenant_id)
    return {"member_email": user.email or "", "member_name": user.name or user.email or ""}


def as_the_api_takes_it(shape: type[Input], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return form data as the API's own input serializer cleans it; refuse as it refuses.

    `data` is in snake_case; so one set of rules guards both doors.
    """
    given = shape(data={camel(name): value for name, value in data.items()})
    if not given.is_valid():
        fields = {name: [str(error) for error in flattened(errors)] for name, errors in given.errors.items()}
        raise ValidationFailed(fields=fields)
    return dict(given.validated_data)


def flattened(errors: Any) -> list[str]:
    """Return all messages of a serializer's nested errors, in order, none twice."""
    if isinstance(errors, dict):
        parts = [message for part in errors.values() for message in flattened(part)]
    elif isinstance(errors, list | tuple):
        parts = [message for part in errors for message in flattened(part)]
    else:
        parts = [str(errors)]
    return list(dict.fromkeys(parts))


def put_errors(form: forms.Form, failure: ValidationFailed) -> None:
    """Put each of the API's complaints beside the form's field of that name, others on top."""
    names = {camel(name): name for name in form.fields}
    for spoken, sentences in (failure.fields or {"": [str(failure)]}).items():
        name = names.get(spoken.rpartition(".")[2]) or names.get(spoken.partition(".")[0])
        for sentence in sentences:
            form.add_error(name, sentence)


def in_words(failure: ApiError) -> str:
    """Return a failure as one sentence for a notice."""
    details = [sentence for sentences in (failure.fields or {}).values() for sentence in sentences]
    return " ".join([str(failure), *details])
