"""The newest seal of every tenant's audit chain in one look, so that heads can be kept elsewhere each minute."""

from django.db import migrations

from stackbe.kernel.walls import LookupFunction, LookupRights

# One step of the index for each tenant, however many rows there are.
HEADS = """
  with recursive tenant (id) as (
    (select s.tenant_id from kernel_auditseal s order by s.tenant_id limit 1)
    union all
    select (select s.tenant_id from kernel_auditseal s where s.tenant_id > tenant.id order by s.tenant_id limit 1)
    from tenant where tenant.id is not null
  )
  select tenant.id, head.sequence, head.digest from tenant cross join lateral (
    select s.sequence, s.digest from kernel_auditseal s where s.tenant_id = tenant.id order by s.sequence desc limit 1
  ) head
"""


class Migration(migrations.Migration):
    dependencies = [("kernel", "0004_partitions_ahead")]

    operations = [
        migrations.RunSQL(
            "create policy lookup_reads on kernel_auditseal for select to stackbe_lookup using (true);"
            "grant select (tenant_id, sequence, digest) on kernel_auditseal to stackbe_lookup;",
            "drop policy lookup_reads on kernel_auditseal;"
            "revoke select (tenant_id, sequence, digest) on kernel_auditseal from stackbe_lookup;",
        ),
        LookupFunction("audit_heads()", "table (tenant_id uuid, sequence bigint, digest bytea)", HEADS),
        # Only the worker signs heads.
        LookupRights("revoke execute on function lookup.audit_heads() from stackbe_web, stackbe_staff"),
    ]
