"""A key may be counted against its ordinary limit in the same call as well."""

from importlib import import_module

from django.db import migrations

AUTHORISE = """
-- Outcomes: ok, unknown (no such key, or another digest), limited, slow (anything that the ordinary
-- way has a sentence for: revoked, expired, suspended, bound to addresses, publishable, no app).
-- p_limit names which of the key's limits counts: hot or api. hot_limit is how many of that it may.
drop function apikeys_authorise;
create function apikeys_authorise(p_lookup text, p_digest bytea, p_app uuid, p_moment timestamptz,
  p_limit text default 'hot', out outcome text, out key_id uuid, out tenant_id uuid, out app_id uuid,
  out scopes text[], out clock_offset_ms bigint, out hot_limit integer, out remaining integer, out reset_ms bigint)
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
  if p_limit = 'api' then
    perform set_config('stackbe.tenant', k.tenant_id::text, true);
    select a.api_limit_per_minute into hot_limit from accounts_app a where a.id = k.app_id;
  end if;
  if k.last_used_at is null or k.last_used_at < p_moment - interval '1 minute' then
    perform lookup.key_used(k.id, p_moment);
  end if;
  select * into t from kernel_take(
    p_limit || ':' || case when k.of_tenant then 'tenant_key' else 'key' end || ':' || k.id,
    floor(extract(epoch from p_moment) * 1000)::bigint, hot_limit, 1, 60000);
  remaining := t.remaining;
  reset_ms := t.reset_ms;
  outcome := case when t.ok then 'ok' else 'limited' end;
end $$;
"""
BEFORE = import_module("apikeys.migrations.0003_authorise").AUTHORISE


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_walls"), ("apikeys", "0003_authorise")]

    operations = [migrations.RunSQL(AUTHORISE, f"drop function apikeys_authorise; {BEFORE}")]
