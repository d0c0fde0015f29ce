"""Files of customers on their way in or out."""

import django.db.models.manager
import stackbe.kernel.clock
import stackbe.kernel.ids
from django.db import migrations, models

from stackbe.kernel.walls import TenantWall


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_billing_email'),
    ]

    operations = [
        migrations.CreateModel(
            name='CustomerFile',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(editable=False)),
                ('kind', models.CharField(choices=[('import', 'Import'), ('export', 'Export')], max_length=10)),
                ('status', models.CharField(choices=[('waiting', 'Waiting'), ('running', 'Running'), ('done', 'Done')], default='waiting', max_length=10)),
                ('content', models.BinaryField(null=True)),
                ('is_trial', models.BooleanField(default=False)),
                ('updates_existing', models.BooleanField(default=False)),
                ('total_rows', models.PositiveIntegerField(default=0)),
                ('done_rows', models.PositiveIntegerField(default=0)),
                ('created_rows', models.PositiveIntegerField(default=0)),
                ('updated_rows', models.PositiveIntegerField(default=0)),
                ('unchanged_rows', models.PositiveIntegerField(default=0)),
                ('refused_rows', models.PositiveIntegerField(default=0)),
                ('faults', models.BinaryField(null=True)),
                ('asked_by', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('finished_at', models.DateTimeField(null=True)),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'indexes': [models.Index(fields=['app_id', '-id'], name='customerfile_newest')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        TenantWall("accounts_customerfile", app_key=True),
    ]
