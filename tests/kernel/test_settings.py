"""Production refuses to start unsafe, and says which variable is to blame."""

from __future__ import annotations

import base64
import os
import subprocess
import sys

import pytest

SAFE = {
    "STACKBE_ENV": "production",
    "STACKBE_ROLE": "web",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz-0123456789abcdefghijklmnopqrstuvwxyz",
    "STACKBE_MASTER_KEY": f"k1:{base64.b64encode(bytes(range(32))).decode()}",
    "BASE_URL": "https://billing.example.com",
    "TRUSTED_PROXIES": "1",
    "DATABASE_URL": "postgres://stackbe_web:x@db.example.com/stackbe",
    "DATABASE_STAFF_URL": "postgres://stackbe_staff:x@db.example.com/stackbe",
    "EMAIL_URL": "smtp+tls://user:word@mail.example.com:587",
    "STRIPE_SECRET_KEY": "sk_live_ofTheTestsAlone",
    "STRIPE_CLIENT_ID": "ca_ofTheTestsAlone",
    "STRIPE_PLATFORM_ENDPOINT_ID": "0199aaaa-0000-4000-8000-000000000001",
    "STRIPE_CONNECT_ENDPOINT_ID": "0199aaaa-0000-4000-8000-000000000002",
    "STRIPE_PLATFORM_WEBHOOK_SECRETS": "whsec_a",
    "STRIPE_CONNECT_WEBHOOK_SECRETS": "whsec_b",
}


def start(**changes: str | None) -> subprocess.CompletedProcess[str]:
    wanted = {**SAFE, **changes}
    inherited = {k: os.environ[k] for k in ("PATH", "HOME") if k in os.environ}
    environment = inherited | {k: v for k, v in wanted.items() if v is not None}
    environment["DJANGO_SETTINGS_MODULE"] = "stackbe.settings"
    command = [sys.executable, "-c", "from django.conf import settings; settings.DEBUG"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_safe_settings_load():
    assert start().returncode == 0


REFUSED = {
    "no secret key": ({"SECRET_KEY": None}, "SECRET_KEY"),
    "a short secret key": ({"SECRET_KEY": "short"}, "SECRET_KEY"),
    "no master key": ({"STACKBE_MASTER_KEY": None}, "STACKBE_MASTER_KEY"),
    "no database": ({"DATABASE_URL": None}, "DATABASE_URL"),
    "plain http": ({"BASE_URL": "http://billing.example.com"}, "BASE_URL"),
    "no base url": ({"BASE_URL": None}, "BASE_URL"),
    "debug": ({"DEBUG": "1"}, "DEBUG"),
    "any host": ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
    "local webhooks": ({"STACKBE_ALLOW_LOCAL_WEBHOOKS": "1"}, "STACKBE_ALLOW_LOCAL_WEBHOOKS"),
    "the sandbox": ({"STRIPE_API_BASE": "http://127.0.0.1:8001"}, "STRIPE_API_BASE"),
    "no mail": ({"EMAIL_URL": None}, "EMAIL_URL"),
    "no stripe key": ({"STRIPE_SECRET_KEY": None}, "STRIPE_SECRET_KEY"),
    "no connect secret": ({"STRIPE_CONNECT_WEBHOOK_SECRETS": None}, "STRIPE_CONNECT_WEBHOOK_SECRETS"),
    "an unknown environment": ({"STACKBE_ENV": "staging"}, "STACKBE_ENV"),
    "a bucket without its keys": ({"AUDIT_HEADS": "s3://audit/heads"}, "AUDIT_HEADS_KEY_ID"),
    "a bucket over plain http": (
        {
            "AUDIT_HEADS": "s3://audit/heads",
            "AUDIT_HEADS_KEY_ID": "key",
            "AUDIT_HEADS_SECRET": "secret",
            "AUDIT_HEADS_ENDPOINT": "http://store.example.com",
        },
        "AUDIT_HEADS_ENDPOINT",
    ),
    "an unknown role": ({"STACKBE_ROLE": "superuser"}, "STACKBE_ROLE"),
    "nobody who speaks TLS": ({"TRUSTED_PROXIES": None}, "TLS_CERT_FILE"),
    "a certificate without its key": ({"TLS_CERT_FILE": __file__}, "TLS_KEY_FILE"),
    "a key without its certificate": ({"TLS_KEY_FILE": __file__}, "TLS_CERT_FILE"),
    "a certificate that is not there": ({"TLS_CERT_FILE": "/nowhere", "TLS_KEY_FILE": __file__}, "TLS_CERT_FILE"),
    "fewer proxies than none": ({"TRUSTED_PROXIES": "-1"}, "TRUSTED_PROXIES"),
    "a proxy that is no address": ({"TRUSTED_PROXY_ADDRESSES": "nginx"}, "TRUSTED_PROXY_ADDRESSES"),
    "everybody as a proxy": ({"TRUSTED_PROXY_ADDRESSES": "0.0.0.0/0"}, "TRUSTED_PROXY_ADDRESSES"),
    "the address of a proxy that is none": (
        {"TRUSTED_PROXY_ADDRESSES": "192.0.2.10", "TRUSTED_PROXIES": "0"},
        "TRUSTED_PROXY_ADDRESSES",
    ),
    "a country that nobody tells": ({"COUNTRY_HEADER": "CF-IPCountry", "TRUSTED_PROXIES": "0"}, "COUNTRY_HEADER"),
    "a contact that is no address": ({"SECURITY_CONTACT": "security@example.com"}, "SECURITY_CONTACT"),
}


@pytest.mark.parametrize(("changes", "named"), REFUSED.values(), ids=REFUSED)
def test_production_refuses_to_start_with(changes, named):
    done = start(**changes)

    assert done.returncode != 0
    assert named in done.stderr.splitlines()[-1]
