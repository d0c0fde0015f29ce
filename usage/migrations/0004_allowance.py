"""What a customer may use, overrides included, in one function; and a step that agrees with it."""

from django.db import migrations, models

ALLOWANCE = """
-- What counts for a customer: the plan of their row while it does by `at`, else the app's default plan. `limits` has
-- their overrides of metered features in it, `plan_limits` has not. `planned` says whether anything counts at all.
create function usage_allowance(p_app uuid, p_customer uuid, p_now timestamptz,
  out limits jsonb, out plan_limits jsonb, out planned boolean, out period_start timestamptz,
  out period_end timestamptz) language plpgsql stable as $$
declare
  a record;
  o record;
begin
  select x.limits, x.overrides, x.period_start, x.period_end,
    x.plan_id is not null and (x.access_from is null or x.access_from <= p_now)
      and (x.access_until is null or x.access_until > p_now) as counts
  into a from billing_access x where x.customer_id = p_customer;
  planned := a.counts is true;
  if planned then
    plan_limits := a.limits;
    period_start := a.period_start;
    period_end := a.period_end;
  else
    select x.limits into plan_limits from billing_defaultaccess x where x.app_id = p_app;
    planned := found;
  end if;
  plan_limits := coalesce(plan_limits, '{}');
  limits := plan_limits;
  if a.overrides <> '{}' then
    for o in
      select f.metric, g.value -> 'value' as included from jsonb_each(a.overrides) g
      join billing_feature f on f.app_id = p_app and f.key = g.key
      where f.type = 'metered' and f.metric <> '' and f.archived_at is null
        and coalesce((g.value ->> 'until')::timestamptz > p_now, true)
      order by f.key
    loop
      planned := true;
      limits := jsonb_set(limits, array[o.metric],
        coalesce(limits -> o.metric, '{"mode": "hard"}') || jsonb_build_object('included', o.included));
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
create or replace function usage_track(p_tenant uuid, p_app uuid, p_customer uuid, p_metric text, p_quantity bigint,
  p_value bytea, p_key bytea, p_at timestamptz, p_now timestamptz,
  out outcome text, out used bigint, out allowed bigint, out mode text, out starts timestamptz,
  out ends timestamptz) language plpgsql as $$
declare
  m record;
  a record;
  c record;
  was bigint;
  before timestamptz;
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
  a := usage_allowance(p_app, p_customer, p_now);
  if not a.planned then outcome := 'no_plan'; return; end if;
  allowed := (a.limits -> p_metric ->> 'included')::bigint;
  mode := coalesce(a.limits -> p_metric ->> 'mode', 'soft');
  select w.starts, w.ends into starts, ends from usage_window(m.resets, a.period_start, a.period_end, p_at) w;

  if p_key is not null and (p_at < starts + interval '25 hours' or p_at > ends - interval '25 hours') then
    perform from accounts_customer x where x.id = p_customer for no key update;
  end if;
  for attempt in 1..2 loop
    select x.id, x.used, x.latest_at into c from usage_counter x
    where x.customer_id = p_customer and x.metric_id = m.id and x.period_start = starts for update;
    exit when found;
    insert into usage_counter (id, tenant_id, app_id, customer_id, metric_id, period_start, period_end, used,
      updated_at)
    values (gen_random_uuid(), p_tenant, p_app, p_customer, m.id, starts, ends, 0, p_now)
    on conflict (customer_id, metric_id, period_start) do nothing;
  end loop;
  if c.id is null then outcome := 'no_customer'; return; end if;  -- erased between the two looks
  was := c.used;
  if p_key is not null then
    -- The period before is the one that the last counter is of. It has another length where the plan changed;
    -- one that ended more than half a period ago is an older one.
    select x.period_start into before from usage_counter x
    where x.customer_id = p_customer and x.metric_id = m.id and x.period_start < starts
      and coalesce(x.period_end > starts - (ends - starts) / 2, true)
    order by x.period_start desc limit 1;
    perform from usage_record r where r.customer_id = p_customer and r.metric_id = m.id and r.key = p_key
      and r.period_start <= coalesce(ends, starts) and r.period_start >= coalesce(before, starts);
    if found then outcome := 'replayed'; used := was; return; end if;
  end if;
  used := case m.aggregation when 'sum' then was + p_quantity when 'max' then greatest(was, p_quantity)
    when 'last' then case when c.latest_at > p_at then was else p_quantity end else was end;
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
  update usage_counter x set used = usage_track.used, updated_at = p_now,
    latest_at = greatest(x.latest_at, case when m.aggregation = 'last' then p_at end)
  where x.id = c.id;
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


class Migration(migrations.Migration):
    dependencies = [("usage", "0003_check"), ("billing", "0002_walls")]

    operations = [
        migrations.RemoveField("counter", "announced_percent"),
        migrations.AddField("counter", "latest_at", models.DateTimeField(null=True)),
        migrations.RunSQL(ALLOWANCE + TRACK),
    ]
