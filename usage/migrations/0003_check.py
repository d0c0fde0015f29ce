"""One call for an entitlement check: the key, its limit, the tenant and the answer."""

from django.db import migrations

CHECK = """
-- What counts is the customer's row while it does by the app's clock, else the app's default plan's.
-- Row-level security applies: it runs as its caller, with the tenant that the key proved. `is true` keeps the
-- planner from walking an app's customers while a table is too young for statistics: the primary key finds one.
create function usage_check(p_lookup text, p_digest bytea, p_app uuid, p_customer uuid, p_moment timestamptz,
  out outcome text, out scopes text[], out hot_limit integer, out remaining integer, out reset_ms bigint,
  out customer_found boolean, out answered_by text, out source text, out granted text, out overrides text,
  out app_moment timestamptz)
language plpgsql as $$
declare
  k record;
  a record;
begin
  k := apikeys_authorise(p_lookup, p_digest, p_app, p_moment);
  outcome := k.outcome;
  scopes := k.scopes;
  hot_limit := k.hot_limit;
  remaining := k.remaining;
  reset_ms := k.reset_ms;
  if outcome <> 'ok' then return; end if;
  app_moment := p_moment + make_interval(secs => k.clock_offset_ms / 1000.0);
  perform set_config('stackbe.tenant', k.tenant_id::text, true);
  select x.source, x.entitlements, x.overrides,
    x.plan_id is not null and (x.access_from is null or x.access_from <= app_moment)
      and (x.access_until is null or x.access_until > app_moment) as counts
  into a from accounts_customer c left join billing_access x on x.customer_id = c.id
  where c.id = p_customer and (c.app_id = k.app_id) is true and c.deleted_at is null;
  customer_found := found;
  if not found then return; end if;
  overrides := a.overrides;
  if a.counts then
    answered_by := 'access';
    source := a.source;
    granted := a.entitlements;
    return;
  end if;
  select x.source, x.entitlements into a from billing_defaultaccess x where x.app_id = k.app_id;
  if found then
    answered_by := 'default';
    source := a.source;
    granted := a.entitlements;
  end if;
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0002_walls"),
        ("apikeys", "0003_authorise"),
        ("billing", "0002_walls"),
    ]

    operations = [migrations.RunSQL(CHECK, "drop function usage_check")]
