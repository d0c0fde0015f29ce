"""Two calls for POST …/auth/verify: one that reads all that a token would open, one that spends it and opens it."""

from django.db import migrations

REDEEMABLE = """
-- Outcomes: ok, limited, slow (no such token, a factor that may be due, a customer who is still to be made, an
-- organization, an app that has no signing key yet: the ordinary way). A slow one was not counted; nothing is spent
-- here. Row-level security applies, with the tenant of the app that the caller names. What is sealed stays sealed.
create function accounts_redeemable(p_app uuid, p_code boolean, p_digest bytea, p_bucket text, p_limit integer,
  p_window_ms integer, p_moment timestamptz,
  out outcome text, out tenant_id uuid, out app_name text, out environment text, out clock_offset_ms bigint,
  out settings text, out remaining integer, out reset_ms bigint, out app_moment timestamptz, out redirect_url text,
  out amr text, out customer_id uuid, out email bytea, out name bytea, out metadata bytea, out billing_email bytea,
  out external_id text, out created_at timestamptz, out updated_at timestamptz, out subject_key_id uuid,
  out subject_key bytea, out tenant_key_id uuid, out tenant_key bytea, out plan_name text, out entitlements text,
  out overrides text, out access_from timestamptz, out access_until timestamptz, out default_plan_name text,
  out default_entitlements text, out signing_key_id uuid, out signing_key bytea, out signing_sealed_by uuid,
  out signing_sealing_key bytea)
language plpgsql as $$
declare
  a record;
  c record;
  organization uuid;
  code_of uuid;
  address bytea;
  t record;
begin
  outcome := 'slow';
  select * into a from lookup.app(p_app);
  if not found or a.closed then return; end if;
  perform set_config('stackbe.tenant', a.tenant_id::text, true);
  if p_code then
    select x.redirect_url, x.organization_id, x.amr, x.customer_id into redirect_url, organization, amr, code_of
    from accounts_onetimecode x where x.app_id = p_app and x.digest = p_digest and x.expires_at > p_moment;
  else
    select x.redirect_url, x.organization_id, '', x.email_index into redirect_url, organization, amr, address
    from accounts_magiclink x where x.app_id = p_app and x.token_digest = p_digest and x.expires_at > p_moment;
  end if;
  if not found or organization is not null
    or (not p_code and coalesce(a.settings ->> 'second_factors', 'off') <> 'off') then
    return;
  end if;
  if p_code then
    select x.* into c from accounts_customer x
    where x.id = code_of and (x.app_id = p_app) is true and x.deleted_at is null;
  else
    select x.* into c from accounts_customer x
    where x.app_id = p_app and x.email_index = address and x.deleted_at is null;
  end if;
  if not found then return; end if;
  select k.id, k.wrapped into subject_key_id, subject_key from kernel_subjectkey k
  where k.tenant_id = a.tenant_id and k.subject_id = c.id and k.destroyed_at is null;
  if not found then return; end if;
  select k.id, k.wrapped into tenant_key_id, tenant_key from kernel_tenantkey k
  where k.id = encode(substring(subject_key from 2 for 16), 'hex')::uuid;
  if not found then return; end if;
  select s.id, s.private, k.id, k.wrapped into signing_key_id, signing_key, signing_sealed_by, signing_sealing_key
  from accounts_signingkey s
  join kernel_tenantkey k on k.id = encode(substring(s.private from 2 for 16), 'hex')::uuid
  where s.app_id = p_app and (s.retired_at is null or s.retired_at > p_moment) and s.activates_at <= p_moment
  order by s.activates_at desc, s.id desc limit 1;
  if not found then return; end if;
  select * into t from kernel_take(
    p_bucket, floor(extract(epoch from p_moment) * 1000)::bigint, p_limit, 1, p_window_ms);
  remaining := t.remaining;
  reset_ms := t.reset_ms;
  tenant_id := a.tenant_id;
  app_name := a.name;
  environment := a.environment;
  clock_offset_ms := a.clock_offset_ms;
  settings := a.settings::text;
  app_moment := p_moment + make_interval(secs => a.clock_offset_ms / 1000.0);
  customer_id := c.id;
  email := c.email;
  name := c.name;
  metadata := c.metadata;
  billing_email := c.billing_email;
  external_id := c.external_id;
  created_at := c.created_at;
  updated_at := c.updated_at;
  select x.plan_name, x.entitlements, x.overrides, x.access_from, x.access_until
  into plan_name, entitlements, overrides, access_from, access_until
  from billing_access x where x.customer_id = c.id;
  select x.plan_name, x.entitlements into default_plan_name, default_entitlements
  from billing_defaultaccess x where x.app_id = p_app;
  outcome := case when t.ok then 'ok' else 'limited' end;
end $$;
"""
REDEEM = """
-- Spends a link or a one-time code and opens the session that it is for: all or nothing, and for one caller alone,
-- whoever races; the others get false. Of what is spent its random id stays for as long as it would have lived, and
-- a code's a little longer.
create function accounts_redeem(p_tenant uuid, p_app uuid, p_code boolean, p_digest bytea, p_moment timestamptz,
  p_code_told_seconds integer, p_session uuid, p_customer uuid, p_expires timestamptz, p_address text, p_country text,
  p_family text, p_amr text, p_refresh uuid, p_refresh_digest bytea) returns boolean
language plpgsql as $$
declare
  spent record;
begin
  perform set_config('stackbe.tenant', p_tenant::text, true);
  if p_code then
    delete from accounts_onetimecode
    where app_id = p_app and digest = p_digest and expires_at > p_moment and customer_id = p_customer
    returning id, expires_at + make_interval(secs => p_code_told_seconds) as told_until into spent;
  else
    delete from accounts_magiclink where app_id = p_app and token_digest = p_digest and expires_at > p_moment
    returning id, expires_at as told_until into spent;
  end if;
  if not found then return false; end if;
  insert into accounts_spenttoken (id, expires_at) values (spent.id, spent.told_until);
  insert into accounts_customersession (id, tenant_id, app_id, customer_id, created_at, last_seen_at, expires_at,
    address, country, user_agent_family, amr)
  values (p_session, p_tenant, p_app, p_customer, p_moment, p_moment, p_expires, p_address, p_country, p_family, p_amr);
  insert into accounts_refreshtoken (id, tenant_id, app_id, session_id, digest, expires_at)
  values (p_refresh, p_tenant, p_app, p_session, p_refresh_digest, p_expires);
  return true;
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0016_store_link"), ("billing", "0002_walls"), ("kernel", "0003_take")]

    operations = [
        migrations.RunSQL(REDEEMABLE, "drop function accounts_redeemable"),
        migrations.RunSQL(REDEEM, "drop function accounts_redeem"),
    ]
