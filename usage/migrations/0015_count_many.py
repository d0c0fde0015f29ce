"""The ordinary events of a batch are counted together, in a few statements for all of them."""

from django.db import migrations

COUNT_ALL = """
create type usage_ordinary as (place bigint, customer uuid, metric uuid, counter uuid, quantity bigint, key bytea,
  running bigint, total bigint, granted bigint, allowed bigint, mode text, first integer, starts timestamptz,
  ends timestamptz, before timestamptz);

-- Counts of events of the present hour those that nothing stands in the way of, as `usage_count` does with one, and
-- answers each with its place in the lists. What is not answered was not counted and is for the step: a whole
-- customer's events of a metric where one of them is. The caller holds the customers, gives lists sorted by customer
-- and metric, and no key twice for the same two.
--
-- It looks first, then locks the counters in the lists' order, and then looks again at what may have changed: the
-- counters themselves, and the keys, which nobody can add to a counter that another holds.
create function usage_count_all(p_tenant uuid, p_app uuid, p_customers uuid[], p_metrics text[],
  p_quantities bigint[], p_keys bytea[], p_now timestamptz)
returns table (place bigint, outcome text, used bigint, allowed bigint, mode text, starts timestamptz,
  ends timestamptz, held bigint, windows jsonb, limited_by text) language plpgsql
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  mine usage_ordinary[];
begin
  perform set_config('stackbe.tenant', p_tenant::text, true);
  with given as materialized (
    select * from unnest(p_customers, p_metrics, p_quantities, p_keys)
    with ordinality as v(customer, metric, quantity, key, place)
  ), grouped as materialized (
    select v.customer, v.metric, sum(v.quantity)::bigint as total, min(v.quantity) as least, count(v.key) > 0 as keyed
    from given v group by v.customer, v.metric
  ), decided as materialized (
    select v.customer, v.metric as name, v.total, m.id as metric, m.thresholds[1] as first, c.id as counter,
      a.granted, a.mode, c.period_start as starts, l.ends, l.allowed,
      case when v.keyed then (
        select max(b.period_start) from usage_counter b
        where b.customer_id = v.customer and b.metric_id = m.id and b.period_start < c.period_start
          and coalesce(b.period_end > c.period_start - (c.period_end - c.period_start) / 2, true)) end as before
    from grouped v
    join usage_metric m on m.app_id = p_app and m.name = v.metric and m.archived_at is null and m.aggregation = 'sum'
    join accounts_customer x on x.id = v.customer and (x.app_id = p_app) is true and x.deleted_at is null
    cross join lateral (
      select w.period_start, w.period_end, w.own, (w.terms ->> 'included')::bigint as granted,
        coalesce(w.terms ->> 'mode', 'soft') as mode
      from (
        select y.period_start, y.period_end, y.limits -> v.metric as terms,
          m.resets = 'billing_period' and y.period_end > y.period_start as own
        from billing_access y
        where y.customer_id = x.id and y.overrides = '{}' and y.plan_id is not null
          and coalesce(y.access_from <= p_now, true) and coalesce(y.access_until > p_now, true)
      ) w
      where w.terms -> 'windows' is null
    ) a
    join usage_counter c on c.customer_id = x.id and c.metric_id = m.id and c.period_start =
      case
        when m.resets = 'never' then '1970-01-01 00:00:00+00'::timestamptz
        when m.resets = 'day' then date_trunc('day', p_now, 'UTC')
        when not coalesce(a.own, false) then date_trunc('month', p_now, 'UTC')
        when p_now >= a.period_start and p_now < a.period_end then a.period_start
      end
    cross join lateral (
      select case
          when m.resets = 'never' then null
          when m.resets = 'day' then c.period_start + interval '24 hours'
          when a.own then a.period_end
          else (date_trunc('month', p_now at time zone 'UTC') + interval '1 month') at time zone 'UTC'
        end as ends,
        case when a.granted is not null then greatest(0, a.granted + c.carried - c.passed_on) + c.credited end
          as allowed,
        case when v.keyed then interval '25 hours' when a.own then interval '1 hour' else interval '0' end as far
    ) l
    where v.least >= 0 and c.held = 0 and c.hour_start = date_trunc('hour', p_now, 'UTC')
      and c.period_start <= p_now - l.far and coalesce(l.ends >= p_now + l.far, true)
      and coalesce(c.used + v.total <= a.granted + c.carried - c.passed_on, true)
      and coalesce((c.used + v.total)::numeric * 100 < l.allowed::numeric * m.thresholds[1], true)
      and not (a.granted is not null and exists (
        select from usage_credit k where k.customer_id = v.customer and k.metric_id = m.id and k.remaining > 0
          and coalesce(k.expires_at > p_now, true)))
  )
  select array_agg(row(v.place, d.customer, d.metric, d.counter, v.quantity, v.key, v.running, d.total, d.granted,
      d.allowed, d.mode, d.first, d.starts, d.ends, d.before)::usage_ordinary order by v.place)
  into mine
  from decided d join (
    select v.*, sum(v.quantity) over (partition by v.customer, v.metric order by v.place)::bigint as running
    from given v
  ) v on v.customer = d.customer and v.metric = d.name;
  if mine is null then return; end if;

  perform from usage_counter c join unnest(mine) e on e.counter = c.id and e.running = e.total
  order by e.place for no key update of c;

  return query
  with event as materialized (
    select * from unnest(mine)
  ), known as materialized (
    select distinct e.counter from event e join usage_record r
      on r.customer_id = e.customer and r.metric_id = e.metric and r.key = e.key
      and r.period_start >= coalesce(e.before, e.starts) and r.period_start <= coalesce(e.ends, e.starts)
  ), counted as (
    update usage_counter c set used = c.used + e.total, included = e.granted, hour_used = c.hour_used + e.total,
      day_used = c.day_used + e.total, updated_at = p_now
    from (select distinct on (e.counter) e.* from event e) e
    where c.id = e.counter and c.held = 0 and c.hour_start = date_trunc('hour', p_now, 'UTC')
      and coalesce(c.used + e.total <= e.granted + c.carried - c.passed_on, true)
      and c.used + e.total <= 9007199254740991
      and coalesce((c.used + e.total)::numeric * 100 < e.allowed::numeric * e.first, true)
      and not exists (select from known k where k.counter = c.id)
    returning c.id, c.used - e.total as was
  ), kept as (
    insert into usage_record
    select p_tenant, p_app, e.customer, e.metric, e.starts, e.key, e.quantity, p_now
    from event e join counted c on c.id = e.counter where e.key is not null
  )
  select e.place, 'counted', c.was + e.running, e.allowed, e.mode, e.starts, e.ends, 0::bigint, null::jsonb, null::text
  from event e join counted c on c.id = e.counter order by e.place;
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [("usage", "0014_keyed_by_index")]

    operations = [migrations.RunSQL(COUNT_ALL, "drop function usage_count_all; drop type usage_ordinary")]
