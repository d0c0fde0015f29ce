"""Each package of the owner's card does its job: without it, a test here fails. See record 9."""

from __future__ import annotations

import ast
import re
import urllib.request
from typing import TYPE_CHECKING, Any

import environ
import psycopg
import pytest
from corsheaders.middleware import CorsMiddleware
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings as live_settings
from django.contrib.admin import AdminSite
from django.db import connection
from django.test import Client
from djstripe.models import Product
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError
from rest_framework_simplejwt.tokens import Token

from accounts.models import SigningKey
from accounts.services.tokens import SessionToken, SessionTokenBackend
from billing.stripe import mirror
from billing.stripe.gateway import ConnectedAccount
from stackbe import settings as stackbe_settings
from stackbe.kernel import crypto
from stackbe.kernel.transactions import reading
from stackbe.staff.console import console
from stackbe.urls import ROUTES
from tests import databases
from tests.cast import Api

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stack import Stack

RECORD = databases.ROOT / "docs" / "decisions" / "0009-packages.md"
PROVEN: set[str] = set()
ORIGIN = "http://localhost:3000"


def proves(package: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Note that a test shows a package at its job."""
    PROVEN.add(package)
    return lambda test: test


@proves("django")
def test_django_serves_the_project_and_its_admin_is_the_console(db):
    response = Client(headers={"host": "localhost:8000"}).get(f"/{live_settings.CONSOLE_PATH}/")

    assert isinstance(console, AdminSite)
    assert response.status_code == 302
    assert response.headers["Location"].startswith(f"/{live_settings.CONSOLE_PATH}/login/")


@proves("djangorestframework")
def test_rest_framework_negotiates_parses_and_shapes_every_route(acme_api):
    assert all(issubclass(route.view, APIView) for route in ROUTES)
    for route in ROUTES:
        for method in route.methods:
            declared = getattr(route.view, method.lower()).operation
            shapes = [s for s in (declared.input, declared.output, declared.query) if s is not None]
            assert all(issubclass(shape, BaseSerializer) for shape in shapes), route.name

    assert acme_api.get("/customers", Accept="text/html").status_code == 406
    assert set(acme_api.post("/customers", {"email": 5}).json()["fields"]) == {"email"}


@pytest.fixture
def session(acme, acme_api):
    """Return a customer's session token, and a call with it."""
    customer = acme_api.post("/customers", {"email": "grace@example.com"}).json()
    made = acme_api.post(f"/customers/{customer['id']}/sessions").json()
    return lambda: Api(made["sessionToken"]).get(f"/apps/{acme.app}/auth/session").status_code


@proves("djangorestframework-simplejwt")
def test_simplejwt_reads_every_session_token(session, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise TokenBackendError("asked")

    assert issubclass(SessionToken, Token)
    assert issubclass(SessionTokenBackend, TokenBackend)
    assert session() == 200
    monkeypatch.setattr(TokenBackend, "decode", refuse)
    assert session() == 401


@proves("django-cors-headers")
def test_cors_headers_answers_a_preflight_from_the_apps_settings(acme, monkeypatch):
    def allowed() -> str | None:
        asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        path = f"/apps/{acme.app}/auth/magic-link"
        return Api(None).request("OPTIONS", path, **asked).headers.get("Access-Control-Allow-Origin")

    assert allowed() == ORIGIN
    monkeypatch.setattr(CorsMiddleware, "add_response_headers", lambda _self, _request, response: response)
    assert allowed() is None


@proves("django-ratelimit")
def test_ratelimit_stops_a_caller_who_tries_links_on_the_page(db, settings):
    def status() -> int:
        return Client(headers={"host": "localhost:8000"}).post("/auth/confirm", {"token": "guess"}).status_code

    # Twice the limit and one more: a minute of the limiter's may end between two of them.
    answers = [status() for _ in range(121)]
    assert set(answers[:60]) == {answers[0]}
    assert answers[0] < 429
    assert 429 in answers
    settings.RATELIMIT_ENABLE = False
    assert status() < 429


@proves("dj-stripe")
def test_dj_stripe_holds_the_mirror(db, monkeypatch):
    account = ConnectedAccount("acct_mirrored")
    told = {"id": account.id, "object": "account", "type": "standard", "business_type": "company"}
    monkeypatch.setattr(ConnectedAccount, "account", lambda _self: told)
    product = {"id": "prod_Orbit", "object": "product", "name": "Orbit", "active": True, "type": "service"}

    mirror.mirror_object(account, "product", product, "prod_Orbit")

    row = Product.objects.get(id="prod_Orbit")
    assert (row.name, row.djstripe_owner_account_id) == ("Orbit", account.id)


@proves("psycopg")
def test_psycopg_drives_the_database_and_prepares_the_hot_path(acme_api):
    customer = acme_api.post("/customers", {"email": "grace@example.com"}).json()
    for _ in range(4):
        acme_api.get(f"/entitlements/check/sso?customerId={customer['id']}")

    assert isinstance(connection.connection, psycopg.Connection)
    assert connection.settings_dict["OPTIONS"]["server_side_binding"] is True
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_prepared_statements where statement like '%%usage_check(%%'")
        assert cursor.fetchone() == (1,)


@proves("django-environ")
def test_every_setting_is_read_through_environ():
    text = (databases.ROOT / "stackbe" / "settings.py").read_text()
    reads = [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if (isinstance(node, ast.Attribute) and node.attr in {"getenv", "getenvb"})
        or (isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ")
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ.get", "os.environ.pop"})
    ]

    assert isinstance(stackbe_settings.env, environ.Env)
    assert reads == []
    assert text.count("env.") > 30


@proves("cryptography")
def test_cryptography_seals_derives_and_signs(acme, session, monkeypatch):
    key = crypto.derive(b"k" * 32, "of the test")
    sealed = crypto.seal(key, b"i" * 16, b"Grace", "row 1")
    monkeypatch.setattr(AESGCM, "decrypt", lambda *_: b"asked")
    assert crypto.unseal(key, sealed, "row 1") == b"asked"
    monkeypatch.undo()

    assert session() == 200
    with reading(acme.scope):
        public = bytes(SigningKey.objects.within(acme.scope).get().public)
    assert isinstance(Ed25519PublicKey.from_public_bytes(public), Ed25519PublicKey)


@proves("pytest-django")
def test_pytest_django_gives_each_test_a_transaction_of_its_own(request, db):
    assert request.config.pluginmanager.hasplugin("django")
    assert getattr(connection.atomic_blocks[0], "_from_testcase", False)


@proves("gunicorn")
@pytest.mark.xdist_group("live")
def test_gunicorn_serves_the_application(live_stack: Stack):
    with urllib.request.urlopen(f"{live_stack.base_url}/healthz", timeout=10) as reply:
        assert reply.headers["Server"] == "gunicorn"
    assert "web: gunicorn -c stackbe/gunicorn.py" in (databases.ROOT / "Procfile").read_text()


def test_the_record_names_each_package_that_is_proven_here_and_no_other():
    card = RECORD.read_text().partition("Beyond the card")[0]

    assert set(re.findall(r"^\| ([a-z][\w-]+) \|", card, re.MULTILINE)) - {"package"} == PROVEN
