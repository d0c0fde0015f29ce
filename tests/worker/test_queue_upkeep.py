"""Jobs of dead workers return, the audit chain grows, what has expired goes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from procrastinate.contrib.django import app

from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.models import AuditSeal, BrowserSession, IdempotencyRecord
from stackbe.kernel.tasks import retry_stalled, seal_audit
from stackbe.kernel.transactions import change, reading
from tests.queue import run_periodic

pytestmark = pytest.mark.django_db


def job_in_hand(*, worker_silent_for: float, attempts: int = 0) -> int:
    """Queue a job and let a worker take it that was last heard of so many seconds ago."""
    seal_audit.defer(timestamp=1)
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into procrastinate_workers (last_heartbeat) values (%s) returning id",
            [wall_clock() - timedelta(seconds=worker_silent_for)],
        )
        (worker,) = cursor.fetchone()
        cursor.execute("select id from procrastinate_fetch_job_v2(null::varchar[], %s)", [worker])
        (job,) = cursor.fetchone()
        cursor.execute("update procrastinate_jobs set attempts = %s where id = %s", [attempts, job])
    return job


def status_of(job: int) -> tuple[str, int]:
    with connection.cursor() as cursor:
        cursor.execute("select status, attempts from procrastinate_jobs where id = %s", [job])
        return cursor.fetchone()


def test_a_job_of_a_silent_worker_goes_back_into_the_queue():
    job = job_in_hand(worker_silent_for=60)

    run_periodic(retry_stalled.name)

    assert status_of(job) == ("todo", 1)


def test_a_job_of_a_live_worker_is_left_alone():
    job = job_in_hand(worker_silent_for=1)

    run_periodic(retry_stalled.name)

    assert status_of(job) == ("doing", 0)


def test_a_job_that_kills_its_worker_every_time_is_given_up():
    job = job_in_hand(worker_silent_for=60, attempts=9)

    run_periodic(retry_stalled.name)

    assert status_of(job) == ("failed", 10)


def test_periodic_work_of_a_dead_worker_gives_way_to_its_next_run():
    job = job_in_hand(worker_silent_for=60)
    seal_audit.defer(timestamp=2)

    run_periodic(retry_stalled.name)

    assert status_of(job)[0] == "aborted"


def test_the_sealer_chains_every_tenants_rows_under_the_workers_rights(acme, globex):
    for company in (acme, globex):
        with change(company.scope):
            audit(company.scope, "thing.done")

    run_periodic(seal_audit.name)

    for company in (acme, globex):
        with reading(company.scope):
            sequences = list(AuditSeal.objects.within(company.scope).order_by("sequence").values_list("sequence"))
        assert sequences == [(n + 1,) for n in range(len(sequences))]
        assert len(sequences) >= 1


def test_expired_replies_and_sessions_are_deleted(acme):
    moment = wall_clock()
    BrowserSession.objects.create(session_key="old", expire_date=moment - timedelta(minutes=1))
    BrowserSession.objects.create(session_key="live", expire_date=moment + timedelta(minutes=1))
    with change(acme.scope):
        for name, hours in ((b"old", 25), (b"new", 23)):
            IdempotencyRecord.unscoped.create(
                tenant_id=acme.tenant_id, lookup=name, request_digest=b"", created_at=moment - timedelta(hours=hours)
            )

    run_periodic("trust.purge")

    assert [row.session_key for row in BrowserSession.objects.all()] == ["live"]
    with reading(acme.scope):
        assert [bytes(r.lookup) for r in IdempotencyRecord.objects.within(acme.scope)] == [b"new"]


def test_idle_buckets_go_and_live_ones_stay():
    now = int(wall_clock().timestamp() * 1000)
    with connection.cursor() as cursor:
        for name, window in (("minute", 60), ("hour", 3600), ("day", 86400)):
            cursor.execute("select * from kernel_take(%s, %s, 9, 1, %s)", [f"live:{name}", now, window * 1000])
            cursor.execute(
                "select * from kernel_take(%s, %s, 9, 1, %s)", [f"idle:{name}", now - 3 * window * 1000, window * 1000]
            )

    run_periodic("trust.purge")

    with connection.cursor() as cursor:
        cursor.execute("select key from kernel_ratebucket order by key")
        assert [key for (key,) in cursor.fetchall()] == ["live:day", "live:hour", "live:minute"]


def test_every_periodic_task_is_known_by_its_plain_name():
    names = {task.task.name for task in app.periodic_registry.periodic_tasks.values()}

    assert {
        "kernel.retry_stalled_jobs",
        "kernel.seal_audit_rows",
        "kernel.make_partitions",
        "trust.purge",
    } <= names
