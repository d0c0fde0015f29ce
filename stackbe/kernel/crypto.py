"""The key hierarchy and what is sealed under it.

master (environment) → tenant key → subject key. Each lower key is stored wrapped by the one
above. A subject key belongs to one person; destroying it makes every ciphertext of theirs
unreadable wherever it lies. All sealing is AES-256-GCM (NIST SP 800-38D) with a random 96-bit
nonce and associated data that names table, column and row, so that a ciphertext moved to another
place does not open.

A sealed value is: version (1 byte) · id of the key (16) · nonce (12) · ciphertext and tag.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import connection

from stackbe.kernel.ids import new_id
from stackbe.kernel.scope import PLATFORM

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

VERSION = b"\x01"
KEY_BYTES = 32
NONCE_BYTES = 12
HEADER_BYTES = 1 + 16
NO_KEY = bytes(16)


class SealBroken(Exception):
    """A ciphertext was changed, moved to another row, or sealed under another key."""


class KeyDestroyed(Exception):
    """The subject of this ciphertext was erased; nobody can read it again."""


def seal(key: bytes, key_id: bytes, plaintext: bytes, context: str) -> bytes:
    """Encrypt under a key, bound to a context such as `accounts_customer.email|<row id>`."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    header = VERSION + key_id
    return header + nonce + AESGCM(key).encrypt(nonce, plaintext, header + context.encode())


def unseal(key: bytes, sealed: bytes, context: str) -> bytes:
    """Decrypt what `seal` made, or raise `SealBroken`."""
    header, rest = sealed[:HEADER_BYTES], sealed[HEADER_BYTES:]
    try:
        return AESGCM(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], header + context.encode())
    except (InvalidTag, ValueError) as broken:
        raise SealBroken(context) from broken


def key_id_of(sealed: bytes) -> bytes:
    """Return the 16 bytes that name the key a value is sealed under."""
    if sealed[:1] != VERSION or len(sealed) < HEADER_BYTES + NONCE_BYTES + 16:
        raise SealBroken("not a sealed value")
    return sealed[1:HEADER_BYTES]


def derive(secret: bytes, purpose: str, length: int = KEY_BYTES) -> bytes:
    """Return a key for one purpose from a high-entropy secret (HKDF-SHA-256, RFC 5869)."""
    kdf = HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=purpose.encode())
    return kdf.derive(secret)


def keyed_hash(key: bytes, *parts: str) -> bytes:
    """Return HMAC-SHA-256 over unambiguous parts: blind indexes, token and code digests."""
    message = b"".join(len(p := part.encode()).to_bytes(4, "big") + p for part in parts)
    return hmac.digest(key, message, hashlib.sha256)


def token_digest(token: str) -> bytes:
    """Return SHA-256 of a random token: enough where the token itself has 128 bits or more."""
    return hashlib.sha256(token.encode()).digest()


def equal(left: bytes, right: bytes) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(left, right)


@lru_cache(maxsize=1)
def master_keys() -> dict[str, bytes]:
    """Return the master keys by id, current first: `id:base64[,older…]` in STACKBE_MASTER_KEY."""
    keys: dict[str, bytes] = {}
    for part in settings.STACKBE_MASTER_KEY.split(","):
        name, _, encoded = part.strip().partition(":")
        key = base64.b64decode(encoded, validate=True)
        if not name or len(name.encode()) > len(NO_KEY) or len(key) != KEY_BYTES:
            raise ValueError("STACKBE_MASTER_KEY wants `id:base64 of 32 bytes`, comma-separated")
        keys[name] = key
    return keys


def wrap_with_master(key: bytes, tenant_id: UUID, key_id: UUID) -> bytes:
    """Seal a tenant key under the current master key."""
    name, master = next(iter(master_keys().items()))
    return seal(master, name.encode().ljust(16, b"\0"), key, f"tenant-key|{tenant_id}|{key_id}")


@lru_cache(maxsize=4096)
def open_tenant_key(wrapped: bytes, tenant_id: UUID, key_id: UUID) -> bytes:
    """Return a tenant key in the clear. Cached: the same wrapping always opens to the same key."""
    name = key_id_of(wrapped).rstrip(b"\0").decode()
    if name not in master_keys():
        raise SealBroken(f"master key {name!r} is not in STACKBE_MASTER_KEY")
    return unseal(master_keys()[name], wrapped, f"tenant-key|{tenant_id}|{key_id}")


@lru_cache(maxsize=4096)
def open_secret(wrapped: bytes, tenant_key: bytes, context: str) -> bytes:
    """Return a tenant's secret (pepper, blind-index key) in the clear. Cached likewise."""
    return unseal(tenant_key, wrapped, context)


def subject_context(tenant_id: UUID, subject_id: UUID, key_id: UUID) -> str:
    """Return what a person's wrapped key is bound to."""
    return f"subject-key|{tenant_id}|{subject_id}|{key_id}"


def secret_context(tenant_id: UUID, app_id: UUID | None, kind: str) -> str:
    """Return what a tenant's secret is bound to."""
    return f"secret|{tenant_id}|{app_id or '-'}|{kind}"


class Keyring:
    """The keys of one tenant, opened as they are needed and dropped with the transaction.

    Platform keys (developers' own identities) are reached from every tenant's ring.
    """

    def __init__(self, tenant_id: UUID) -> None:
        """Hold nothing yet."""
        self.tenant_id = tenant_id
        self._tenant_keys: dict[UUID, tuple[UUID, bytes]] = {}
        self._by_key_id: dict[bytes, bytes] = {}
        self._subjects: dict[tuple[UUID, UUID], tuple[UUID, bytes] | None] = {}

    def tenant_key(self, tenant_id: UUID | None = None) -> tuple[UUID, bytes]:
        """Return the id and the key that new values of the tenant are sealed under."""
        owner = self.tenant_id if tenant_id is None else tenant_id
        if owner not in self._tenant_keys:
            with connection.cursor() as cursor:
                cursor.execute(
                    "select id, wrapped from kernel_tenantkey"
                    " where tenant_id = %s and retired_at is null order by id desc limit 1",
                    [owner],
                )
                row = cursor.fetchone()
            if row is not None:
                self._keep_tenant_key(owner, row[0], bytes(row[1]))
            elif owner == PLATFORM:
                # Nobody signs the platform up. Two racers leave two keys, both good.
                self.create_tenant_key(PLATFORM)
            else:
                raise KeyDestroyed(f"tenant {owner} has no key")
        return self._tenant_keys[owner]

    def create_tenant_key(self, tenant_id: UUID) -> None:
        """Make a tenant's first key; part of the change that makes the tenant."""
        key, key_id = secrets.token_bytes(KEY_BYTES), new_id()
        with connection.cursor() as cursor:
            cursor.execute(
                "insert into kernel_tenantkey (id, tenant_id, wrapped) values (%s, %s, %s)",
                [key_id, tenant_id, wrap_with_master(key, tenant_id, key_id)],
            )
        self._tenant_keys[tenant_id] = (key_id, key)
        self._by_key_id[key_id.bytes] = key

    def subject_key(self, subject_id: UUID, tenant_id: UUID | None = None) -> tuple[UUID, bytes]:
        """Return the key of one person, made on first use."""
        owner = self.tenant_id if tenant_id is None else tenant_id
        self.preload([subject_id], owner)
        found = self._subjects.get((owner, subject_id))
        return found or self._create_subject_key(owner, subject_id)

    def held(self, subject_id: UUID | None) -> tuple[UUID, bytes] | None:
        """Return the key of a preloaded person, None where they have none (any more); the tenant's for nobody."""
        return self.tenant_key() if subject_id is None else self._subjects[self.tenant_id, subject_id]

    def preload(self, subject_ids: Iterable[UUID], tenant_id: UUID | None = None) -> None:
        """Fetch many people's keys in one query, before a list is opened row by row."""
        owner = self.tenant_id if tenant_id is None else tenant_id
        wanted = [s for s in set(subject_ids) if (owner, s) not in self._subjects]
        if not wanted:
            return
        with connection.cursor() as cursor:
            cursor.execute(
                "select subject_id, id, wrapped from kernel_subjectkey"
                " where tenant_id = %s and subject_id = any(%s) and destroyed_at is null",
                [owner, wanted],
            )
            rows = cursor.fetchall()
        for subject_id in wanted:
            self._subjects[owner, subject_id] = None
        for subject_id, key_id, wrapped in rows:
            self._keep_subject_key(owner, subject_id, key_id, bytes(wrapped))

    def key(self, key_id: bytes, tenant_id: UUID | None = None) -> bytes:
        """Return the key that a sealed value names, or raise `KeyDestroyed`."""
        if key_id not in self._by_key_id:
            self._fetch_key(key_id, self.tenant_id if tenant_id is None else tenant_id)
        if key_id not in self._by_key_id:
            raise KeyDestroyed(key_id.hex())
        return self._by_key_id[key_id]

    def secret(self, kind: str, app_id: UUID | None = None) -> bytes:
        """Return a tenant's random secret of that kind, made on first use.

        Kinds: `pepper` (API keys and codes, per tenant), `blind_index` (per app).
        """
        return self.named_secret(kind, app_id)[1]

    def named_secret(self, kind: str, app_id: UUID | None = None) -> tuple[UUID, bytes]:
        """Return the same with its id, for rows that name the secret they were made with."""
        context = secret_context(self.tenant_id, app_id, kind)
        identifier, wrapped = self._wrapped_secret(kind, app_id) or self._create_secret(kind, app_id, context)
        return identifier, open_secret(wrapped, self.key(key_id_of(wrapped)), context)

    def secrets(self, kind: str, app_id: UUID | None = None) -> list[bytes]:
        """Return the live secret, and after it those that it has replaced: what a digest may have been made with."""
        live = self.secret(kind, app_id)
        with connection.cursor() as cursor:
            cursor.execute(
                "select wrapped from kernel_tenantsecret where tenant_id = %s and kind = %s"
                " and app_id is not distinct from %s and retired_at is not null order by id desc",
                [self.tenant_id, kind, app_id],
            )
            replaced = [bytes(row[0]) for row in cursor.fetchall()]
        context = secret_context(self.tenant_id, app_id, kind)
        return [live, *(open_secret(wrapped, self.key(key_id_of(wrapped)), context) for wrapped in replaced)]

    def destroy_subject(self, subject_id: UUID) -> None:
        """Erase a person's key for good. What was sealed under it stays as noise."""
        with connection.cursor() as cursor:
            cursor.execute(
                "delete from kernel_subjectkey where tenant_id = %s and subject_id = %s",
                [self.tenant_id, subject_id],
            )
        found = self._subjects.pop((self.tenant_id, subject_id), None)
        if found is not None:
            self._by_key_id.pop(found[0].bytes, None)

    def _keep_tenant_key(self, owner: UUID, key_id: UUID, wrapped: bytes) -> None:
        key = open_tenant_key(wrapped, owner, key_id)
        self._tenant_keys[owner] = (key_id, key)
        self._by_key_id[key_id.bytes] = key

    def _keep_subject_key(self, owner: UUID, subject_id: UUID, key_id: UUID, wrapped: bytes) -> None:
        tenant_key = self.key(key_id_of(wrapped), owner)
        key = unseal(tenant_key, wrapped, subject_context(owner, subject_id, key_id))
        self._subjects[owner, subject_id] = (key_id, key)
        self._by_key_id[key_id.bytes] = key

    def _create_subject_key(self, owner: UUID, subject_id: UUID) -> tuple[UUID, bytes]:
        tenant_key_id, tenant_key = self.tenant_key(owner)
        key, key_id = secrets.token_bytes(KEY_BYTES), new_id()
        wrapped = seal(tenant_key, tenant_key_id.bytes, key, subject_context(owner, subject_id, key_id))
        with connection.cursor() as cursor:
            cursor.execute(
                "insert into kernel_subjectkey (id, tenant_id, subject_id, wrapped)"
                " values (%s, %s, %s, %s) on conflict (tenant_id, subject_id) do nothing",
                [key_id, owner, subject_id, wrapped],
            )
            lost_the_race = cursor.rowcount == 0
        if lost_the_race:
            del self._subjects[owner, subject_id]
            self.preload([subject_id], owner)
            found = self._subjects[owner, subject_id]
            if found is None:
                raise KeyDestroyed(str(subject_id))
            return found
        self._subjects[owner, subject_id] = (key_id, key)
        self._by_key_id[key_id.bytes] = key
        return key_id, key

    def _fetch_key(self, key_id: bytes, owner: UUID) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "select 't', tenant_id, null::uuid, id, wrapped from kernel_tenantkey"
                " where id = encode(%s, 'hex')::uuid"
                " union all select 's', tenant_id, subject_id, id, wrapped"
                " from kernel_subjectkey where id = encode(%s, 'hex')::uuid",
                [key_id, key_id],
            )
            row = cursor.fetchone()
        if row is None:
            return
        kind, tenant_id, subject_id, identifier, wrapped = row
        if tenant_id not in {owner, PLATFORM}:
            raise SealBroken("a key of another tenant")
        if kind == "s":
            self._keep_subject_key(tenant_id, subject_id, identifier, bytes(wrapped))
        else:
            self._by_key_id[key_id] = open_tenant_key(bytes(wrapped), tenant_id, identifier)

    def _wrapped_secret(self, kind: str, app_id: UUID | None) -> tuple[UUID, bytes] | None:
        """Return a secret as it is stored, and keep the tenant's key that opens it, which comes with it."""
        with connection.cursor() as cursor:
            cursor.execute(
                "select s.wrapped, k.id, k.wrapped, s.id from kernel_tenantsecret s left join kernel_tenantkey k"
                " on k.tenant_id = s.tenant_id and k.id = encode(substring(s.wrapped from 2 for 16), 'hex')::uuid"
                " where s.tenant_id = %s and s.kind = %s"
                " and s.app_id is not distinct from %s and s.retired_at is null"
                " order by s.id desc limit 1",
                [self.tenant_id, kind, app_id],
            )
            row = cursor.fetchone()
        if row is None:
            return None
        if row[1] is not None and row[1].bytes not in self._by_key_id:
            self._by_key_id[row[1].bytes] = open_tenant_key(bytes(row[2]), self.tenant_id, row[1])
        return row[3], bytes(row[0])

    def _create_secret(self, kind: str, app_id: UUID | None, context: str) -> tuple[UUID, bytes]:
        key_id, tenant_key = self.tenant_key()
        wrapped = seal(tenant_key, key_id.bytes, secrets.token_bytes(KEY_BYTES), context)
        with connection.cursor() as cursor:
            cursor.execute(
                "insert into kernel_tenantsecret (id, tenant_id, app_id, kind, wrapped)"
                " values (%s, %s, %s, %s, %s) on conflict do nothing",
                [new_id(), self.tenant_id, app_id, kind, wrapped],
            )
        stored = self._wrapped_secret(kind, app_id)
        if stored is None:
            raise KeyDestroyed(kind)
        return stored
