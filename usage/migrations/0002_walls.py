"""Row-level security of usage, the records behind idempotency keys, and the atomic step."""

from django.db import migrations

from stackbe.kernel.walls import MonthlyPartitions, TenantWall

RECORDS = """
create table usage_record (
  tenant_id uuid not null,
  app_id uuid not null,
  customer_id uuid not null,
  metric_id uuid not null,
  period_start timestamptz not null,
  key bytea not null,
  quantity bigint not null,
  recorded_at timestamptz not null,
  primary key (customer_id, metric_id, key, period_start)
) partition by range (period_start);

create table usage_uniquevalue (
  tenant_id uuid not null,
  app_id uuid not null,
  customer_id uuid not null,
  metric_id uuid not null,
  period_start timestamptz not null,
  value bytea not null,
  primary key (customer_id, metric_id, value, period_start)
) partition by range (period_start);
"""

WINDOW = """
-- The period that a moment falls into: the plan's, rolled forward by the clock when the renewal has
-- not been heard of yet, or the calendar's.
create function usage_window(resets text, plan_start timestamptz, plan_end timestamptz, at timestamptz,
  out starts timestamptz, out ends timestamptz) language plpgsql immutable as $$
declare
  months integer;
begin
  if resets = 'never' then
    starts := '1970-01-01 00:00:00+00';
  elsif resets = 'day' then
    starts := date_trunc('day', at at time zone 'UTC') at time zone 'UTC';
    ends := starts + interval '1 day';
  elsif resets = 'month' or plan_start is null or plan_end is null or plan_end <= plan_start then
    starts := date_trunc('month', at at time zone 'UTC') at time zone 'UTC';
    ends := ((starts at time zone 'UTC') + interval '1 month') at time zone 'UTC';
  else
    starts := plan_start;
    ends := plan_end;
    months := round(extract(epoch from plan_end - plan_start) / 2629800);
    for step in 1..400 loop
      exit when at < ends and at >= starts;
      if at >= ends then
        starts := ends;
        ends := case when months > 0
          then ((plan_end at time zone 'UTC') + make_interval(months => months * step)) at time zone 'UTC'
          else ends + (plan_end - plan_start) end;
      else
        ends := starts;
        starts := case when months > 0
          then ((plan_start at time zone 'UTC') - make_interval(months => months * step)) at time zone 'UTC'
          else starts - (plan_end - plan_start) end;
      end if;
    end loop;
  end if;
end $$;
"""

TRACK = """
-- Checks the limit and counts, as one step under the counter's row lock. Outcomes: counted, replayed,
-- limit, overflow, no_metric, no_value, no_customer, no_plan. Row-level security applies: it runs as its caller.
--
-- An idempotency key counts in one period alone, and two requests with the same key may fall on both sides of
-- a period's end, where they lock different counters. Near an end they lock the customer first.
create function usage_track(p_tenant uuid, p_app uuid, p_customer uuid, p_metric text, p_quantity bigint,
  p_value bytea, p_key bytea, p_at timestamptz, p_now timestamptz,
  out outcome text, out used bigint, out allowed bigint, out mode text, out starts timestamptz,
  out ends timestamptz) language plpgsql as $$
declare
  m record;
  a record;
  c record;
  was bigint;
  step integer;
begin
  perform set_config('stackbe.tenant', p_tenant::text, true);
  select x.id, x.aggregation, x.resets into m from usage_metric x
  where x.app_id = p_app and x.name = p_metric and x.archived_at is null;
  if not found then outcome := 'no_metric'; return; end if;
  if m.aggregation = 'unique' and p_value is null then outcome := 'no_value'; return; end if;
  -- `is true` keeps the planner from walking an app's customers: the primary key finds one.
  perform from accounts_customer x where x.id = p_customer and (x.app_id = p_app) is true and x.deleted_at is null;
  if not found then outcome := 'no_customer'; return; end if;
  select x.limits, x.period_start, x.period_end into a from billing_access x
  where x.customer_id = p_customer and x.plan_id is not null
    and (x.access_from is null or x.access_from <= p_now)
    and (x.access_until is null or x.access_until > p_now);
  if not found then
    select x.limits, null::timestamptz as period_start, null::timestamptz as period_end into a
    from billing_defaultaccess x where x.app_id = p_app;
    if not found then outcome := 'no_plan'; return; end if;
  end if;
  allowed := (a.limits -> p_metric ->> 'included')::bigint;
  mode := coalesce(a.limits -> p_metric ->> 'mode', 'soft');
  select w.starts, w.ends into starts, ends from usage_window(m.resets, a.period_start, a.period_end, p_at) w;

  if p_key is not null and (p_at < starts + interval '25 hours' or p_at > ends - interval '25 hours') then
    perform from accounts_customer x where x.id = p_customer for no key update;
  end if;
  for attempt in 1..2 loop
    select x.id, x.used into c from usage_counter x
    where x.customer_id = p_customer and x.metric_id = m.id and x.period_start = starts for update;
    exit when found;
    insert into usage_counter (id, tenant_id, app_id, customer_id, metric_id, period_start, period_end, used,
      announced_percent, updated_at)
    values (gen_random_uuid(), p_tenant, p_app, p_customer, m.id, starts, ends, 0, 0, p_now)
    on conflict (customer_id, metric_id, period_start) do nothing;
  end loop;
  was := c.used;
  if p_key is not null then
    perform from usage_record r where r.customer_id = p_customer and r.metric_id = m.id and r.key = p_key
      and r.period_start <= coalesce(ends, starts)
      and r.period_start >= starts - coalesce(ends - starts, interval '0') * 1.2 - interval '1 hour';
    if found then outcome := 'replayed'; used := was; return; end if;
  end if;
  used := case m.aggregation when 'sum' then was + p_quantity when 'max' then greatest(was, p_quantity)
    when 'last' then p_quantity else was end;
  if m.aggregation = 'unique' then
    insert into usage_uniquevalue values (p_tenant, p_app, p_customer, m.id, starts, p_value)
    on conflict do nothing;
    if found then used := was + 1; end if;
  end if;
  if used > 9007199254740991 then outcome := 'overflow'; used := was; return; end if;
  if mode = 'hard' and allowed is not null and used > allowed and used > was then
    if m.aggregation = 'unique' then
      delete from usage_uniquevalue x where x.customer_id = p_customer and x.metric_id = m.id
        and x.value = p_value and x.period_start = starts;
    end if;
    outcome := 'limit'; used := was; return;
  end if;
  update usage_counter x set used = usage_track.used, updated_at = p_now where x.id = c.id;
  if p_key is not null then
    insert into usage_record values (p_tenant, p_app, p_customer, m.id, starts, p_key, p_quantity, p_now);
  end if;
  if allowed > 0 then
    foreach step in array array[80, 100] loop
      if used * 100 >= step * allowed and was * 100 < step * allowed then
        insert into usage_crossing (id, tenant_id, app_id, customer_id, metric_id, period_start, percent,
          used, allowed, crossed_at)
        values (gen_random_uuid(), p_tenant, p_app, p_customer, m.id, starts, step, used, allowed, p_now)
        on conflict do nothing;
      end if;
    end loop;
  end if;
  outcome := 'counted';
end $$;
"""

UNDO = "drop function usage_track; drop function usage_window;"


class Migration(migrations.Migration):
    dependencies = [("usage", "0001_initial"), ("accounts", "0002_walls"), ("kernel", "0002_walls")]

    operations = [
        TenantWall("usage_metric", app_key=True),
        TenantWall("usage_counter"),
        TenantWall("usage_crossing", queue=True),
        migrations.RunSQL(RECORDS, "drop table usage_record; drop table usage_uniquevalue;"),
        MonthlyPartitions("usage_record", "timestamptz"),
        MonthlyPartitions("usage_uniquevalue", "timestamptz"),
        TenantWall("usage_record"),
        TenantWall("usage_uniquevalue"),
        migrations.RunSQL(WINDOW + TRACK, UNDO),
    ]
