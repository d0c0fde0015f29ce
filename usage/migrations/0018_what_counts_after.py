"""What stands behind an override that has run out is the limit from that second on, as it is the check's answer."""

from django.db import migrations

ALLOWANCE = """
-- What counts for a customer: the plan of their row while it does by `at`, else the app's default plan. `limits` has
-- their overrides of metered features in it, `plan_limits` has not. `planned` says whether anything counts at all.
-- Once an override has run out, what it holds in `then` counts, and once that has, what that one holds.
create or replace function usage_allowance(p_app uuid, p_customer uuid, p_now timestamptz,
  out limits jsonb, out plan_limits jsonb, out planned boolean, out period_start timestamptz,
  out period_end timestamptz) language plpgsql stable as $$
declare
  a record;
  o record;
  held jsonb;
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
      select f.metric, g.value as held from jsonb_each(a.overrides) g
      join billing_feature f on f.app_id = p_app and f.key = g.key
      where f.type = 'metered' and f.metric <> '' and f.archived_at is null
      order by f.key
    loop
      held := o.held;
      while (held ->> 'until')::timestamptz <= p_now loop
        held := held -> 'then';
      end loop;
      continue when held is null;
      planned := true;
      limits := jsonb_set(limits, array[o.metric],
        coalesce(limits -> o.metric, '{"mode": "hard"}') || jsonb_build_object('included', held -> 'value'));
    end loop;
  end if;
end $$;
"""


class Migration(migrations.Migration):
    """Replace the function; rows without `then` are answered as before."""

    dependencies = [("usage", "0017_corrections")]

    operations = [migrations.RunSQL(ALLOWANCE, migrations.RunSQL.noop)]
