"""Functions, counters and row-level security of the kernel's tables."""

from django.db import migrations

from stackbe.kernel.walls import PlatformTable, TenantWall

FUNCTIONS = """
create function kernel_refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name;
end $$;

create table kernel_partitionedtable (name text primary key, key text not null);

create function kernel_keep_partitioned(name text, key text) returns void language sql as $$
  insert into kernel_partitionedtable values (name, key) on conflict do nothing
$$;

create function kernel_month_bound(moment timestamptz, key text) returns text
language sql immutable as $$
  select case key when 'uuid' then
    (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid::text
  else to_char(moment at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS"+00"') end
$$;

-- Makes last month's partition, this month's and the next three; run daily by the worker. It runs as
-- its owner because the serving roles may not run DDL.
create function kernel_make_partitions() returns integer language plpgsql
security definer set search_path = pg_catalog, public as $$
declare
  parent record;
  month timestamptz;
  part text;
  made integer := 0;
begin
  for parent in select name, key from kernel_partitionedtable loop
    for step in -1..3 loop
      month := date_trunc('month', current_timestamp at time zone 'UTC') at time zone 'UTC';
      month := ((month at time zone 'UTC') + make_interval(months => step)) at time zone 'UTC';
      part := parent.name || to_char(month at time zone 'UTC', '_YYYYMM');
      if to_regclass('public.' || part) is null then
        execute format('create table public.%I partition of public.%I for values from (%L) to (%L)', part, parent.name,
          kernel_month_bound(month, parent.key),
          kernel_month_bound(((month at time zone 'UTC') + interval '1 month') at time zone 'UTC', parent.key));
        made := made + 1;
      end if;
    end loop;
  end loop;
  return made;
end $$;
revoke all on function kernel_make_partitions() from public;
grant execute on function kernel_make_partitions() to stackbe_worker;
"""

LIMITER = """
create unlogged table kernel_ratebucket (
  key text primary key,
  slot bigint not null,
  counts integer[] not null
) with (fillfactor = 50);

create unlogged table kernel_counter (
  key text primary key,
  value bigint not null,
  expires_at double precision not null
) with (fillfactor = 50);

-- counts[1] is the current sub-window, counts[21] the one 20 before it; all are counted whole.
create function kernel_shifted(counts integer[], by bigint) returns integer[]
language sql immutable parallel safe as $$
  select case
    when by <= 0 then counts
    when by > 20 then array_fill(0, array[21])
    else array_fill(0, array[by::int]) || counts[1:21 - by::int] end
$$;

create function kernel_total(counts integer[]) returns bigint
language sql immutable parallel safe as $$ select sum(c) from unnest(counts) as c $$;

create function kernel_take(bucket text, at_ms bigint, allowed integer, cost integer, window_ms integer)
returns table (ok boolean, remaining integer, reset_ms bigint) language plpgsql as $$
declare
  width constant integer := window_ms / 20;
  this constant bigint := at_ms / width;
  seen integer[];
  used bigint;
  newest bigint;
  oldest integer;
begin
  if cost > 0 and cost <= allowed then
    insert into kernel_ratebucket as b values (bucket, this, array[cost] || array_fill(0, array[20]))
    on conflict (key) do update set
      slot = greatest(b.slot, excluded.slot),
      counts = array[(kernel_shifted(b.counts, excluded.slot - b.slot))[1] + cost]
        || (kernel_shifted(b.counts, excluded.slot - b.slot))[2:21]
    where kernel_total(kernel_shifted(b.counts, excluded.slot - b.slot)) + cost <= allowed
    returning b.counts, b.slot into seen, newest;
  end if;
  ok := seen is not null;
  if seen is null then
    select kernel_shifted(b.counts, this - b.slot), greatest(b.slot, this) into seen, newest
    from kernel_ratebucket b where b.key = bucket;
    ok := cost = 0 and coalesce(kernel_total(seen), 0) < allowed;
  end if;
  used := coalesce(kernel_total(seen), 0);
  remaining := greatest(0, allowed - used);
  select max(i) into oldest from generate_series(1, 21) as i where seen[i] > 0;
  reset_ms := (coalesce(newest, this) - coalesce(oldest, 1) + 22) * width;
  return next;
end $$;
grant select, insert, update, delete on kernel_ratebucket, kernel_counter
  to stackbe_web, stackbe_worker, stackbe_staff;
"""

UNDO = """
drop function kernel_take; drop function kernel_total; drop function kernel_shifted;
drop table kernel_counter; drop table kernel_ratebucket;
drop function kernel_make_partitions; drop function kernel_month_bound;
drop function kernel_keep_partitioned;
drop table kernel_partitionedtable; drop function kernel_refuse_change;
"""


class Migration(migrations.Migration):
    dependencies = [("kernel", "0001_initial")]

    operations = [
        migrations.RunSQL(FUNCTIONS + LIMITER, UNDO),
        TenantWall("kernel_tenantkey", platform_rows=True, lookup=True),
        TenantWall("kernel_subjectkey", platform_rows=True),
        TenantWall("kernel_tenantsecret", platform_rows=True, lookup=True),
        TenantWall("kernel_auditevent", append_only=True, platform_rows=True),
        TenantWall("kernel_auditseal", append_only=True, platform_rows=True),
        TenantWall("kernel_idempotencyrecord"),
        PlatformTable("kernel_browsersession", staff="select, insert, update, delete"),
    ]
