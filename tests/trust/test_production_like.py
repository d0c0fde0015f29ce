"""`manage.py trust` on a production-like start: green as it is, and red row by row as each control is taken out.

TLS on loopback, production settings, each process as its own database role. `manage.py test -m slow
tests/trust/test_production_like.py` runs it by itself.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stackbe.trust.checks.table import PROMISES as CHECKED
from tests import databases
from tests.sabotage.promises import PROMISES, SECRET_KEY, Undone
from tests.sabotage.stage import LEFT_OUT
from tests.stack import ROOT, free_port, login
from tests.trust import bucket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 60
PEOPLED = """
import django
django.setup()
from accounts.services.customers import create_customer
from stackbe.kernel.transactions import change
from tests.cast import found_company
for name in ("Acme", "Globex"):
    company = found_company(name)
    with change(company.scope):
        create_customer(company.scope, email=f"grace@{name.lower()}.example", name="Grace Hopper")
"""
SEALED = """
import django
django.setup()
from django.conf import settings
from stackbe.kernel.tasks import seal_audit
from stackbe.trust.heads import keep_heads
from stackbe.trust.shelves import shelf
seal_audit(0)
keep_heads(shelf(settings.AUDIT_HEADS))
"""


def test_every_promise_has_a_sabotage_that_still_fits():
    assert list(dict.fromkeys(each.promise for each in PROMISES)) == list(CHECKED)
    assert len({each.name for each in PROMISES}) == len(PROMISES)
    for each in PROMISES:
        each.applied()


class Advisories(BaseHTTPRequestHandler):
    """The advisory service: it knows of nothing, except at an address of its own."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = [{"id": "PYSEC-0"}] if "vulnerable" in self.path else []
        results = [{"vulns": known} if number == 0 and known else {} for number, _ in enumerate(asked["queries"])]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"results": results}).encode())

    def log_message(self, *_: Any) -> None:
        pass


def certificate(folder: Path) -> tuple[str, str]:
    """Write a certificate for localhost that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(certificate_file), str(key_file)


class Deployment:
    """A copy of the tree with production settings, its database, and one web process with TLS."""

    def __init__(self, folder: Path, database: str, advisories: str) -> None:
        self.folder, self.database, self.advisories = folder, database, advisories
        self.root = folder / "copy"
        shutil.copytree(ROOT, self.root, ignore=LEFT_OUT, symlinks=True)
        texts = folder / "texts"
        texts.mkdir()
        for name in ("privacy", "terms"):
            (texts / f"{name}.md").write_text(f"# Our {name}\n\nWritten by the operator.\n", encoding="utf-8")
        self.certificate, key = certificate(folder)
        self.port = free_port()
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.environment = inherited | {
            "STACKBE_ENV": "production",
            "DJANGO_SETTINGS_MODULE": "stackbe.settings",
            "SECRET_KEY": SECRET_KEY,
            "STACKBE_MASTER_KEY": f"k1:{base64.b64encode(bytes(range(32))).decode()}",
            "STACKBE_HOME": str(folder),
            "BASE_URL": f"https://localhost:{self.port}",
            "DATABASE_URL": login("stackbe_web", database),
            "DATABASE_WORKER_URL": login("stackbe_worker", database),
            "DATABASE_STAFF_URL": login("stackbe_staff", database),
            "EMAIL_URL": "smtp+tls://user:word@mail.example.com:587",
            "STRIPE_SECRET_KEY": "sk_live_ofAProductionLikeStart",
            "STRIPE_CLIENT_ID": "ca_ofAProductionLikeStart",
            "STRIPE_PLATFORM_ENDPOINT_ID": "0199aaaa-0000-4000-8000-000000000001",
            "STRIPE_CONNECT_ENDPOINT_ID": "0199aaaa-0000-4000-8000-000000000002",
            "STRIPE_PLATFORM_WEBHOOK_SECRETS": "whsec_platformOfAProductionLikeStart",
            "STRIPE_CONNECT_WEBHOOK_SECRETS": "whsec_connectOfAProductionLikeStart",
            "STATIC_ROOT": str(folder / "static"),
            "BACKUP_DIR": str(folder / "backups"),
            "AUDIT_HEADS": f"s3://{bucket.NAME}/heads",
            "AUDIT_HEADS_KEY_ID": bucket.KEY_ID,
            "AUDIT_HEADS_SECRET": bucket.SECRET,
            "TLS_CERT_FILE": self.certificate,
            "TLS_KEY_FILE": key,
            "WEB_BIND": f"127.0.0.1:{self.port}",
            "WEB_CONCURRENCY": "1",
            "SSL_CERT_FILE": self.certificate,
            "STATED_VOLUME_ENCRYPTION": "The volume is encrypted with AES-256.",
            "STATED_BACKUPS": "The provider takes backups and keeps the log of a week.",
            "STATED_REGION": "us-west",
            "STATED_PROVIDERS": "Loopback|everything|none",
            "STATED_DEPLOYMENT": "Deployed from the branch under test.",
            "OPERATOR_TEXTS": str(texts),
            "ADVISORY_URL": advisories,
            "LOG_LEVEL": "ERROR",
        }
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(self.certificate, key)
        self.store = bucket.serve(tls)
        self.environment["AUDIT_HEADS_ENDPOINT"] = self.store.endpoint
        self.web: subprocess.Popen[bytes] | None = None

    def python(self, *words: str, role: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.root,
            env=self.environment | {"STACKBE_ROLE": role} | changes,
            check=False,
            capture_output=True,
            text=True,
            timeout=180,
        )

    def trust(self, *promises: str, **changes: str) -> tuple[int, dict[str, dict[str, str]]]:
        """Run `manage.py trust` as the worker; return its exit status and what it found, by promise."""
        # Nobody works here: the mails that a change would send must not look like a queue that stands.
        self.sql("delete from procrastinate_jobs")
        done = self.python("-m", "django", "trust", "--json", *promises, role="worker", **changes)
        assert done.stdout, done.stderr
        return done.returncode, {row["id"]: row for row in json.loads(done.stdout.splitlines()[-1])}

    def sql(self, statements: str) -> None:
        with psycopg.connect(login("postgres", self.database), autocommit=True) as connection:
            connection.execute(statements)

    def seal(self) -> None:
        """Do what the worker does each minute: chain the log and keep the heads of its chains elsewhere."""
        done = self.python("-c", SEALED, role="worker")
        assert done.returncode == 0, done.stderr

    def serve(self, **changes: str) -> None:
        self.stop()
        with (self.folder / "web.log").open("ab") as log:
            self.web = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "--config=stackbe/gunicorn.py", "stackbe.wsgi"],
                cwd=self.root,
                env=self.environment | {"STACKBE_ROLE": "web"} | changes,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        probe = (
            "import ssl, urllib.request as r; c = ssl.create_default_context();"
            f" r.urlopen('https://localhost:{self.port}/healthz', timeout=3, context=c)"
        )
        deadline = time.monotonic() + START_SECONDS
        while self.python("-c", probe, role="web").returncode:
            assert time.monotonic() < deadline, (self.folder / "web.log").read_text()
            time.sleep(0.5)

    def stop(self) -> None:
        if self.web is not None:
            os.killpg(self.web.pid, signal.SIGKILL)
            self.web.wait()
            self.web = None


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    database = f"{os.environ['STACKBE_TEST_DATABASE']}_production"
    databases.create(database)
    server = HTTPServer(("127.0.0.1", 0), Advisories)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = Deployment(tmp_path_factory.mktemp("production"), database, f"http://127.0.0.1:{server.server_port}")
    try:
        for words, role in (
            (("-m", "django", "collectstatic", "--noinput", "-v0"), "web"),
            (("-c", PEOPLED), "web"),
        ):
            done = made.python(*words, role=role)
            assert done.returncode == 0, done.stderr
        made.seal()
        made.serve()
        yield made
    finally:
        made.stop()
        for each in (server, made.store):
            each.shutdown()
            each.server_close()
        databases.drop(database)


def assert_kept(deployment):
    status, found = deployment.trust()

    assert [row for row in found.values() if row["state"] not in {"ok", "stated"}] == []
    assert {name for name, row in found.items() if row["state"] == "stated"} == {"E3", "D1", "D2", "I2"}
    assert status == 0


@pytest.mark.slow
@pytest.mark.xdist_group("production")
def test_as_it_is_every_promise_is_kept_or_stated(deployment):
    assert_kept(deployment)


@pytest.mark.slow
@pytest.mark.xdist_group("production")
@pytest.mark.parametrize("undone", PROMISES, ids=lambda undone: undone.name)
def test_without_its_control_a_promise_is_red(deployment: Deployment, undone: Undone):
    files = {deployment.root / path: content for path, content in undone.applied(deployment.root).items()}
    sound = {path: path.read_bytes() for path in files}
    changes = {n: v.format(advisories=deployment.advisories) for n, v in undone.environment.items()}
    try:
        for path, content in files.items():
            path.write_text(content, encoding="utf-8")
        if undone.sql:
            deployment.sql(undone.sql)
        if undone.served:
            deployment.serve(**changes)
        status, found = deployment.trust(undone.promise, **changes)
    finally:
        for path, content in sound.items():
            path.write_bytes(content)
            for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
                compiled.unlink()
        if undone.mend:
            deployment.sql(undone.mend)
        if undone.served:
            deployment.serve()

    assert found[undone.promise]["state"] in {"failed", "late"}, found
    assert status == 1


@pytest.mark.slow
@pytest.mark.xdist_group("production")
def test_with_all_put_back_every_promise_is_kept_again(deployment):
    deployment.seal()

    assert_kept(deployment)
