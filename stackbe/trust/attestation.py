"""The public halves of the keys that this instance signs archives and receipts with."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from stackbe.kernel import attest
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import change


@require_safe
def keys(request: HttpRequest) -> HttpResponse:
    """Return the keys as a JWK set (RFC 7517), retired ones too."""
    with change(platform_scope("attestation")):
        response = JsonResponse({"keys": attest.public_keys()})
    response["Cache-Control"] = "public, max-age=300"
    return response
