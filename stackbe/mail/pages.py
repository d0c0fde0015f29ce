"""/dev/inbox: the mail that a development copy would have sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from csp.constants import NONE, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from stackbe.mail import inbox

if TYPE_CHECKING:
    from django.http import HttpRequest


@require_safe
@never_cache
def inbox_page(request: HttpRequest) -> HttpResponse:
    """List caught mail, newest first; JSON for programs, `?to=` for one addressee."""
    _refuse_elsewhere()
    to = request.GET.get("to", "").replace("\0", "")
    found = inbox.messages(to or None)
    if request.GET.get("format") == "json" or "application/json" in request.headers.get("Accept", ""):
        return JsonResponse(found, safe=False)
    return render(request, "mail/inbox.html", {"messages_caught": found, "to": to})


@require_safe
@never_cache
@csp_replace({"style-src": [UNSAFE_INLINE], "script-src": [NONE], "img-src": ["https:", "data:"]})
def message_page(request: HttpRequest, message_id: str) -> HttpResponse:
    """Show one mail's HTML as a mail program would: styles, no scripts."""
    _refuse_elsewhere()
    found = inbox.message(message_id)
    if found is None or not found["html"]:
        raise Http404
    return HttpResponse(found["html"])


def _refuse_elsewhere() -> None:
    if not inbox.is_open():
        raise Http404
