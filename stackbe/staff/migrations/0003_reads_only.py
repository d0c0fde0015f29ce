"""The staff role of the database reads, and writes nothing; look-ups are called by the roles they were made for.

What staff do is done by services, as the web role and within the tenant's wall; the lists of the console and the
verifier of the audit log only look. A role that sees all tenants' rows had better change none, least of all who is staff.

Rights on the look-ups were taken from everybody and given to the serving roles after the look-ups had got their owner,
who is not the one that migrates: PostgreSQL warned, and did nothing. They are set here as that owner.
"""

from django.db import migrations

from stackbe.kernel.walls import LookupRights

REVOKE = """
revoke insert, update, delete, truncate, references, trigger on all tables in schema public from stackbe_staff;
revoke usage, update on all sequences in schema public from stackbe_staff;
"""
RIGHTS = """
do $$
declare f record;
begin
  for f in select p.oid::regprocedure::text as name, p.provolatile from pg_proc p
    where p.pronamespace = 'lookup'::regnamespace and p.proowner = 'stackbe_lookup'::regrole
  loop
    execute 'revoke all on function ' || f.name || ' from public, stackbe_staff';
    execute 'grant execute on function ' || f.name || ' to stackbe_web, stackbe_worker';
    if f.provolatile <> 'v' then
      execute 'grant execute on function ' || f.name || ' to stackbe_staff';
    end if;
  end loop;
end $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_walls"),
        ("apikeys", "0002_walls"),
        ("kernel", "0005_audit_heads"),
        ("staff", "0002_consent"),
    ]

    operations = [
        migrations.RunSQL(REVOKE, migrations.RunSQL.noop),
        # Only the worker signs heads.
        LookupRights(RIGHTS, "revoke execute on function lookup.audit_heads() from stackbe_web, stackbe_staff"),
    ]
