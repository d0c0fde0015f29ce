"""What every answer tells browsers: pages, the API, files and errors alike, the web server's own among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from csp.constants import NONCE
from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

STRICT_TRANSPORT = "Strict-Transport-Security"
# What is no document loads nothing, wherever a browser is led to open it.
NO_DOCUMENT = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# What no page of ours asks a browser for. Passkeys are ours alone, and no frame's.
UNUSED = (
    "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "hid", "magnetometer", "microphone",
    "midi", "payment", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
PASSKEYS = "publickey-credentials-create=(self), publickey-credentials-get=(self)"
PERMISSIONS = f"{', '.join(f'{feature}=()' for feature in UNUSED)}, {PASSKEYS}"


def standing() -> dict[str, str]:
    """Return the headers of an answer that is no document, as whoever answers ahead of Django sends them."""
    told = {
        "Content-Security-Policy": NO_DOCUMENT,
        "Permissions-Policy": PERMISSIONS,
        "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": settings.X_FRAME_OPTIONS,
        "Cross-Origin-Opener-Policy": settings.SECURE_CROSS_ORIGIN_OPENER_POLICY,
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if settings.REQUIRE_HTTPS:
        told[STRICT_TRANSPORT] = f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains; preload"
    return told


def page_policy() -> str:
    """Return the content policy of a page that was made outside of django-csp: the same, without a nonce."""
    allowed: dict[str, list[Any]] = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]  # type: ignore[assignment]  # inferred too widely
    return "; ".join(
        " ".join([name, *(str(source) for source in sources if source is not NONCE)])
        for name, sources in allowed.items()
    )


class Headers:
    """Adds to each answer what its view and Django's middleware have not said."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Take the next in line."""
        self.get_response = get_response
        self.standing = standing()
        self.page_policy = page_policy()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Run the request and complete the headers of its answer."""
        response = self.get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Content-Security-Policy", self.page_policy)
            # Pages load nothing from elsewhere, so nothing of elsewhere need share their process.
            response.headers.setdefault("Cross-Origin-Embedder-Policy", "require-corp")
        for name, value in self.standing.items():
            if name != STRICT_TRANSPORT or request.is_secure():  # elsewhere it says nothing (RFC 6797, section 7.2)
                response.headers.setdefault(name, value)
        return response
