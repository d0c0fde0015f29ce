"""EMAIL_URL: SMTP and anymail's providers."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import get_connection
from django.utils.module_loading import import_string

from stackbe.mail.providers import PROVIDERS, mail_settings


def test_smtp_with_tls_and_credentials():
    found = mail_settings("smtp+tls://user%40example.com:p%2Fw@mail.example.com:587")

    assert found["EMAIL_BACKEND"] == "django.core.mail.backends.smtp.EmailBackend"
    assert found["EMAIL_HOST"] == "mail.example.com"
    assert found["EMAIL_PORT"] == 587
    assert found["EMAIL_HOST_USER"] == "user@example.com"
    assert found["EMAIL_HOST_PASSWORD"] == "p/w"
    assert found["EMAIL_USE_TLS"] is True


@pytest.mark.parametrize(
    ("url", "keys"),
    [
        ("postmark://Token-With-CAPS", {"POSTMARK_SERVER_TOKEN": "Token-With-CAPS"}),
        ("mailgun://key@mg.example.com", {"MAILGUN_API_KEY": "key", "MAILGUN_SENDER_DOMAIN": "mg.example.com"}),
        ("mailjet://key:secret", {"MAILJET_API_KEY": "key", "MAILJET_SECRET_KEY": "secret"}),
        ("resend://re_123?resend_api_url=https://x/", {"RESEND_API_KEY": "re_123", "RESEND_API_URL": "https://x/"}),
    ],
)
def test_a_providers_keys_come_from_the_url(url, keys):
    found = mail_settings(url)

    assert found["ANYMAIL"] == keys


@pytest.mark.parametrize("name", PROVIDERS)
def test_each_provider_has_a_backend_that_takes_its_keys(name, settings):
    names = PROVIDERS[name]
    settings.ANYMAIL = dict.fromkeys(names, "x")
    backend = mail_settings(f"{name}://{':'.join('x' for _ in names)}")["EMAIL_BACKEND"]

    assert import_string(backend)
    assert get_connection(backend).esp_name


@pytest.mark.parametrize("url", ["ftp://x", "mailgun://only-a-key", "postmark://", "consolemail://", "x"])
def test_what_cannot_send_is_refused_in_words(url):
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL"):
        mail_settings(url)
