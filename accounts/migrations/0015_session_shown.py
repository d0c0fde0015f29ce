"""One call for GET …/auth/session: the session, its limit, whose it is and what their plan holds."""

from django.db import migrations

SHOWN = """
-- Outcomes: ok, limited, slow (anything that the ordinary way has a sentence for, or another reason to look closer).
-- It is called with a token's claims once the token's signature has been verified by the key that it names; that the
-- key has not been retired since, the session is read for anew each time. Row-level security applies: it runs as its
-- caller, with the tenant that the session proved. What is sealed stays sealed: it comes with its wrapped keys.
create function accounts_session_shown(p_session uuid, p_key uuid, p_app uuid, p_customer uuid, p_moment timestamptz,
  out outcome text, out tenant_id uuid, out organization_id uuid, out organization_role text, out session_limit integer,
  out remaining integer, out reset_ms bigint, out app_moment timestamptz, out email bytea, out name bytea,
  out metadata bytea, out subject_key_id uuid, out subject_key bytea, out tenant_key_id uuid, out tenant_key bytea,
  out plan_name text, out entitlements text, out overrides text, out access_from timestamptz,
  out access_until timestamptz, out default_plan_name text, out default_entitlements text)
language plpgsql as $$
declare
  s record;
  t record;
begin
  outcome := 'slow';
  select * into s from lookup.session_token(p_session, p_key, p_moment);
  if not found or s.public_key is null or s.closed or s.app_id <> p_app or s.customer_id <> p_customer
    or s.revoked_at is not null or s.expires_at <= p_moment then
    return;
  end if;
  tenant_id := s.tenant_id;
  organization_role := s.organization_role;
  organization_id := case when s.organization_role is not null then s.organization_id end;
  session_limit := s.session_limit;
  app_moment := p_moment + make_interval(secs => s.clock_offset_ms / 1000.0);
  perform set_config('stackbe.tenant', s.tenant_id::text, true);
  select c.email, c.name, c.metadata, k.id, k.wrapped, x.plan_name, x.entitlements, x.overrides, x.access_from,
    x.access_until
  into email, name, metadata, subject_key_id, subject_key, plan_name, entitlements, overrides, access_from,
    access_until
  from accounts_customer c
  join kernel_subjectkey k on k.tenant_id = s.tenant_id and k.subject_id = c.id and k.destroyed_at is null
  left join billing_access x on x.customer_id = c.id
  where c.id = p_customer and (c.app_id = p_app) is true and c.deleted_at is null;
  if not found then return; end if;
  select k.id, k.wrapped into tenant_key_id, tenant_key from kernel_tenantkey k
  where k.id = encode(substring(subject_key from 2 for 16), 'hex')::uuid;
  if not found then return; end if;
  select x.plan_name, x.entitlements into default_plan_name, default_entitlements
  from billing_defaultaccess x where x.app_id = p_app;
  select * into t from kernel_take('hot:session:' || p_session, floor(extract(epoch from p_moment) * 1000)::bigint,
    s.session_limit, 1, 60000);
  remaining := t.remaining;
  reset_ms := t.reset_ms;
  outcome := case when t.ok then 'ok' else 'limited' end;
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0014_tenant_deletion"),
        ("billing", "0002_walls"),
        ("kernel", "0003_take"),
    ]

    operations = [migrations.RunSQL(SHOWN, "drop function accounts_session_shown")]
