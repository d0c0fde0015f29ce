"""TLS as it is spoken: gunicorn with a certificate, and the example of an nginx in front of it.

Where nginx is missing its tests are NOT RUN, and `manage.py test` says so last; likewise for the scanner, which
`manage.py test --full` installs.
"""

from __future__ import annotations

import datetime
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stackbe.runner.venv import SCANNER
from tests.kernel.test_settings import SAFE
from tests.stack import ROOT, free_port, login

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
SSLYZE = SCANNER / "bin" / "sslyze"
HOST = "localhost"
PAGE = "/.well-known/security.txt"
wants_nginx = pytest.mark.skipif(
    NGINX is None, reason="NOT RUN: no nginx on this machine (apt-get install nginx-light)"
)


def signed(names, key, issuer, issuing_key, *more):
    """Return a certificate of two days, with the extensions that a browser wants to see."""
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(names)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing_key.public_key()), critical=False)
    )
    for extension, critical in more:
        made = made.add_extension(extension, critical=critical)
    return made.sign(issuing_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def certificate(folder):
    """Write an authority of our own, a certificate that it signed for this machine, and its key; return the last two."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ours = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of the tests")])
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only", "decipher_only"), False
    )  # fmt: skip
    root = (
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (x509.KeyUsage(digital_signature=False, key_cert_sign=True, **usage), True),
    )
    leaf = (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.KeyUsage(digital_signature=True, key_cert_sign=False, **usage), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName([x509.DNSName(HOST)]), False),
    )
    here = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    (folder / "authority.pem").write_bytes(signed(ours, authority, ours, authority, *root))
    (folder / "certificate.pem").write_bytes(signed(here, key, ours, authority, *leaf))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*plain))
    return str(folder / "certificate.pem"), str(folder / "key.pem")


@contextmanager
def running(command, port, **environment):
    """Keep a server up for as long as the block runs."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    server = subprocess.Popen(
        command, cwd=ROOT, env=inherited | environment, start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 40
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, "it ended"
            assert time.monotonic() < deadline, "it does not listen"
            time.sleep(0.1)
        yield
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def gunicorn(port, database, **environment):
    settings = SAFE | {
        "DJANGO_SETTINGS_MODULE": "stackbe.settings",
        "DATABASE_URL": login("stackbe_web", database),
        "DATABASE_STAFF_URL": login("stackbe_staff", database),
        "WEB_BIND": f"127.0.0.1:{port}",
        "WEB_CONCURRENCY": "1",
        "LOG_LEVEL": "ERROR",
    }
    command = [sys.executable, "-m", "gunicorn", "--config=stackbe/gunicorn.py", "stackbe.wsgi"]
    return running(command, port, **(settings | environment))


def example(folder, plain, tls, behind):
    """Write examples/nginx.conf with our ports, files and host; return its path."""
    certificate(folder)
    text = (ROOT / "examples" / "nginx.conf").read_text()
    for pattern, instead in (
        (r"listen 80\b", f"listen 127.0.0.1:{plain}"),
        (r"listen 443\b", f"listen 127.0.0.1:{tls}"),
        (r"127\.0\.0\.1:8000", f"127.0.0.1:{behind}"),
        (r"/etc/ssl/stackbe", str(folder)),
        (r"billing\.example\.com", HOST),
        (r"/run/nginx.pid", f"{folder}/nginx.pid"),
        (r"/var/log/nginx/error.log", f"{folder}/error.log"),
        (r"worker_processes auto", "worker_processes 1"),
    ):
        text, times = re.subn(pattern, instead, text)
        assert times, pattern
    if os.geteuid() == 0:
        text = f"user root;\n{text}"
    path = folder / "nginx.conf"
    path.write_text(f"daemon off;\n{text}")
    return path


def ask(port, path, context=None, **headers):
    """Return status, headers and body; over TLS where a context is given."""
    sent = {"Host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection = (
        http.client.HTTPSConnection(HOST, port, timeout=10, context=context)
        if context
        else http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    )
    connection.request("GET", path, headers=sent)
    reply = connection.getresponse()
    body = reply.read().decode()
    connection.close()
    return reply.status, dict(reply.getheaders()), body


def trusting(folder):
    return ssl.create_default_context(cafile=str(folder / "authority.pem"))


@wants_nginx
def test_nginx_takes_the_example(tmp_path):
    path = example(tmp_path, free_port(), free_port(), 9)

    done = subprocess.run([NGINX, "-t", "-c", path], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


@wants_nginx
@pytest.mark.slow
def test_through_the_example_the_application_sees_scheme_host_and_caller(tmp_path, django_db_setup):
    plain, tls, behind = free_port(), free_port(), free_port()
    path = example(tmp_path, plain, tls, behind)
    forged = {"X_Forwarded_For": "192.0.2.66", "X_Forwarded_Proto": "https", "X_Forwarded_Host": "mallory.example"}
    at = {"BASE_URL": f"https://{HOST}", "TRUSTED_PROXIES": "1", "LIMIT_FAILED_CREDENTIALS_PER_MINUTE": "2"}
    database = os.environ["STACKBE_TEST_DATABASE"]

    with gunicorn(behind, database, **at), running([NGINX, "-c", path], tls):
        context = trusting(tmp_path)
        status, headers, _ = ask(tls, PAGE, context, **forged)
        assert status == 200
        assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
        # Over plain http, whatever the caller says of the scheme.
        status, headers, _ = ask(plain, PAGE, **forged)
        assert (status, headers["Location"]) == (301, f"https://{HOST}{PAGE}")
        status, headers, body = ask(plain, "/v1/me", Authorization="Bearer sbk_test_x", **forged)
        assert (status, "Location" in headers, json.loads(body)["code"]) == (403, False, "FORBIDDEN")
        # However many callers somebody pretends to be, they are one.
        told = [
            ask(tls, "/v1/me", context, Authorization="Bearer sbk_test_x", X_Forwarded_For=f"192.0.2.{n}")[0]
            for n in range(4)
        ]
        assert told == [401, 401, 429, 429]
        # Another host gets no answer, though it was our name that the handshake asked for.
        with pytest.raises(http.client.RemoteDisconnected):
            ask(plain, PAGE, Host="other.example")

    with running([NGINX, "-c", path], tls):
        status, headers, body = ask(tls, "/v1/me", trusting(tmp_path))
        assert (status, json.loads(body)["code"], headers["Retry-After"]) == (503, "SERVICE_UNAVAILABLE", "2")
        assert "Strict-Transport-Security" in headers


@pytest.mark.slow
@pytest.mark.skipif(not SSLYZE.exists(), reason="NOT RUN: no sslyze (manage.py test --full installs it)")
@pytest.mark.parametrize("server", ["gunicorn", pytest.param("nginx", marks=wants_nginx)])
def test_gunicorn_and_nginx_pass_mozillas_intermediate_profile(tmp_path, django_db_setup, server):
    port = free_port()
    if server == "nginx":
        up = running([NGINX, "-c", example(tmp_path, free_port(), port, 9)], port)
    else:
        held, key = certificate(tmp_path)
        tls = {"TLS_CERT_FILE": held, "TLS_KEY_FILE": key, "TRUSTED_PROXIES": "0", "BASE_URL": f"https://{HOST}:{port}"}
        up = gunicorn(port, os.environ["STACKBE_TEST_DATABASE"], **tls)

    with up:
        ours = f"--certinfo_ca_file={tmp_path / 'authority.pem'}"
        command = [SSLYZE, "--mozilla_config=intermediate", ours, f"{HOST}:{port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert f"{HOST}:{port}: OK - Compliant." in done.stdout, done.stdout[-3000:]
    assert done.returncode == 0
