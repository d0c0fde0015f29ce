"""One look-up for a session token: the session it names and the public key it was signed with."""

from django.db import migrations

from stackbe.kernel.walls import LookupFunction

SESSION_TOKEN = """
  select s.id, s.tenant_id, s.app_id, s.customer_id, s.organization_id, s.expires_at, s.revoked_at,
    a.environment::text, a.clock_offset_ms, a.session_limit_per_minute,
    a.archived_at is not null or a.suspended_at is not null or t.suspended_at is not null,
    m.role::text, k.public
  from accounts_customersession s
  join accounts_app a on a.id = s.app_id join accounts_tenant t on t.id = a.tenant_id
  left join accounts_organizationmember m
    on m.organization_id = s.organization_id and m.customer_id = s.customer_id
  left join accounts_signingkey k
    on k.id = $2 and k.app_id = s.app_id and (k.retired_at is null or k.retired_at > $3)
  where s.id = $1
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_customer_erasure")]

    operations = [
        migrations.RunSQL(
            "create policy lookup_reads on accounts_signingkey for select to stackbe_lookup using (true);"
            "grant select (id, app_id, public, retired_at) on accounts_signingkey to stackbe_lookup;",
            "revoke select on accounts_signingkey from stackbe_lookup;"
            "drop policy lookup_reads on accounts_signingkey;",
        ),
        LookupFunction(
            "session_token(session_id uuid, key_id uuid, moment timestamptz)",
            "table (id uuid, tenant_id uuid, app_id uuid, customer_id uuid, organization_id uuid,"
            " expires_at timestamptz, revoked_at timestamptz, environment text,"
            " clock_offset_ms bigint, session_limit integer, closed boolean,"
            " organization_role text, public_key bytea)",
            SESSION_TOKEN,
        ),
    ]
