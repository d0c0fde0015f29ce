"""Row-level security and look-ups of identities."""

from django.db import migrations

from stackbe.kernel.walls import LookupFunction, PlatformTable, TenantWall

MEMBERSHIPS = """
  select m.id, m.tenant_id, m.role::text, t.name::text
  from accounts_membership m join accounts_tenant t on t.id = m.tenant_id
  where m.user_id = $1 order by m.id
"""
APP = """
  select a.id, a.tenant_id, a.name::text, a.environment::text, a.clock_offset_ms, a.settings,
    a.archived_at is not null or a.suspended_at is not null or t.suspended_at is not null
  from accounts_app a join accounts_tenant t on t.id = a.tenant_id where a.id = $1
"""
ORIGIN = """
  select exists (select from accounts_app a where a.archived_at is null
    and a.settings -> 'allowed_origins' ? $1)
"""
SESSION = """
  select s.id, s.tenant_id, s.app_id, s.customer_id, s.organization_id, s.expires_at, s.revoked_at,
    a.environment::text, a.clock_offset_ms, a.session_limit_per_minute,
    a.archived_at is not null or a.suspended_at is not null or t.suspended_at is not null, m.role::text
  from accounts_customersession s
  join accounts_app a on a.id = s.app_id join accounts_tenant t on t.id = a.tenant_id
  left join accounts_organizationmember m
    on m.organization_id = s.organization_id and m.customer_id = s.customer_id
  where s.id = $1
"""
TENANTS = "select id from accounts_tenant order by id"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("kernel", "0002_walls")]

    operations = [
        TenantWall("accounts_tenant", column="id", lookup=True),
        TenantWall("accounts_membership", lookup=True),
        TenantWall("accounts_app", lookup=True),
        TenantWall("accounts_customer", app_key=True),
        TenantWall("accounts_organization", app_key=True),
        TenantWall("accounts_organizationmember", app_key=True, lookup=True),
        TenantWall("accounts_magiclink", app_key=True),
        TenantWall("accounts_onetimecode", app_key=True),
        TenantWall("accounts_customersession", app_key=True, lookup=True),
        TenantWall("accounts_refreshtoken", app_key=True),
        TenantWall("accounts_signingkey", app_key=True),
        PlatformTable(
            "accounts_user", "accounts_user_groups", "accounts_user_user_permissions",
            "accounts_developerlink", "accounts_spenttoken", staff="select, insert, update, delete",
        ),
        LookupFunction(
            "memberships(user_id uuid)",
            "table (id uuid, tenant_id uuid, role text, tenant_name text)",
            MEMBERSHIPS,
        ),
        LookupFunction(
            "app(app_id uuid)",
            "table (id uuid, tenant_id uuid, name text, environment text, clock_offset_ms bigint,"
            " settings jsonb, closed boolean)",
            APP,
        ),
        LookupFunction("origin_registered(origin text)", "boolean", ORIGIN),
        LookupFunction(
            "session(session_id uuid)",
            "table (id uuid, tenant_id uuid, app_id uuid, customer_id uuid, organization_id uuid,"
            " expires_at timestamptz, revoked_at timestamptz, environment text,"
            " clock_offset_ms bigint, session_limit integer, closed boolean,"
            " organization_role text)",
            SESSION,
        ),
        LookupFunction("tenants()", "table (id uuid)", TENANTS),
    ]
