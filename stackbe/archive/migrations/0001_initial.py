"""Archives of tenants, and the one door through which a subscription's history is deleted."""

import django.db.models.deletion
import django.db.models.manager
import stackbe.kernel.clock
import stackbe.kernel.ids
from django.db import migrations, models

from stackbe.kernel.walls import TenantWall

# It runs as the tables' owner, whom the wall holds to the caller's tenant like everybody else.
FORGET = """
create function lookup.forget_transitions(tenant uuid) returns bigint language plpgsql
security definer set search_path = pg_catalog, public as $$
declare gone bigint;
begin
  if not exists (select from accounts_tenant t where t.id = tenant and t.erasing_at is not null) then
    raise exception 'the tenant is not being erased';
  end if;
  delete from billing_subscriptiontransition x where x.tenant_id = tenant;
  get diagnostics gone = row_count;
  return gone;
end $$;
revoke all on function lookup.forget_transitions(uuid) from public;
grant execute on function lookup.forget_transitions(uuid) to stackbe_worker;
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0014_tenant_deletion'),
        ('billing', '0002_walls'),
        ('kernel', '0002_walls'),
    ]

    operations = [
        migrations.CreateModel(
            name='Archive',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('status', models.CharField(choices=[('waiting', 'Waiting'), ('running', 'Running'), ('done', 'Done')], default='waiting', max_length=10)),
                ('wrapping', models.BinaryField(null=True)),
                ('done_rows', models.BigIntegerField(default=0)),
                ('total_rows', models.BigIntegerField(default=0)),
                ('size', models.BigIntegerField(default=0)),
                ('asked_by', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('finished_at', models.DateTimeField(null=True)),
                ('dropped_at', models.DateTimeField(null=True)),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'indexes': [models.Index(fields=['tenant_id', '-id'], name='archive_newest')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='ArchivePart',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('number', models.PositiveIntegerField()),
                ('content', models.BinaryField()),
                ('archive', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='archive.archive')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'constraints': [models.UniqueConstraint(fields=('archive', 'number'), name='one_part_per_number')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        TenantWall("archive_archive"),
        TenantWall("archive_archivepart"),
        migrations.RunSQL(FORGET, "drop function lookup.forget_transitions"),
    ]
