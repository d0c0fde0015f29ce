"""A limiter whose common case is one update: a bucket keeps its total and its oldest sub-window beside its counts."""

from django.db import migrations

TAKE = """
alter table kernel_ratebucket
  add column if not exists total bigint not null default 0,
  add column if not exists oldest bigint not null default 0;

-- The place of the oldest sub-window in which anything was counted, 1 where there is none.
create or replace function kernel_oldest(counts integer[]) returns integer
language sql immutable parallel safe as $$
  select coalesce(max(place), 1)::integer from unnest(counts) with ordinality as c(counted, place) where counted > 0
$$;

update kernel_ratebucket set total = kernel_total(counts), oldest = slot + 1 - kernel_oldest(counts);

-- A call in the bucket's newest sub-window moves two numbers. Any other (the first of a sub-window or of the bucket, a
-- refusal, a look) goes the long way, which shifts the counts and adds them up anew.
drop function kernel_take;
create function kernel_take(bucket text, at_ms bigint, allowed integer, cost integer, window_ms integer,
  out ok boolean, out remaining integer, out reset_ms bigint) language plpgsql as $$
declare
  width integer;
  this bigint;
  seen integer[];
  used bigint;
  newest bigint;
begin
  update kernel_ratebucket b set counts[1] = b.counts[1] + cost, total = b.total + cost
  where b.key = bucket and b.slot >= at_ms / (window_ms / 20) and b.total + cost <= allowed and cost > 0
  returning true, allowed - b.total, (b.oldest + 21) * (window_ms / 20) into ok, remaining, reset_ms;
  if found then return; end if;

  width := window_ms / 20;
  this := at_ms / width;
  if cost > 0 and cost <= allowed then
    insert into kernel_ratebucket as b (key, slot, counts, total, oldest)
    values (bucket, this, array[cost] || array_fill(0, array[20]), cost, this)
    on conflict (key) do update set
      slot = greatest(b.slot, excluded.slot),
      counts = array[(kernel_shifted(b.counts, excluded.slot - b.slot))[1] + cost]
        || (kernel_shifted(b.counts, excluded.slot - b.slot))[2:21],
      total = kernel_total(kernel_shifted(b.counts, excluded.slot - b.slot)) + cost,
      oldest = greatest(b.slot, excluded.slot) + 1 - kernel_oldest(kernel_shifted(b.counts, excluded.slot - b.slot))
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
  reset_ms := (coalesce(newest, this) - coalesce(kernel_oldest(seen), 1) + 22) * width;
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [("kernel", "0002_walls")]

    # The way back leaves it: the one before answers the same from the same columns.
    operations = [migrations.RunSQL(TAKE, migrations.RunSQL.noop)]
