"""What the service says of itself: health, the API's description, the contact for reports."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import get_resolver
from django.views.decorators.http import require_safe
from rest_framework.response import Response

from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.clock import render as render_time
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.openapi import document

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
        f"Contact: {settings.SECURITY_CONTACT}",
        f"Expires: {expires}",
        "Preferred-Languages: en",
        f"Canonical: {settings.BASE_URL}/.well-known/security.txt",
        f"Policy: {settings.BASE_URL}/security",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@require_safe
def api_reference(request: HttpRequest) -> HttpResponse:
    """Show the API's description as a page, from our own origin."""
    return render(request, "docs/api.html", {"document_url": "/v1/openapi.json"})
