"""/dev/inbox: the mail that a development copy would have sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from csp.constants import NONE, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.dateparse import parse_datetime
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
    to = request.GET.get("to", "").replace("\0", "").strip()
    found = inbox.messages(to or None)
    if request.GET.get("format") == "json" or "application/json" in request.headers.get("Accept", ""):
        return JsonResponse(found, safe=False)
    mails = [
        {**mail, "url": reverse("dev-inbox-message", args=[mail["id"]]), "sent_at": parse_datetime(mail["sentAt"])}
        for mail in found
    ]
    return render(request, "inbox/list.html", {"mails": mails, "to": to})


@require_safe
@never_cache
def message_page(request: HttpRequest, message_id: str) -> HttpResponse:
    """Show one mail as text, its links and its code at hand."""
    mail = _mail(message_id)
    shown = {**mail, "sender": mail["from"], "sent_at": parse_datetime(mail["sentAt"])}
    html_url = reverse("dev-inbox-html", args=[message_id]) if mail["html"] else None
    context = {"mail": shown, "links": mail["links"], "code": mail["code"], "html_url": html_url}
    return render(request, "inbox/message.html", context)


@require_safe
@never_cache
@csp_replace({"style-src": [UNSAFE_INLINE], "script-src": [NONE], "img-src": ["https:", "data:"]})  # type: ignore[arg-type]  # its hint forgets arguments
def html_page(request: HttpRequest, message_id: str) -> HttpResponse:
    """Show one mail's HTML as a mail program would: styles, no scripts."""
    mail = _mail(message_id)
    if not mail["html"]:
        raise Http404
    # Its pictures come from elsewhere, as they do in a mail program.
    return HttpResponse(mail["html"], headers={"Cross-Origin-Embedder-Policy": "unsafe-none"})


def _mail(message_id: str) -> dict[str, Any]:
    _refuse_elsewhere()
    found = inbox.message(message_id)
    if found is None:
        raise Http404
    return found


def _refuse_elsewhere() -> None:
    if not inbox.is_open():
        raise Http404
