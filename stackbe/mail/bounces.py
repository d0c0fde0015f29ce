"""What mail providers tell us later: bounces and complaints, by webhook, signed or behind a password.

anymail knows each provider's format and its proof of origin. Only the provider of EMAIL_URL is listened
to, and only where EMAIL_WEBHOOK_SECRET is set, since a forged bounce would keep mail from somebody.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from anymail.exceptions import AnymailConfigurationError, AnymailWebhookValidationFailure
from anymail.signals import EventType, RejectReason
from django.conf import settings
from django.http import Http404, HttpResponse, HttpResponseBadRequest
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from stackbe.mail.models import BouncedAddress
from stackbe.mail.outgoing import record_bounce
from stackbe.mail.providers import TRACKING

if TYPE_CHECKING:
    from anymail.webhooks.base import AnymailBaseWebhookView
    from django.http import HttpRequest

log = logging.getLogger("stackbe.mail")
HARD = frozenset({RejectReason.BOUNCED, RejectReason.INVALID})
MALFORMED = (json.JSONDecodeError, UnicodeDecodeError, KeyError, ValueError, TypeError, AttributeError)


@csrf_exempt
@require_http_methods(["HEAD", "POST"])
def provider_events(request: HttpRequest, provider: str) -> HttpResponse:
    """Take a provider's events. A bad signature or password is refused with 400 and changes nothing."""
    view = _view_of(provider)
    if request.method == "HEAD":  # How some providers try the URL when it is entered.
        return HttpResponse()
    try:
        view.run_validators(request)
        events = list(view.parse_events(request))
    except (AnymailWebhookValidationFailure, AnymailConfigurationError, *MALFORMED) as refused:
        log.warning("mail event refused", extra={"provider": provider, "failure": type(refused).__name__})
        return HttpResponseBadRequest("The event could not be verified.", content_type="text/plain")
    for event in events:
        _take(event)
    return HttpResponse()


def _view_of(provider: str) -> AnymailBaseWebhookView:
    """Return anymail's view of the provider that this copy sends through."""
    if provider != settings.EMAIL_PROVIDER or provider not in TRACKING or not settings.EMAIL_WEBHOOK_SECRET:
        raise Http404
    view: AnymailBaseWebhookView = import_string(TRACKING[provider])()
    return view


def _take(event: Any) -> None:
    reason = _reason(event)
    if reason is not None and event.message_id:
        told = event.reject_reason or event.event_type
        known = record_bounce(str(event.message_id)[:255], reason, f"{event.event_type}: {told}"[:40])
        log.info("mail bounced", extra={"known": known, "reason": reason})


def _reason(event: Any) -> str | None:
    """Return why the address takes no mail, None for news that says nothing of it (deferred, opened, …)."""
    if event.event_type == EventType.COMPLAINED:
        return BouncedAddress.Reason.COMPLAINED
    failed = event.event_type in {EventType.BOUNCED, EventType.REJECTED}
    return BouncedAddress.Reason.BOUNCED if failed and event.reject_reason in HARD else None
