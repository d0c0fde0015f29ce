"""Sealing, the key hierarchy, blind indexes."""

from __future__ import annotations

import base64
import secrets

import pytest

from stackbe.kernel import crypto
from stackbe.kernel.ids import new_id
from stackbe.kernel.transactions import change, current, reading

KEY, KEY_ID, CONTEXT = bytes(range(32)), bytes(16), "table.column|row"


def test_what_is_sealed_opens_again():
    sealed = crypto.seal(KEY, KEY_ID, b"secret", CONTEXT)

    assert crypto.unseal(KEY, sealed, CONTEXT) == b"secret"
    assert b"secret" not in sealed


def test_sealing_twice_looks_different():
    assert crypto.seal(KEY, KEY_ID, b"x", CONTEXT) != crypto.seal(KEY, KEY_ID, b"x", CONTEXT)


def test_every_flipped_bit_is_noticed():
    sealed = crypto.seal(KEY, KEY_ID, b"secret", CONTEXT)

    for place in range(len(sealed)):
        broken = bytearray(sealed)
        broken[place] ^= 1
        with pytest.raises(crypto.SealBroken):
            crypto.unseal(KEY, bytes(broken), CONTEXT)


def test_another_place_another_key_and_a_cut_are_noticed():
    sealed = crypto.seal(KEY, KEY_ID, b"secret", CONTEXT)

    for key, value, context in (
        (KEY, sealed, "table.column|other row"),
        (KEY, sealed, "table.other|row"),
        (bytes(32), sealed, CONTEXT),
        (KEY, sealed[:-1], CONTEXT),
        (KEY, sealed[:20], CONTEXT),
        (KEY, b"", CONTEXT),
    ):
        with pytest.raises(crypto.SealBroken):
            crypto.unseal(key, value, context)


@pytest.mark.parametrize(
    "text", [b"", b"plain text that was never sealed at all, whatever", b"\x02" + bytes(60), b"\x01" + bytes(20)]
)
def test_what_was_never_sealed_names_no_key(text):
    with pytest.raises(crypto.SealBroken):
        crypto.key_id_of(text)


def test_keyed_hashes_do_not_confuse_their_parts():
    assert crypto.keyed_hash(KEY, "ab", "c") != crypto.keyed_hash(KEY, "a", "bc")
    assert crypto.keyed_hash(KEY, "a") != crypto.keyed_hash(bytes(32), "a")


def test_derived_keys_differ_by_purpose():
    assert crypto.derive(KEY, "one") != crypto.derive(KEY, "two")


def test_a_tenants_secrets_are_random_kept_and_its_own(acme, globex):
    with change(acme.scope):
        first = current().keys.secret("blind_index", acme.app_id)
        again = current().keys.secret("blind_index", acme.app_id)
        of_tenant = current().keys.secret("pepper")
    with change(globex.scope):
        rival = current().keys.secret("blind_index", globex.app_id)

    assert first == again
    assert len({first, of_tenant, rival}) == 3


def test_a_subjects_key_is_kept_until_it_is_destroyed(acme):
    subject = new_id()
    with change(acme.scope) as unit:
        key_id, key = unit.keys.subject_key(subject)
    with reading(acme.scope) as unit:
        assert unit.keys.key(key_id.bytes) == key
    with change(acme.scope) as unit:
        unit.keys.destroy_subject(subject)
        with pytest.raises(crypto.KeyDestroyed):
            unit.keys.key(key_id.bytes)
    with reading(acme.scope) as unit, pytest.raises(crypto.KeyDestroyed):
        unit.keys.key(key_id.bytes)


def test_a_rival_cannot_reach_a_key_by_its_id(acme, globex):
    with change(acme.scope) as unit:
        subject, tenant = unit.keys.subject_key(new_id())[0], unit.keys.tenant_key()[0]

    with reading(globex.scope) as unit:
        for key_id in (subject, tenant):
            with pytest.raises(crypto.KeyDestroyed):
                unit.keys.key(key_id.bytes)


def test_a_new_master_key_opens_what_the_old_one_sealed(acme, settings):
    fresh = f"next:{base64.b64encode(secrets.token_bytes(32)).decode()}"
    old = settings.STACKBE_MASTER_KEY
    with change(acme.scope) as unit:
        before = unit.keys.tenant_key()
    try:
        crypto.master_keys.cache_clear()
        crypto.open_tenant_key.cache_clear()
        settings.STACKBE_MASTER_KEY = f"{fresh},{old}"
        with reading(acme.scope) as unit:
            assert unit.keys.tenant_key() == before
        assert crypto.key_id_of(crypto.wrap_with_master(KEY, new_id(), new_id())).rstrip(b"\0") == b"next"

        crypto.master_keys.cache_clear()
        crypto.open_tenant_key.cache_clear()
        settings.STACKBE_MASTER_KEY = fresh
        with reading(acme.scope) as unit, pytest.raises(crypto.SealBroken):
            unit.keys.tenant_key()
    finally:
        crypto.master_keys.cache_clear()
        crypto.open_tenant_key.cache_clear()


@pytest.mark.parametrize(
    "text", ["", "test", "test:", "test:AAAA", ":AAAA", "x" * 17 + ":" + base64.b64encode(bytes(32)).decode()]
)
def test_a_malformed_master_key_is_refused(settings, text):
    settings.STACKBE_MASTER_KEY = text
    crypto.master_keys.cache_clear()
    try:
        with pytest.raises(ValueError):  # noqa: PT011  # base64's own errors are ValueErrors too
            crypto.master_keys()
    finally:
        crypto.master_keys.cache_clear()
