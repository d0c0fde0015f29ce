"""Erasures that were asked for, and the receipts of those that are done."""

import django.db.models.manager
import stackbe.kernel.clock
import stackbe.kernel.ids
from django.db import migrations, models

from stackbe.kernel.walls import TenantWall


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0012_customer_factors'),
    ]

    operations = [
        migrations.CreateModel(
            name='Erasure',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(null=True)),
                ('kind', models.CharField(choices=[('customer', 'Customer'), ('organization', 'Organization'), ('tenant', 'Tenant')], max_length=12)),
                ('target_id', models.UUIDField()),
                ('asked_by', models.CharField(max_length=80)),
                ('asked_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('done_at', models.DateTimeField(null=True)),
                ('rows', models.JSONField(null=True)),
                ('kid', models.CharField(blank=True, max_length=32)),
                ('signature', models.CharField(blank=True, max_length=120)),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'indexes': [models.Index(fields=['tenant_id', 'app_id', '-id'], name='erasure_newest')],
                'constraints': [models.UniqueConstraint(fields=('tenant_id', 'kind', 'target_id'), name='one_erasure_per_target')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        TenantWall("accounts_erasure"),
    ]
