"""A tenant's leave for staff to look through its dashboard."""

import django.db.models.manager
import stackbe.kernel.clock
import stackbe.kernel.ids
from django.db import migrations, models
from stackbe.kernel.walls import TenantWall


class Migration(migrations.Migration):

    dependencies = [
        ('kernel', '0002_walls'),
        ('staff', '0001_framework_rights'),
    ]

    operations = [
        migrations.CreateModel(
            name='Consent',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('granted_by', models.UUIDField()),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('expires_at', models.DateTimeField()),
                ('revoked_at', models.DateTimeField(null=True)),
            ],
            options={
                'default_manager_name': 'unscoped',
                'base_manager_name': 'unscoped',
                'abstract': False,
                'indexes': [models.Index(fields=['tenant_id', '-id'], name='consent_newest')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        TenantWall("staff_consent"),
    ]
