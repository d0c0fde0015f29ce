"""One call that proves a key and counts it, for the routes that an app asks on its every request."""

from django.db import migrations

from stackbe.kernel.walls import LookupFunction

# What lookup.api_key answers, less what only a first sight of a key needs: three tables in place of five.
FIND = """
  select k.id, k.tenant_id, coalesce(k.app_id, $2) as app_id, k.app_id is null as of_tenant, k.kind::text,
    k.digest, k.scopes::text[], cardinality(k.allowed_ips) > 0 as bound, k.last_used_at, k.expires_at,
    k.revoked_at, t.suspended_at is not null or a.suspended_at is not null as suspended,
    (coalesce(k.app_id, $2) is null or (a.id is not null and a.archived_at is null))
      and (k.app_id is null or $2 is null or k.app_id = $2) as app_found,
    a.clock_offset_ms, a.hot_limit_per_minute
  from apikeys_apikey k
  join accounts_tenant t on t.id = k.tenant_id
  left join accounts_app a on a.id = coalesce(k.app_id, $2) and a.tenant_id = k.tenant_id
  where k.lookup = $1
"""
AUTHORISE = """
-- Outcomes: ok, unknown (no such key, or another digest), limited, slow (anything that the ordinary
-- way has a sentence for: revoked, expired, suspended, bound to addresses, publishable, no app).
create function apikeys_authorise(p_lookup text, p_digest bytea, p_app uuid, p_moment timestamptz,
  out outcome text, out key_id uuid, out tenant_id uuid, out app_id uuid, out scopes text[],
  out clock_offset_ms bigint, out hot_limit integer, out remaining integer, out reset_ms bigint)
language plpgsql as $$
declare
  k record;
  t record;
begin
  select * into k from lookup.hot_key(p_lookup, p_app);
  if not found or k.digest <> p_digest then outcome := 'unknown'; return; end if;
  if k.kind <> 'secret' or (k.revoked_at is not null and k.revoked_at <= p_moment)
    or (k.expires_at is not null and k.expires_at <= p_moment) or k.suspended or not k.app_found
    or k.app_id is null or k.bound then
    outcome := 'slow'; return;
  end if;
  key_id := k.id;
  tenant_id := k.tenant_id;
  app_id := k.app_id;
  scopes := k.scopes;
  clock_offset_ms := k.clock_offset_ms;
  hot_limit := k.hot_limit;
  if k.last_used_at is null or k.last_used_at < p_moment - interval '1 minute' then
    perform lookup.key_used(k.id, p_moment);
  end if;
  select * into t from kernel_take(
    'hot:' || case when k.of_tenant then 'tenant_key' else 'key' end || ':' || k.id,
    floor(extract(epoch from p_moment) * 1000)::bigint, k.hot_limit, 1, 60000);
  remaining := t.remaining;
  reset_ms := t.reset_ms;
  outcome := case when t.ok then 'ok' else 'limited' end;
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0002_walls")]

    operations = [
        LookupFunction(
            "hot_key(lookup_part text, wanted_app uuid)",
            "table (id uuid, tenant_id uuid, app_id uuid, of_tenant boolean, kind text, digest bytea,"
            " scopes text[], bound boolean, last_used_at timestamptz, expires_at timestamptz,"
            " revoked_at timestamptz, suspended boolean, app_found boolean, clock_offset_ms bigint,"
            " hot_limit integer)",
            FIND,
        ),
        migrations.RunSQL(AUTHORISE, "drop function apikeys_authorise"),
    ]
