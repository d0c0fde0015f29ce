"""Encrypt everything (E1 to E4)."""

from __future__ import annotations

import secrets
import ssl
import warnings
from itertools import islice
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from psycopg import sql

from stackbe.kernel import crypto
from stackbe.kernel.fields import Sealed
from stackbe.kernel.ids import new_id
from stackbe.trust.backups.store import Store
from stackbe.trust.checks.asking import as_role, ask, handshake
from stackbe.trust.checks.shapes import Found, NotRun

YEAR_SECONDS = 31_536_000
DEVELOPMENT = "A development start is served over plain http."
SAMPLE = 25
OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
REFUSED_FROM = 400
WEAK = "AES128-SHA:AES256-SHA:AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"
# One of each kind of answer: a page, the API, a refusal of it, a file that is none.
ANSWERED = ("/login", "/v1/openapi.json", "/v1/me", "/static/none")


def in_transit(found: Found) -> None:
    """Open TLS connections as old and new clients, and ask for a page and the API over plain http."""
    if not settings.REQUIRE_HTTPS:
        found.not_run(DEVELOPMENT)
        return
    parts = urlsplit(settings.BASE_URL)
    host, port = parts.hostname or "", parts.port or 443
    spoken = handshake(host, port, ssl.create_default_context())
    found.need(spoken in {"TLSv1.2", "TLSv1.3"}, f"{spoken} with a valid certificate.", "No verified TLS handshake.")
    found.need(handshake(host, port, _old_client()) is None, "TLS 1.1 is refused.", "TLS older than 1.2 is spoken.")
    weak = handshake(host, port, _weak_client())
    found.need(weak is None, "Ciphers without forward secrecy are refused.", "A weak cipher is spoken.")
    _plain(found, f"http://{host}" if port == 443 else f"http://{host}:{port}")  # noqa: PLR2004  # the protocol's port


def _old_client() -> ssl.SSLContext:
    """Return a client that speaks nothing newer than TLS 1.1 and minds no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = OLD
    return context


def _weak_client() -> ssl.SSLContext:
    """Return a client that speaks TLS 1.2 with what Mozilla's intermediate profile leaves out: CBC, static RSA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(WEAK)
    return context


def _plain(found: Found, url: str) -> None:
    try:
        page = ask("GET", "/security", url=url)
        api = ask("GET", "/v1/me", url=url)
        carried = ask("GET", "/login", headers={"Authorization": "Bearer nobody"}, url=url)
    except NotRun:
        found.need(holds=True, good="Nothing answers over plain http.", bad="")
        return
    led = page.headers.get("location", "").startswith("https://") or page.status >= REFUSED_FROM
    found.need(led, "Pages over plain http lead to https.", "A page is served over plain http.")
    shut = all(answer.status >= REFUSED_FROM and "location" not in answer.headers for answer in (api, carried))
    found.need(
        shut,
        "API calls and credentials over plain http are refused.",
        "The API answers or redirects over plain http, or a credential is redirected.",
    )


def strict_transport(found: Found) -> None:
    """Read the header of a page, of the API, of a refusal and of a file."""
    if not settings.REQUIRE_HTTPS:
        found.not_run(DEVELOPMENT)
        return
    short = [path for path in ANSWERED if not _is_a_year(ask("GET", path).headers.get("strict-transport-security", ""))]
    found.need(
        not short,
        "One year, subdomains, preload, on every kind of answer.",
        f"Missing or short of one year with preload: {', '.join(short)}.",
    )


def _is_a_year(header: str) -> bool:
    words = {word.strip().lower() for word in header.split(";")}
    ages = [int(word.partition("=")[2]) for word in words if word.startswith("max-age=") and word[8:].isdigit()]
    return bool(ages) and ages[0] >= YEAR_SECONDS and {"includesubdomains", "preload"} <= words


def at_rest(found: Found) -> None:
    """Take the operator's word for the volume, and open the newest backup as a thief and as ourselves."""
    found.stated("STATED_VOLUME_ENCRYPTION", "How the database's volume is encrypted is not said.")
    if not settings.DATABASE_BACKUP_URL:
        return
    manifests = Store().manifests()
    if not manifests:
        found.late("There is no backup yet.")
        return
    path = Store().base_path(manifests[-1].name)
    with path.open("rb") as file:
        head = file.read(8)
    found.need(head == b"SBKSEAL1", "The newest backup is sealed.", "The newest backup is not sealed.")
    try:
        opened = b"".join(islice(Store().open_base(manifests[-1].name), 1))
    except (crypto.SealBroken, OSError):
        opened = b""
    found.need(opened, "It opens under the master key.", "It does not open under the master key.")


def sealed_fields(found: Found) -> None:
    """Look at the newest values of every sealed column as they lie, and try to open one that was changed or moved."""
    key, key_id = secrets.token_bytes(crypto.KEY_BYTES), new_id().bytes
    value = crypto.seal(key, key_id, b"probe", "table.column|row")
    changed = value[:-1] + bytes([value[-1] ^ 1])
    strict = _opens(key, value, "table.column|row") and not (
        _opens(key, changed, "table.column|row") or _opens(key, value, "table.column|other")
    )
    found.need(strict, "Changed or moved ciphertexts do not open.", "A changed or moved ciphertext opens.")
    columns, values, plain = 0, 0, []
    with as_role("staff") as connection:
        keys = {
            bytes.fromhex(str(row[0]).replace("-", ""))
            for table in ("kernel_tenantkey", "kernel_subjectkey")
            for row in connection.execute(sql.SQL("select id::text from {}").format(sql.Identifier(table)))
        }
        for model in apps.get_models():
            for field in (f for f in model._meta.get_fields() if isinstance(f, Sealed)):
                query = sql.SQL("select {column} from {table} where {column} is not null order by {key} desc limit {n}")
                rows = connection.execute(
                    query.format(
                        column=sql.Identifier(str(field.column)),
                        table=sql.Identifier(model._meta.db_table),
                        key=sql.Identifier(str(model._meta.pk.column)),
                        n=SAMPLE,
                    )
                ).fetchall()
                columns, values = columns + 1, values + len(rows)
                if not all(_is_sealed(bytes(row[0]), keys) for row in rows):
                    plain.append(f"{model._meta.db_table}.{field.column}")
    found.need(
        not plain,
        f"{columns} columns are AES-256-GCM under keys of their tenant or person; {values} values looked at.",
        f"Not sealed: {', '.join(plain)}.",
    )


def _is_sealed(value: bytes, keys: set[bytes]) -> bool:
    """Say whether a value has the shape of a ciphertext. The key of an erased person is gone; a name of one remains."""
    try:
        name = crypto.key_id_of(value)
    except crypto.SealBroken:
        return False
    return name in keys or name[6] >> 4 == 7  # noqa: PLR2004  # a UUID of version 7, as all our keys' ids


def _opens(key: bytes, value: bytes, context: str) -> bool:
    try:
        crypto.unseal(key, value, context)
    except crypto.SealBroken:
        return False
    return True
