"""What keeps the queue honest: jobs of dead workers go back."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection

from stackbe.kernel.clock import wall_clock

GIVE_UP_AFTER = 10

# Workers that have not been heard of, and jobs that say they are running on nobody.
STALLED = """
with dead as (
  delete from procrastinate_workers where last_heartbeat < %(silent_since)s
  returning id
), stalled as (
  select j.id, j.attempts, j.queueing_lock from procrastinate_jobs j
  where j.status = 'doing' and (j.worker_id is null or j.worker_id in (select id from dead))
  for update skip locked
)
update procrastinate_jobs j set
  status = (case
    when s.attempts + 1 >= %(give_up)s then 'failed'
    when exists (
      select from procrastinate_jobs o where o.queueing_lock = s.queueing_lock and o.status = 'todo'
    ) then 'aborted'
    else 'todo' end)::procrastinate_job_status,
  attempts = s.attempts + 1,
  worker_id = null
from stalled s where j.id = s.id
returning j.id
"""


def retry_stalled_jobs(silent_seconds: float) -> int:
    """Put back what a killed worker had in its hands; return how many jobs.

    A worker is dead when it has been silent for so long. A job that has killed its worker ten times is
    marked as failed. Periodic work of which the next run waits already is let go.
    """
    with connection.cursor() as cursor:
        silent_since = wall_clock() - timedelta(seconds=silent_seconds)
        cursor.execute(STALLED, {"silent_since": silent_since, "give_up": GIVE_UP_AFTER})
        return len(cursor.fetchall())
