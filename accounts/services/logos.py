"""An app's logo: copied from where the app keeps it, judged, and shown from our own origin."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection
from procrastinate.contrib.django import app as queue

from accounts.logo_models import AppLogo
from accounts.models import App
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import encode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, forbid_transaction, require_change
from webhooks.fetching import Fetcher, FetchFailed

if TYPE_CHECKING:
    from accounts.lookups import KnownApp
    from stackbe.kernel.scope import Scope

COPY_LOGO = "accounts.copy_logo"
MOST_BYTES = 128 * 1024
NO_PICTURE = "It is no PNG, JPEG, GIF or WebP picture. (SVG may hold scripts and is not shown.)"
# Told by the first bytes, whatever the server says: a page or a script never becomes a picture.
KINDS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


def queue_copy(scope: Scope) -> None:
    """Have the worker copy the logo that the app names now, or drop the copy where it names none."""
    require_change()
    queue.configure_task(COPY_LOGO).defer(tenant_id=str(scope.tenant_id), app_id=str(scope.app))


def copy_logo(scope: Scope) -> None:
    """Fetch the app's logo and keep it. What stands in the way is kept as a sentence for the settings page."""
    with change(scope):
        app = App.objects.within(scope).get(pk=scope.app)
        url = app.config.logo_url
        if url is None:
            AppLogo.objects.within(scope).delete()
            return
    content, trouble = _fetched(url, live=app.environment == App.Environment.LIVE)
    with change(scope):
        if App.objects.within(scope).get(pk=scope.app).config.logo_url != url:
            return  # It was changed meanwhile; that change queued a job of its own.
        AppLogo.objects.within(scope).delete()
        AppLogo(
            **owned_by(scope),
            source_url=url,
            content=content,
            content_type="" if content is None else kind_of(content),
            digest="" if content is None else hashlib.sha256(content).hexdigest(),
            trouble=trouble,
            fetched_at=wall_clock(),
        ).save(force_insert=True)


def kind_of(content: bytes) -> str:
    """Return a picture's content type by its first bytes, nothing for anything else."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in KINDS.items() if content.startswith(start)), "")


def brand_of(app: KnownApp) -> dict[str, Any]:
    """Return the name, colour and logo that pages and mails speak in; `logo` is a URL of our own, or None."""
    config = app.settings
    brand = {"name": config.email_from_name or app.name, "color": config.brand_color, "logo": None}
    if config.logo_url is not None:
        with connection.cursor() as cursor:
            cursor.execute("select lookup.logo_digest(%s, %s)", [app.id, config.logo_url])
            (digest,) = cursor.fetchone()
        if digest:
            brand["logo"] = f"{settings.BASE_URL}/brand/{encode(App.id_prefix, app.id)}/{digest}"
    return brand


def stored_logo(scope: Scope, digest: str) -> AppLogo | None:
    """Return the app's copy if it is the one that a digest names."""
    return AppLogo.objects.within(scope).filter(digest=digest, content__isnull=False).first()


def trouble_with(scope: Scope, logo_url: str | None) -> str:
    """Return why the logo that the app names is not shown, nothing where it is or will be in a moment."""
    found = AppLogo.objects.within(scope).filter(source_url=logo_url or "").first()
    return "" if found is None else found.trouble


def _fetched(url: str, *, live: bool) -> tuple[bytes | None, str]:
    forbid_transaction("a logo's server")

    async def get() -> bytes:
        async with Fetcher(allow_local=settings.ALLOW_LOCAL_WEBHOOKS) as fetcher:
            return await fetcher.get(url, live=live, most_bytes=MOST_BYTES)

    try:
        content = asyncio.run(get())
    except FetchFailed as failure:
        return None, str(failure)[:200]
    return (content, "") if kind_of(content) else (None, NO_PICTURE)
