"""EMAIL_URL: one variable for SMTP and for the providers that django-anymail knows."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

# What follows `scheme://` fills these ANYMAIL settings: the part before `@` first, split at `:`, then the host.
PROVIDERS: dict[str, tuple[str, ...]] = {
    "brevo": ("BREVO_API_KEY",),
    "mailersend": ("MAILERSEND_API_TOKEN",),
    "mailgun": ("MAILGUN_API_KEY", "MAILGUN_SENDER_DOMAIN"),
    "mailjet": ("MAILJET_API_KEY", "MAILJET_SECRET_KEY"),
    "mandrill": ("MANDRILL_API_KEY",),
    "postmark": ("POSTMARK_SERVER_TOKEN",),
    "resend": ("RESEND_API_KEY",),
    "sparkpost": ("SPARKPOST_API_KEY",),
}

# The view that reads a provider's events, and the ANYMAIL setting that its proof of origin goes into: a
# signing key where the provider signs, else `user:password`, which the webhook's URL then carries.
TRACKING = {
    name: f"anymail.webhooks.{name}.{view}WebhookView"
    for name, view in {
        "brevo": "BrevoTracking",
        "mailersend": "MailerSendTracking",
        "mailgun": "MailgunTracking",
        "mailjet": "MailjetTracking",
        "mandrill": "MandrillCombined",
        "postmark": "PostmarkTracking",
        "resend": "ResendTracking",
        "sparkpost": "SparkPostTracking",
    }.items()
}
SIGNED_WITH = {
    "mailersend": "MAILERSEND_SIGNING_SECRET",
    "mailgun": "MAILGUN_WEBHOOK_SIGNING_KEY",
    "mandrill": "MANDRILL_WEBHOOK_KEY",
}


def mail_settings(url: str, webhook_secret: str = "") -> dict[str, Any]:
    """Return Django's settings for an EMAIL_URL, with what proves the provider's webhooks.

    `smtp://`, `smtp+tls://user:password@host:587` and `smtp+ssl://` speak SMTP; `postmark://token`,
    `mailgun://key@mg.example.com`, `mailjet://key:secret` and the like use the provider's HTTP API.
    A query adds what the provider also takes (`?mailgun_api_url=…`).
    """
    scheme = url.partition(":")[0].lower()
    if scheme in PROVIDERS:
        keys = _keys(scheme, url)
        if webhook_secret:
            keys |= _proof(scheme, webhook_secret)
        return {
            "EMAIL_BACKEND": f"anymail.backends.{scheme}.EmailBackend",
            "EMAIL_PROVIDER": scheme,
            "ANYMAIL": keys,
        }
    if not scheme.startswith("smtp"):
        known = ", ".join(["smtp", "smtp+tls", "smtp+ssl", *PROVIDERS])
        raise ImproperlyConfigured(f"EMAIL_URL starts with an unknown scheme; known are {known}.")
    return dict(environ.Env.email_url_config(url))


def _keys(scheme: str, url: str) -> dict[str, str]:
    parts = urlsplit(url)
    credentials, at, host = parts.netloc.rpartition("@")
    given = [unquote(part) for part in (credentials if at else host).split(":")]
    if at and host:
        given.append(unquote(host))
    names = PROVIDERS[scheme]
    if len(given) != len(names) or not all(given):
        raise ImproperlyConfigured(f"EMAIL_URL for {scheme} wants: {', '.join(names)}.")
    extra = {name.upper(): value for name, value in parse_qsl(parts.query)}
    return dict(zip(names, given, strict=True)) | extra


def _proof(scheme: str, secret: str) -> dict[str, str]:
    name = SIGNED_WITH.get(scheme, "WEBHOOK_SECRET")
    if name == "WEBHOOK_SECRET" and not all(secret.partition(":")):
        raise ImproperlyConfigured(f"EMAIL_WEBHOOK_SECRET for {scheme} wants the form user:password.")
    return {name: secret}
