"""The trust page: what the checks found on this very deployment, with dates, and the feed of its changes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.feedgenerator import Atom1Feed
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from stackbe.kernel.clock import wall_clock
from stackbe.trust import change_mail, operator, retention
from stackbe.trust.checks.shapes import State
from stackbe.trust.checks.table import GROUPS
from stackbe.trust.lock import bill_of_materials
from stackbe.trust.services.tickets import response_times
from stackbe.trust.services.watching import changes, standings

if TYPE_CHECKING:
    from django.http import HttpRequest

    from stackbe.trust.services.tickets import Times

STORED = (
    ("Customer identity", "E-mail address, name, which app", "Passwords: sign-in goes by links"),
    ("Subscriptions", "Plan, status, billing dates, Stripe’s ids", "Payment methods, card numbers"),
    ("Billing", "Invoice references, amounts, status", "Card details, bank accounts"),
    ("Usage", "Counts per metric and period", "Payloads and content of requests"),
    ("Authentication", "Hashed session tokens, login times", "Links after their use"),
)
# The founding page names other technology than stands here.
INSTEAD = (
    ("Render (managed Node.js)", "Django on gunicorn, wherever the operator runs it"),
    ("Prisma ORM", "Django’s ORM and parameters that travel apart from the statement"),
    ("Vercel, Cloudflare Pages", "The dashboard and these pages are served by the same application"),
)
FEED_LENGTH = 50


@require_safe
def security(request: HttpRequest) -> HttpResponse:
    """Show every promise as it stands. Nothing here is written down: without a check there is no tick."""
    stood = {standing.promise.id: standing for standing in standings()}
    groups = [{"title": group.title, "checks": [stood[promise.id] for promise in group.promises]} for group in GROUPS]
    red = [standing for standing in stood.values() if standing.state.is_red]
    unknown = [standing for standing in stood.values() if standing.state == State.NOT_RUN]
    looked = [standing.checked_at for standing in stood.values() if standing.checked_at]
    context = {
        "groups": groups,
        "checked_at": min(looked, default=None),
        "red": red,
        "unknown": unknown,
        "kept": len(stood) - len(red) - len(unknown),
        "total": len(stood),
        "changes": [{"at": row.checked_at, "said": change_mail.sentence(row)} for row in changes(8)],
        "stored": STORED,
        "instead": INSTEAD,
        "retention": [_kept(kept) for kept in retention.TABLE],
        "otherwise": retention.OTHERWISE,
        "providers": operator.providers(),
        "times": _times(response_times()),
        "development": not settings.PRODUCTION,
    }
    response = render(request, "trust/security.html", context)
    response["Cache-Control"] = "public, max-age=60"
    return response


def _kept(kept: retention.Kept) -> dict[str, str]:
    return {"kind": kept.kind, "time": kept.said, "by": kept.by}


def _times(times: Times) -> dict[str, Any]:
    return {
        "answered": times.answered,
        "waiting": times.waiting,
        "overdue": times.overdue,
        "median": in_words(times.median),
        "longest": in_words(times.longest),
    }


def in_words(time: timedelta | None) -> str:
    """Return a length of time as a person says it."""
    if time is None:
        return ""
    minutes = round(time.total_seconds() / 60)
    if minutes < 60:  # noqa: PLR2004  # an hour's
        return f"{minutes} minute{'s' if minutes != 1 else ''}"
    hours = round(minutes / 60)
    return f"{hours} hour{'s' if hours != 1 else ''}" if hours < 72 else f"{round(hours / 24)} days"  # noqa: PLR2004  # three days


@require_safe
def feed(request: HttpRequest) -> HttpResponse:
    """Return the changes as an Atom feed (RFC 4287), newest first."""
    url = f"{settings.BASE_URL}/security"
    rows = changes(FEED_LENGTH)
    made = Atom1Feed(
        title="Security at StackBE: what has changed",
        link=url,
        description="Promises that are broken, kept again, or read otherwise.",
        feed_url=f"{url}/feed.atom",
        language="en",
    )
    for row in rows:
        red = State(row.state).is_red
        made.add_item(
            title=f"{row.promise_id} {row.promise}: {'not kept' if red else State(row.state).word}",
            link=f"{url}#{row.promise_id}",
            description=change_mail.sentence(row),
            unique_id=f"urn:uuid:{row.id}",
            pubdate=row.checked_at,
            updateddate=row.checked_at,
        )
    if not rows:
        made.latest_post_date = wall_clock  # type: ignore[method-assign]  # an empty feed is as new as its reading
    response = HttpResponse(made.writeString("utf-8"), content_type=Atom1Feed.content_type)
    response["Cache-Control"] = "public, max-age=300"
    return response


@require_safe
def sbom(request: HttpRequest) -> HttpResponse:
    """Return the bill of materials of this copy."""
    response = JsonResponse(bill_of_materials(), content_type="application/vnd.cyclonedx+json; version=1.6")
    response["Cache-Control"] = "public, max-age=3600"
    return response


@require_safe
def text(request: HttpRequest, name: str) -> HttpResponse:
    """Show the privacy policy or the terms."""
    html = mark_safe(operator.text_of(name))  # noqa: S308  # the operator's own Markdown, raw HTML switched off
    return render(request, "trust/text.html", {"title": operator.TEXTS[name], "html": html})
