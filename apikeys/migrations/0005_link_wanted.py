"""One call for who asks for a sign-in link, and for what a link takes: the app's settings and the keys to seal with."""

from django.db import migrations

WANTED = """
-- Outcomes as apikeys_authorise has them; it counts the key against its ordinary limit. What is sealed stays sealed:
-- the app's key for blind indexes, and the tenant's keys, come wrapped.
create function apikeys_link_wanted(p_lookup text, p_digest bytea, p_app uuid, p_moment timestamptz,
  out outcome text, out key_id uuid, out tenant_id uuid, out app_id uuid, out scopes text[], out api_limit integer,
  out remaining integer, out reset_ms bigint, out name text, out environment text, out clock_offset_ms bigint,
  out settings text, out tenant_key_id uuid, out tenant_key bytea, out index_key bytea, out index_sealed_by uuid,
  out index_sealing_key bytea)
language plpgsql as $$
declare
  k record;
begin
  k := apikeys_authorise(p_lookup, p_digest, p_app, p_moment, 'api');
  outcome := k.outcome;
  key_id := k.key_id;
  tenant_id := k.tenant_id;
  app_id := k.app_id;
  scopes := k.scopes;
  api_limit := k.hot_limit;
  remaining := k.remaining;
  reset_ms := k.reset_ms;
  if outcome <> 'ok' then return; end if;
  select a.name, a.environment, a.clock_offset_ms, a.settings::text into name, environment, clock_offset_ms, settings
  from accounts_app a where a.id = k.app_id;
  select t.id, t.wrapped into tenant_key_id, tenant_key from kernel_tenantkey t
  where t.tenant_id = k.tenant_id and t.retired_at is null order by t.id desc limit 1;
  select s.wrapped, t.id, t.wrapped into index_key, index_sealed_by, index_sealing_key
  from kernel_tenantsecret s
  join kernel_tenantkey t on t.tenant_id = s.tenant_id
    and t.id = encode(substring(s.wrapped from 2 for 16), 'hex')::uuid
  where s.tenant_id = k.tenant_id and s.kind = 'blind_index' and s.app_id = k.app_id and s.retired_at is null
  order by s.id desc limit 1;
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0015_session_shown"), ("apikeys", "0004_authorise_by_limit")]

    operations = [migrations.RunSQL(WANTED, "drop function apikeys_link_wanted")]
