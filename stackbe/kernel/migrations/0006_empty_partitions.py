"""Partitions of past months whose rows have all been let go are dropped."""

from django.db import migrations

DROP = """
-- Drops the partitions of months that ended three months ago or earlier and hold no row any more; run by the worker,
-- as its owner for the reason that kernel_make_partitions is. One that somebody reads just now waits for the next time.
create function kernel_drop_partitions() returns integer language plpgsql
security definer set search_path = pg_catalog, public set lock_timeout = '1s' as $$
declare
  part record;
  filled boolean;
  dropped integer := 0;
  newest text := to_char((current_timestamp at time zone 'UTC') - interval '4 months', 'YYYYMM');
begin
  for part in
    select p.name as parent, c.relname as name from kernel_partitionedtable p
    join pg_inherits i on i.inhparent = ('public.' || p.name)::regclass
    join pg_class c on c.oid = i.inhrelid
    where c.relname ~ ('^' || p.name || '_[0-9]{6}$') and right(c.relname, 6) <= newest
    order by c.relname
  loop
    execute format('select exists (select from public.%I)', part.name) into filled;
    continue when filled;
    begin
      execute format('lock table public.%I, public.%I in access exclusive mode', part.parent, part.name);
      execute format('select exists (select from public.%I)', part.name) into filled;
      if not filled then
        execute format('drop table public.%I', part.name);
        dropped := dropped + 1;
      end if;
    exception when lock_not_available then null;
    end;
  end loop;
  return dropped;
end $$;
revoke all on function kernel_drop_partitions() from public;
grant execute on function kernel_drop_partitions() to stackbe_worker;
"""


class Migration(migrations.Migration):
    dependencies = [("kernel", "0005_audit_heads")]

    operations = [migrations.RunSQL(DROP, "drop function kernel_drop_partitions")]
