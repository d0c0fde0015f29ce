"""Row-level security and look-up of API keys."""

from django.db import migrations

from stackbe.kernel.walls import LookupFunction, TenantWall

FIND = """
  select k.id, k.tenant_id, coalesce(k.app_id, $2) as app_id, k.app_id is null as of_tenant,
    k.kind::text, k.environment::text, k.digest, k.scopes::text[], k.allowed_ips::text[],
    k.last_used_at, k.expires_at, k.revoked_at,
    t.suspended_at is not null or a.suspended_at is not null as suspended,
    (coalesce(k.app_id, $2) is null or (a.id is not null and a.archived_at is null))
      and (k.app_id is null or $2 is null or k.app_id = $2) as app_found,
    a.environment::text, a.clock_offset_ms, a.api_limit_per_minute, a.hot_limit_per_minute,
    s.wrapped, y.id, y.wrapped
  from apikeys_apikey k
  join accounts_tenant t on t.id = k.tenant_id
  left join accounts_app a on a.id = coalesce(k.app_id, $2) and a.tenant_id = k.tenant_id
  left join kernel_tenantsecret s
    on s.tenant_id = k.tenant_id and s.app_id is null and s.kind = 'pepper' and s.retired_at is null
  left join kernel_tenantkey y
    on y.id = encode(substring(s.wrapped from 2 for 16), 'hex')::uuid
  where k.lookup = $1
"""
USED = """
  update apikeys_apikey set last_used_at = $2
  where id = $1 and (last_used_at is null or last_used_at < $2)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("apikeys", "0001_initial"),
        ("accounts", "0002_walls"),
        ("kernel", "0002_walls"),
    ]

    operations = [
        TenantWall("apikeys_apikey", lookup=True),
        migrations.RunSQL(
            "create policy lookup_touches on apikeys_apikey for update to stackbe_lookup using (true);"
            "grant update (last_used_at) on apikeys_apikey to stackbe_lookup;",
            "drop policy lookup_touches on apikeys_apikey;",
        ),
        LookupFunction(
            "api_key(lookup_part text, wanted_app uuid)",
            "table (id uuid, tenant_id uuid, app_id uuid, of_tenant boolean, kind text,"
            " environment text, digest bytea, scopes text[], allowed_ips text[],"
            " last_used_at timestamptz, expires_at timestamptz, revoked_at timestamptz,"
            " suspended boolean, app_found boolean, app_environment text, clock_offset_ms bigint,"
            " api_limit integer, hot_limit integer, pepper bytea, tenant_key_id uuid,"
            " tenant_key bytea)",
            FIND,
        ),
        LookupFunction("key_used(key_id uuid, moment timestamptz)", "void", USED, volatile=True),
    ]
