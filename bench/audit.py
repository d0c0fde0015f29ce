"""How long a pass over the audit chains takes.

    python3 -m bench.audit [--million 1000000] [--tenants 3]

A PostgreSQL of its own gets so many audit rows, like real ones in size, chained as the sealer chains them; then
`manage.py verify_audit` is run on it as an operator would.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from bench import processes, rounds

ROWS = """
insert into kernel_auditevent (id, tenant_id, app_id, occurred_at, actor, actor_role, action, target, subject_id,
  detail, request_id, address)
select uuidv7(), ('00000000-0000-7000-8000-' || lpad((mod(n, %(tenants)s) + 1)::text, 12, '0'))::uuid, null,
  now() + n * interval '1 ms', 'mem_01jd8x6g3qfk2r9v5m7t0n4b8c', 'owner', 'subscription.updated',
  'sub_01jd8x6g3qfk2r9v5m7t0n4b8c', null, sha256(n::text::bytea) || sha256(n::text::bytea) || sha256(n::text::bytea),
  'req_01jd8x6g3qfk2r9v5m7t0n4b8c', '203.0.113.7'
from generate_series(1, %(rows)s) n
"""


def fill(url, rows, tenants):
    """Make so many rows and their seals; return the seconds that it took."""
    import django  # noqa: PLC0415  # it needs the packages of the environment
    import psycopg  # noqa: PLC0415  # likewise

    django.setup()
    from stackbe.kernel.audit import START_OF_CHAIN, chained  # noqa: PLC0415  # models exist after setup() alone
    from stackbe.kernel.ids import new_id  # noqa: PLC0415  # likewise

    began = time.monotonic()
    with psycopg.connect(url) as reader, psycopg.connect(url) as writer:
        reader.execute(ROWS, {"rows": rows, "tenants": tenants})
        reader.commit()
        heads = {}
        copying = "copy kernel_auditseal (id, tenant_id, sequence, audit_id, digest, sealed_at) from stdin"
        with reader.cursor(name="rows") as cursor, writer.cursor() as out, out.copy(copying) as copy:
            cursor.itersize = 5000
            cursor.execute("select id, tenant_id, to_jsonb(a) from kernel_auditevent a order by tenant_id, id")
            for audit_id, tenant, row in cursor:
                sequence, digest = heads.get(tenant, (0, START_OF_CHAIN))
                heads[tenant] = sequence + 1, chained(digest, sequence + 1, row)
                copy.write_row((new_id(), tenant, *heads[tenant][:1], audit_id, heads[tenant][1], "2026-01-01T00:00Z"))
        writer.commit()
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("vacuum analyze kernel_auditevent, kernel_auditseal")
    return time.monotonic() - began


def main():
    """Fill, verify, say how long it took."""
    parser = rounds.arguments(__doc__)
    parser.add_argument("--million", type=int, default=1_000_000, help="rows in all")
    parser.add_argument("--tenants", type=int, default=3)
    asked = parser.parse_args()
    rounds.enter("bench.audit")
    from bench.stand import database_in  # noqa: PLC0415  # it needs the packages of the environment

    folder = Path(tempfile.mkdtemp(prefix="stackbe-bench-", dir="/var/tmp"))
    try:
        with database_in(folder) as stand:
            as_staff = stand.ours | {"STACKBE_ROLE": "staff"}
            os.environ.update(as_staff)
            filled = fill(stand.database.url("postgres"), asked.million, asked.tenants)
            database = processes.children(stand.postmaster)
            children = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
            began, before = time.monotonic(), processes.cpu_seconds(database)
            done = subprocess.run(
                [sys.executable, "-m", "django", "verify_audit"],
                env=as_staff,
                cwd=rounds.ROOT,
                check=True,
                capture_output=True,
                text=True,
            )
            seconds = time.monotonic() - began
            ours = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - children
            server = processes.cpu_seconds(database | processes.children(stand.postmaster)) - before
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"filled in {filled:.0f} s\n{done.stdout.strip()}")
    print(f"verified in {seconds:.1f} s: CPU {ours:.1f} s, and PostgreSQL {server:.1f} s")
    row = {
        "rows": asked.million,
        "seconds": seconds,
        "cpu_seconds": ours,
        "postgres_cpu_seconds": server,
        "run": str(uuid.uuid4()),
    }
    rounds.keep("audit", [row], {"said": done.stdout.strip()}, asked)


if __name__ == "__main__":
    main()
