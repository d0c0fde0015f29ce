"""The atomic step with credits, reservations, windows, a cap on overage, thresholds of choice and hours."""

from django.db import migrations

from stackbe.kernel.walls import LookupFunction, MonthlyPartitions, TenantWall

BUCKETS = """
-- What was counted by the hour, or by the day where `hours` is 24: what charts are drawn from.
create table usage_bucket (
  tenant_id uuid not null,
  app_id uuid not null,
  customer_id uuid not null,
  metric_id uuid not null,
  period_start timestamptz not null,
  starts timestamptz not null,
  hours smallint not null default 1,
  used bigint not null,
  primary key (customer_id, metric_id, period_start, starts)
) partition by range (starts);
create index usage_bucket_of_metric on usage_bucket (metric_id, starts);
"""

HELPERS = """
-- How much a metric's limits inside the period have seen by `p_at`: `[{per, limit, used, ends}]`, null where a
-- plan sets none. A window ends with its period at the latest, and begins with it at the earliest.
create function usage_windows(p_terms jsonb, c usage_counter, p_at timestamptz, p_ends timestamptz) returns jsonb
language sql stable as $$
  select jsonb_agg(jsonb_build_object('per', w.per, 'limit', w.most, 'ends', least(w.starts + w.long, p_ends), 'used',
    case
      when w.starts = date_trunc(w.per, c.hour_start, 'UTC')
        then case w.per when 'hour' then c.hour_used else c.day_used end
      when c.hour_start is null or w.starts > c.hour_start then 0
      else (
        select coalesce(sum(b.used), 0) from usage_bucket b
        where b.customer_id = c.customer_id and b.metric_id = c.metric_id and b.period_start = c.period_start
          and b.starts >= w.starts and b.starts < w.starts + w.long)
    end) order by w.long)
  from (
    select e.x ->> 'per' as per, (e.x ->> 'limit')::bigint as most, date_trunc(e.x ->> 'per', p_at, 'UTC') as starts,
      case e.x ->> 'per' when 'day' then interval '24 hours' else interval '1 hour' end as long
    from jsonb_array_elements(p_terms -> 'windows') e(x)
  ) w
$$;

-- What is left of an allowance for the next period, where the plan lets it roll over.
create function usage_unused(p_terms jsonb, p_included bigint, p_used bigint) returns bigint
language sql immutable as $$
  select least((p_terms -> 'rollover' ->> 'max')::bigint, greatest(0, coalesce(p_included, 0) - p_used))
$$;

-- Whether a customer had what they have now in the period before: one who has just come brings nothing along.
create function usage_had_before(p_customer uuid, p_starts timestamptz) returns boolean language sql stable as $$
  select coalesce(
    (select s.created_at from billing_access a join billing_subscription s on s.id = a.subscription_id
     where a.customer_id = p_customer),
    (select c.created_at from accounts_customer c where c.id = p_customer)) < p_starts
$$;

-- What a period begins with from the one before, for who asks before anything was counted in it.
create function usage_carried(p_customer uuid, p_metric uuid, p_resets text, p_terms jsonb, p_starts timestamptz)
returns bigint language plpgsql stable as $$
declare
  c record;
begin
  if p_terms -> 'rollover' is null or p_resets = 'never' or not usage_had_before(p_customer, p_starts) then
    return 0;
  end if;
  select x.included, x.used into c from usage_counter x
  where x.customer_id = p_customer and x.metric_id = p_metric and x.period_end = p_starts
  order by x.period_start desc limit 1;
  if found then return usage_unused(p_terms, c.included, c.used); end if;
  return usage_unused(p_terms, (p_terms ->> 'included')::bigint, 0);
end $$;

-- Opens the counter of a period. What rolls over is taken from the period before under its lock, and noted there,
-- so that a late event cannot use it a second time.
create function usage_open(p_tenant uuid, p_app uuid, p_customer uuid, p_metric uuid, p_resets text, p_terms jsonb,
  p_plan_start timestamptz, p_plan_end timestamptz, p_starts timestamptz, p_ends timestamptz, p_now timestamptz)
returns void language plpgsql as $$
declare
  b record;
  before record;
  moves bigint := 0;
begin
  if p_terms -> 'rollover' is not null and p_resets <> 'never' and usage_had_before(p_customer, p_starts) then
    select w.starts, w.ends into before
    from usage_window(p_resets, p_plan_start, p_plan_end, p_starts - interval '1 microsecond') w;
    insert into usage_counter (id, tenant_id, app_id, customer_id, metric_id, period_start, period_end, used,
      included, credited, carried, passed_on, held, hour_used, day_used, reached, updated_at)
    select gen_random_uuid(), p_tenant, p_app, p_customer, p_metric, before.starts, p_starts, 0,
      (p_terms ->> 'included')::bigint, 0, 0, 0, 0, 0, 0, '{}', p_now
    where not exists (
      select from usage_counter x
      where x.customer_id = p_customer and x.metric_id = p_metric and x.period_end = p_starts)
    on conflict (customer_id, metric_id, period_start) do nothing;
    select x.id, x.included, x.used into b from usage_counter x
    where x.customer_id = p_customer and x.metric_id = p_metric and x.period_end = p_starts
    order by x.period_start desc limit 1 for update;
    if found then
      perform from usage_counter x
      where x.customer_id = p_customer and x.metric_id = p_metric and x.period_start = p_starts;
      if found then return; end if;
      moves := usage_unused(p_terms, b.included, b.used);
      update usage_counter x set passed_on = moves where x.id = b.id and moves > 0;
    end if;
  end if;
  insert into usage_counter (id, tenant_id, app_id, customer_id, metric_id, period_start, period_end, used,
    credited, carried, passed_on, held, hour_used, day_used, reached, updated_at)
  values (gen_random_uuid(), p_tenant, p_app, p_customer, p_metric, p_starts, p_ends, 0, 0, moves, 0, 0, 0, 0, '{}',
    p_now)
  on conflict (customer_id, metric_id, period_start) do nothing;
end $$;
"""

TRACK = """
-- Checks the limits and counts, as one step under the counter's row lock. Outcomes: counted, replayed, limit,
-- overflow, no_metric, no_value, no_customer, no_plan, and for a reservation closed or expired. Row-level security
-- applies: it runs as its caller.
--
-- `p_step` is track, sync (the absolute value is `p_quantity`), hold (so much is set aside) or confirm (of the
-- reservation `p_reservation`, with the real amount). What may be used is the plan's allowance, what rolled over,
-- and credits: those that this period spent and those that are left. Beyond it a hard limit refuses, and a soft one
-- at its cap. `limited_by` says which limit refused: plan, spend_cap, day or hour.
--
-- Locks are taken in one order: customer, credits, counters from the oldest, reservation. An idempotency key counts
-- in one period alone, and two requests with the same key may fall on both sides of a period's end, where they lock
-- different counters. Near an end they lock the customer first.
create function usage_track(p_tenant uuid, p_app uuid, p_customer uuid, p_metric text, p_quantity bigint,
  p_value bytea, p_key bytea, p_at timestamptz, p_now timestamptz, p_step text default 'track',
  p_reservation uuid default null,
  out outcome text, out used bigint, out allowed bigint, out mode text, out starts timestamptz,
  out ends timestamptz, out held bigint, out windows jsonb, out limited_by text, out counter_id uuid)
language plpgsql as $$
declare
  m record;
  a record;
  r usage_reservation;
  w record;
  g record;
  c usage_counter;
  terms jsonb;
  adds boolean;
  granted bigint;
  base bigint;
  wallet bigint := 0;
  top bigint;
  was bigint;
  aside bigint := 0;
  owed bigint;
  part bigint;
  known bigint;
  crossed integer[] := '{}';
  before timestamptz;
  hour timestamptz;
  step integer;
begin
  perform set_config('stackbe.tenant', p_tenant::text, true);
  select x.id, x.aggregation, x.resets, x.thresholds into m from usage_metric x
  where x.app_id = p_app and x.name = p_metric and x.archived_at is null;
  if not found then outcome := 'no_metric'; return; end if;
  adds := m.aggregation in ('sum', 'unique');
  if m.aggregation = 'unique' and p_value is null then outcome := 'no_value'; return; end if;
  -- `is true` keeps the planner from walking an app's customers: the primary key finds one.
  perform from accounts_customer x where x.id = p_customer and (x.app_id = p_app) is true and x.deleted_at is null;
  if not found then outcome := 'no_customer'; return; end if;
  a := usage_allowance(p_app, p_customer, p_now);
  if not a.planned and p_step <> 'confirm' then outcome := 'no_plan'; return; end if;
  terms := a.limits -> p_metric;
  granted := (terms ->> 'included')::bigint;
  mode := coalesce(terms ->> 'mode', 'soft');
  if p_step = 'confirm' then
    -- It counts in the period that it was held in.
    select x.period_start, x.period_end into starts, ends
    from usage_reservation v join usage_counter x on x.id = v.counter_id
    where v.id = p_reservation and v.customer_id = p_customer;
    p_at := least(p_at, ends - interval '1 microsecond');
  else
    select x.starts, x.ends into starts, ends from usage_window(m.resets, a.period_start, a.period_end, p_at) x;
  end if;

  if p_key is not null and (p_at < starts + interval '25 hours' or p_at > ends - interval '25 hours') then
    perform from accounts_customer x where x.id = p_customer for no key update;
  end if;
  if adds and granted is not null then
    select coalesce(sum(v.remaining), 0) into wallet from (
      select x.remaining from usage_credit x
      where x.customer_id = p_customer and x.metric_id = m.id and x.remaining > 0
        and coalesce(x.expires_at > p_now, true)
      order by x.priority, x.expires_at nulls last, x.id for update) v;
  end if;
  for attempt in 1..2 loop
    select x.* into c from usage_counter x
    where x.customer_id = p_customer and x.metric_id = m.id and x.period_start = starts for update;
    exit when found;
    perform usage_open(p_tenant, p_app, p_customer, m.id, m.resets, terms, a.period_start, a.period_end, starts,
      ends, p_now);
  end loop;
  if c.id is null then outcome := 'no_customer'; return; end if;  -- erased between the two looks
  counter_id := c.id;
  was := c.used;
  used := was;
  base := greatest(0, granted + c.carried - c.passed_on);
  allowed := base + c.credited + wallet;
  if granted is null then allowed := null; end if;
  held := 0;
  if c.held > 0 then
    select coalesce(sum(x.quantity), 0) into held from usage_reservation x
    where x.counter_id = c.id and x.status = 'held' and x.expires_at > p_now;
  end if;
  if terms -> 'windows' is not null then windows := usage_windows(terms, c, p_at, ends); end if;

  if p_key is not null then
    -- The period before is the one that the last counter is of. It has another length where the plan changed;
    -- one that ended more than half a period ago is an older one.
    select x.period_start into before from usage_counter x
    where x.customer_id = p_customer and x.metric_id = m.id and x.period_start < starts
      and coalesce(x.period_end > starts - (ends - starts) / 2, true)
    order by x.period_start desc limit 1;
    perform from usage_record x where x.customer_id = p_customer and x.metric_id = m.id and x.key = p_key
      and x.period_start <= coalesce(ends, starts) and x.period_start >= coalesce(before, starts);
    if found then outcome := 'replayed'; return; end if;
  end if;
  if p_step = 'confirm' then
    select x.* into r from usage_reservation x where x.id = p_reservation for update;
    if r.status is distinct from 'held' then outcome := 'closed'; return; end if;
    if r.expires_at <= p_now then outcome := 'expired'; return; end if;
    held := held - r.quantity;
  elsif p_step = 'hold' then
    aside := p_quantity;
  end if;

  used := case
    when p_step = 'hold' then was
    when p_step = 'sync' then p_quantity
    when m.aggregation = 'sum' then was + p_quantity
    when m.aggregation = 'max' then greatest(was, p_quantity)
    when m.aggregation = 'last' then case when c.latest_at > p_at then was else p_quantity end
    else was end;
  if m.aggregation = 'unique' then
    insert into usage_uniquevalue values (p_tenant, p_app, p_customer, m.id, starts, p_value)
    on conflict do nothing;
    if found then used := was + 1; end if;
  end if;
  if used > 9007199254740991 then outcome := 'overflow'; used := was; return; end if;

  -- What is held was promised: confirming no more than that is not refused.
  if p_step <> 'confirm' or p_quantity > r.quantity then
    top := case mode when 'hard' then allowed else allowed + (terms ->> 'overageCap')::bigint end;
    if used + aside > was and used + held + aside > top then
      limited_by := case mode when 'hard' then 'plan' else 'spend_cap' end;
    elsif windows is not null and p_step <> 'sync' and used + aside > was then
      for w in
        select e.x ->> 'per' as per, (e.x ->> 'limit')::bigint as most, (e.x ->> 'used')::bigint as seen
        from jsonb_array_elements(windows) e(x)
      loop
        if (case when adds then w.seen + used - was + held + aside else p_quantity end) > w.most then
          limited_by := w.per;
          exit;
        end if;
      end loop;
    end if;
  end if;
  if limited_by is not null then
    if m.aggregation = 'unique' then
      delete from usage_uniquevalue x where x.customer_id = p_customer and x.metric_id = m.id
        and x.value = p_value and x.period_start = starts;
    end if;
    if p_step = 'confirm' then held := held + r.quantity; end if;
    outcome := 'limit'; used := was; return;
  end if;
  outcome := 'counted';
  if p_step = 'hold' then
    update usage_counter x set held = c.held + aside, updated_at = p_now where x.id = c.id;
    held := held + aside;
    return;
  end if;

  if adds and granted is not null then
    owed := greatest(0, used - base) - c.credited;
    if owed > 0 and wallet > 0 then
      for g in
        select x.id, x.remaining from usage_credit x
        where x.customer_id = p_customer and x.metric_id = m.id and x.remaining > 0
          and coalesce(x.expires_at > p_now, true)
        order by x.priority, x.expires_at nulls last, x.id
      loop
        part := least(owed, g.remaining);
        update usage_credit x set remaining = x.remaining - part where x.id = g.id;
        insert into usage_credituse as u (id, tenant_id, app_id, credit_id, counter_id, quantity, used_at)
        values (gen_random_uuid(), p_tenant, p_app, g.id, c.id, part, p_now)
        on conflict on constraint one_use_per_credit_and_period do update
        set quantity = u.quantity + excluded.quantity, used_at = excluded.used_at;
        c.credited := c.credited + part;
        owed := owed - part;
        exit when owed = 0;
      end loop;
    elsif owed < 0 and used < was then
      -- A correction gives back what it shows was not used, the credit that was spent last first.
      for g in
        select u.id, u.credit_id, u.quantity from usage_credituse u join usage_credit x on x.id = u.credit_id
        where u.counter_id = c.id and u.quantity > 0
        order by x.priority desc, x.expires_at desc nulls first, x.id desc
      loop
        part := least(-owed, g.quantity);
        update usage_credit x set remaining = x.remaining + part where x.id = g.credit_id;
        update usage_credituse x set quantity = x.quantity - part, used_at = p_now where x.id = g.id;
        c.credited := c.credited - part;
        owed := owed + part;
        exit when owed = 0;
      end loop;
    end if;
  end if;

  hour := date_trunc('hour', p_at, 'UTC');
  if c.hour_start is null or hour > c.hour_start then
    if c.hour_used <> 0 then
      insert into usage_bucket as b values (p_tenant, p_app, p_customer, m.id, starts, c.hour_start, 1, c.hour_used)
      on conflict on constraint usage_bucket_pkey do update set used =
        case when adds then b.used + excluded.used when m.aggregation = 'max' then greatest(b.used, excluded.used)
        else excluded.used end;
    end if;
    if c.hour_start is null or date_trunc('day', hour, 'UTC') > date_trunc('day', c.hour_start, 'UTC') then
      c.day_used := 0;
    end if;
    c.hour_start := hour;
    c.hour_used := 0;
  end if;
  part := case when adds then used - was when m.aggregation = 'max' then p_quantity else used end;
  if hour = c.hour_start then
    c.hour_used := case when adds then c.hour_used + part
      when m.aggregation = 'max' and p_step <> 'sync' then greatest(c.hour_used, part) else part end;
  elsif part <> 0 then
    -- A late event. Of the latest value, an hour that has one already keeps it.
    insert into usage_bucket as b values (p_tenant, p_app, p_customer, m.id, starts, hour, 1, part)
    on conflict on constraint usage_bucket_pkey do update set used =
      case when adds then b.used + excluded.used when m.aggregation = 'max' then greatest(b.used, excluded.used)
      else b.used end;
  end if;
  if date_trunc('day', hour, 'UTC') = date_trunc('day', c.hour_start, 'UTC') then
    c.day_used := case when adds then c.day_used + part
      when m.aggregation = 'max' and p_step <> 'sync' then greatest(c.day_used, part) else part end;
  end if;

  if allowed > 0 then
    foreach step in array m.thresholds loop
      known := (c.reached ->> step::text)::bigint;
      if used::numeric * 100 >= allowed::numeric * step
        and (known is null or (known <> allowed and was::numeric * 100 < allowed::numeric * step)) then
        c.reached := c.reached || jsonb_build_object(step::text, allowed);
        crossed := crossed || step;
      end if;
    end loop;
  end if;
  update usage_counter x set used = usage_track.used, included = granted, credited = c.credited,
    hour_start = c.hour_start, hour_used = c.hour_used, day_used = c.day_used, reached = c.reached,
    held = case when p_step = 'confirm' then x.held - r.quantity else x.held end, updated_at = p_now,
    latest_at = greatest(x.latest_at, case when m.aggregation = 'last' then p_at end)
  where x.id = c.id;
  if p_key is not null then
    insert into usage_record values (p_tenant, p_app, p_customer, m.id, starts, p_key, p_quantity, p_now);
  end if;
  if p_step = 'confirm' then
    update usage_reservation x set status = 'confirmed', confirmed_quantity = p_quantity, closed_at = p_now
    where x.id = p_reservation;
  end if;
  foreach step in array crossed loop
    insert into usage_crossing (id, tenant_id, app_id, customer_id, metric_id, period_start, percent, used, allowed,
      crossed_at)
    values (gen_random_uuid(), p_tenant, p_app, p_customer, m.id, starts, step, used, allowed, p_now)
    on conflict do nothing;
  end loop;
  if windows is not null then windows := usage_windows(terms, c, p_at, ends); end if;
end $$;
"""

ENDED = """
  select r.tenant_id, r.app_id, r.id, a.environment::text, a.clock_offset_ms
  from usage_reservation r join accounts_app a on a.id = r.app_id
  where r.status = 'held' and r.expires_at <= $1 + a.clock_offset_ms * interval '1 millisecond'
  order by r.expires_at limit $2
"""
OLD = "drop function usage_track(uuid, uuid, uuid, text, bigint, bytea, bytea, timestamptz, timestamptz);"


class Migration(migrations.Migration):
    dependencies = [("usage", "0006_credits"), ("kernel", "0002_walls"), ("billing", "0002_walls")]

    operations = [
        TenantWall("usage_credit"),
        TenantWall("usage_credituse"),
        TenantWall("usage_reservation", lookup=True),
        migrations.RunSQL(BUCKETS, "drop table usage_bucket"),
        MonthlyPartitions("usage_bucket", "timestamptz"),
        TenantWall("usage_bucket"),
        migrations.RunSQL(OLD),
        migrations.RunSQL(HELPERS + TRACK),
        LookupFunction(
            "ended_holds(moment timestamptz, most integer)",
            "table (tenant_id uuid, app_id uuid, reservation_id uuid, environment text, clock_offset_ms bigint)",
            ENDED,
        ),
    ]
