"""The folder of backups: whole files, and nothing kept longer than it should be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stackbe.trust.backups.programs import BackupFailed
from stackbe.trust.backups.restore import choose
from stackbe.trust.backups.store import Manifest, Store
from stackbe.trust.backups.wal import ship

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "backups")


def keep_base(store, name, finished, segment="0" * 24):
    with store.new_base(name) as sealed:
        sealed.write(b"tar")
    times = {"started_at": finished.isoformat(), "finished_at": finished.isoformat()}
    facts = {"server_version": 180003, "size": sealed.size, "sha256": sealed.digest, "counts": {}, "heads": {}}
    store.keep_manifest(Manifest(name=name, first_segment=segment, **times, **facts))


def test_a_base_backup_that_failed_half_way_leaves_nothing(store):
    def fail():
        with store.new_base("base-1") as sealed:
            sealed.write(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()

    assert store.manifests() == []
    assert list((store.folder / "base").iterdir()) == []


def test_the_backup_for_a_second_is_the_newest_that_was_whole_by_then(store):
    keep_base(store, "old", NOON)
    keep_base(store, "new", NOON + timedelta(days=1))

    assert choose(store, NOON + timedelta(hours=1)).name == "old"
    assert choose(store, None).name == "new"
    with pytest.raises(BackupFailed, match="no base backup that was finished by 2026-03-01 11:00:00"):
        choose(store, NOON - timedelta(hours=1))


def test_old_backups_go_with_the_wal_that_only_they_need(store, tmp_path):
    wal = tmp_path / "wal"
    wal.write_bytes(b"wal")
    first, second, third = (f"{1:08X}{0:08X}{n:08X}" for n in (1, 2, 3))
    for name in (first, second, third):
        store.keep_wal(name, wal)
    keep_base(store, "old", NOON, first)
    keep_base(store, "new", NOON + timedelta(days=20), second)

    assert store.forget_before(NOON + timedelta(days=14)) == ["old"]
    assert [each.name for each in store.manifests()] == ["new"]
    assert store.wal_names() == [second, third]


def test_the_newest_backup_stays_however_old_it_is(store):
    keep_base(store, "only", NOON)

    assert store.forget_before(NOON + timedelta(days=400)) == []


def test_wal_is_taken_from_the_spool_and_its_partial_state_replaced(store, tmp_path):
    spool, out, name, seen = tmp_path / "spool", tmp_path / "out", f"{1:024X}", {}
    spool.mkdir()
    (spool / f"{name}.partial").write_bytes(b"half")
    assert ship(spool, store, seen) == 1
    assert ship(spool, store, seen) == 0
    assert store.take_wal(name, out)
    assert out.read_bytes() == b"half"

    (spool / f"{name}.partial").rename(spool / name)
    (spool / name).write_bytes(b"whole")
    assert ship(spool, store, seen) == 1

    assert list(spool.iterdir()) == []
    assert store.wal_names() == [name]
    assert store.take_wal(name, out)
    assert out.read_bytes() == b"whole"
    assert not store.take_wal(f"{2:024X}", out)
