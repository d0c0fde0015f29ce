"""What the service says of itself: health, the API's description, the contact for reports."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import get_resolver
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, multiprocess
from rest_framework.response import Response

from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.clock import render as render_time
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import equal
from stackbe.kernel.openapi import document
from stackbe.trust import documents

if TYPE_CHECKING:
    from rest_framework.request import Request

OLDEST_JOB = timedelta(minutes=5)
QUEUE_AGE = """
select extract(epoch from %s - min(e.at)) from procrastinate_jobs j
join procrastinate_events e on e.job_id = j.id and e.type = 'deferred'
where j.status = 'todo' and (j.scheduled_at is null or j.scheduled_at <= %s)
"""


@lru_cache(maxsize=1)
def api_document() -> dict[str, Any]:
    """Return the OpenAPI document, made once a process."""
    urls: Any = get_resolver().urlconf_module
    return document(urls.ROUTES)


class OpenApiDocument(ApiView):
    """The API's description."""

    @operation()
    def get(self, request: Request) -> Response:
        """Return the OpenAPI 3.1 document of this API."""
        response = Response(api_document())
        response["Cache-Control"] = "public, max-age=300"
        return response


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Say that the process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether the database answers and the worker keeps up; 503 when not."""
    moment = wall_clock()
    try:
        with connection.cursor() as cursor:
            cursor.execute(QUEUE_AGE, [moment, moment])
            age = cursor.fetchone()[0]
    except DatabaseError:
        return JsonResponse({"status": "down", "database": "unreachable"}, status=503)
    late = age is not None and age > OLDEST_JOB.total_seconds()
    body = {"status": "late" if late else "ok", "database": "ok", "queueAgeSeconds": int(age or 0)}
    return JsonResponse(body, status=503 if late else 200)


@require_safe
def security_txt(request: HttpRequest) -> HttpResponse:
    """Return where to report a vulnerability (RFC 9116)."""
    expires = render_time(wall_clock().replace(microsecond=0) + timedelta(days=180))
    lines = [
        f"Contact: {settings.BASE_URL}/contact?subject=security",
        *([f"Contact: {settings.SECURITY_CONTACT}"] if settings.SECURITY_CONTACT else []),
        f"Expires: {expires}",
        "Preferred-Languages: en",
        f"Canonical: {settings.BASE_URL}/.well-known/security.txt",
        f"Policy: {settings.BASE_URL}/security",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@require_safe
def guide(request: HttpRequest, name: str = "") -> HttpResponse:
    """Show one of the guides; the first for none."""
    there = documents.names()
    wanted = name or there[0]
    if wanted not in there:
        raise Http404
    document_ = documents.read(wanted)
    # A list of guides takes the part before the colon; the guide itself shows its whole title.
    pages = [
        {"title": documents.read(each).title.partition(":")[0], "url": f"/docs/{each}", "active": each == wanted}
        for each in there
    ]
    place = there.index(wanted)
    context = {
        "title": document_.title,
        "pages": pages,
        "contents": document_.contents,
        "html": mark_safe(document_.html),  # noqa: S308  # our own Markdown, raw HTML switched off
        "previous": pages[place - 1] if place else None,
        "following": pages[place + 1] if place + 1 < len(pages) else None,
    }
    return render(request, "docs/page.html", context)


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Lead browsers that look for an icon of their own accord to ours."""
    return redirect(static("icons/mark.svg"))


def metrics(request: HttpRequest) -> HttpResponse:
    """Return Prometheus metrics to whoever has METRICS_TOKEN; without one there is no such page."""
    token = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "")
    if not token or not equal(given.encode(), f"Bearer {token}".encode()):
        raise Http404
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # untyped there
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


@require_safe
def api_reference(request: HttpRequest) -> HttpResponse:
    """Show the API's description as a page, from our own origin."""
    return render(request, "docs/api.html", {"document_url": "/v1/openapi.json"})
