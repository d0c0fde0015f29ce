"""Partitions of months in which rows wait already: a test app's clock may run far ahead of ours."""

from django.db import migrations

MAKE = """
-- Makes last month's partition, this month's and the next three; run by the worker. It runs as its owner because the
-- serving roles may not run DDL. Rows of such a month that came before it are in the default partition: they move.
create or replace function kernel_make_partitions() returns integer language plpgsql
security definer set search_path = pg_catalog, public as $$
declare
  parent record;
  month timestamptz;
  part text;
  bounds text[];
  waiting boolean;
  col text;
  made integer := 0;
begin
  for parent in select name, key from kernel_partitionedtable loop
    for step in -1..3 loop
      month := date_trunc('month', current_timestamp at time zone 'UTC') at time zone 'UTC';
      month := ((month at time zone 'UTC') + make_interval(months => step)) at time zone 'UTC';
      part := parent.name || to_char(month at time zone 'UTC', '_YYYYMM');
      if to_regclass('public.' || part) is null then
        bounds := array[kernel_month_bound(month, parent.key),
          kernel_month_bound(((month at time zone 'UTC') + interval '1 month') at time zone 'UTC', parent.key)];
        waiting := false;
        if to_regclass('public.' || parent.name || '_default') is not null then
          select a.attname into col from pg_partitioned_table p
          join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
          where p.partrelid = ('public.' || parent.name)::regclass;
          execute format('select exists (select from public.%I where %I >= %L and %I < %L)', parent.name || '_default',
            col, bounds[1], col, bounds[2]) into waiting;
        end if;
        if waiting then
          execute format('create table public.%I (like public.%I including defaults including constraints)', part,
            parent.name);
          execute format('with gone as (delete from public.%I where %I >= %L and %I < %L returning *)'
            ' insert into public.%I select * from gone', parent.name || '_default', col, bounds[1], col, bounds[2], part);
          execute format('alter table public.%I attach partition public.%I for values from (%L) to (%L)', parent.name,
            part, bounds[1], bounds[2]);
        else
          execute format('create table public.%I partition of public.%I for values from (%L) to (%L)', part, parent.name,
            bounds[1], bounds[2]);
        end if;
        made := made + 1;
      end if;
    end loop;
  end loop;
  return made;
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [("kernel", "0003_take")]

    operations = [migrations.RunSQL(MAKE)]
