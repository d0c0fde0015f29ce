"""Who sends a form in that has us mail somebody, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.crypto import salted_hmac
from django_ratelimit.core import is_ratelimited

from stackbe.kernel.serializers import normalised_email

if TYPE_CHECKING:
    from django.http import HttpRequest


def sends_too_often(request: HttpRequest, form: str, email: str, *, per_caller: str, per_address: str) -> bool:
    """Count a form by its caller and by the address that is mailed; say whether either was counted too often.

    `form` names what is counted together; the rates are django-ratelimit's, such as `5/15m`. The address is kept as a
    keyed digest alone.
    """
    address = salted_hmac(f"stackbe.{form}", normalised_email(email), algorithm="sha256").hexdigest()
    by_caller = is_ratelimited(request, group=f"{form}-caller", key="ip", rate=per_caller, increment=True)
    by_address = is_ratelimited(
        request, group=f"{form}-address", key=lambda _group, _request: address, rate=per_address, increment=True
    )
    return bool(by_caller or by_address)
