"""How each tenant's audit chain was found to stand."""

import django.db.models.manager
import stackbe.kernel.ids
from django.db import migrations, models
from stackbe.kernel.walls import TenantWall


class Migration(migrations.Migration):

    dependencies = [
        ('kernel', '0002_walls'),
        ('trust', '0003_trust_checks'),
    ]

    operations = [
        migrations.CreateModel(
            name='Chain',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('kept_sequence', models.BigIntegerField(null=True)),
                ('kept_digest', models.BinaryField(null=True)),
                ('kept_at', models.DateTimeField(null=True)),
                ('kept_in', models.CharField(blank=True, max_length=200)),
                ('verified_at', models.DateTimeField(null=True)),
                ('verified_ms', models.PositiveIntegerField(null=True)),
                ('verified_rows', models.BigIntegerField(null=True)),
                ('compared', models.BooleanField(default=False)),
                ('holds', models.BooleanField(null=True)),
                ('faults', models.JSONField(default=list)),
            ],
            options={
                'default_manager_name': 'unscoped',
                'base_manager_name': 'unscoped',
                'abstract': False,
                'constraints': [models.UniqueConstraint(fields=('tenant_id',), name='one_chain_per_tenant')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        TenantWall("trust_chain"),
        # The worker alone writes what it found, as with the checks of the trust page.
        migrations.RunSQL(
            "revoke insert, update, delete on trust_chain from stackbe_web, stackbe_staff", migrations.RunSQL.noop
        ),
    ]
